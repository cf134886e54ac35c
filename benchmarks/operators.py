"""A learnable basic operator learns a degradation that the basic ones do not have.

    python benchmarks/operators.py folder

The degradation is known: blur, sharpening that leaves halos, and halving by a cut sinc, whose
echoes are longer than any of the basic filters. It makes pairs of cartoons as `rescale` would, from
which an operator is learnt by training/lbo-l1.toml. That and the basic operators, with the sigma
and the filter that fit best, are then compared with the degradation on a cartoon that is in no
pair.

Then three networks of training/small.toml, alike but for `[degrade]`: `basic`; `basic` with its
blur and filter set to those that fitted best; and `paper` with the operator. They have the same
seeds and as many iterations, and are measured on clips that the known degradation has made four
times smaller. Prints tables, and writes folder/operators.json.
"""

# pyright: reportMissingImports=none
import argparse
import os
import subprocess
import sys
from itertools import islice
from pathlib import Path

import learning
import msgspec
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from vsanimesr.training import checkpoint, pictures
from vsanimesr.training.degradation.blur import BlurDraw
from vsanimesr.training.degradation.downscale import DownscaleDraw
from vsanimesr.training.degradation.lbo import Lbo
from vsanimesr.training.measures import fidelity
from vsanimesr.training.networks import stream

SIGMA, HALO, AMOUNT, TAPS = 1.0, 2.0, 2.0, 12
"""Of the blur; of the blur that sharpening takes off; how much of that; of the cut sinc."""
SIGMAS = tuple(0.2 * step for step in range(1, 16))
FILTERS = ("area", "bicubic")  # bilinear halves as area does
SIZE = 21
"""Of a blur's kernel."""
FITTED = """[{{ op = "blur", anisotropic = 0.0, sigma = [{sigma}, {sigma}] }}, \
{{ op = "noise" }}, {halve}, {halve}, {{ op = "h264" }}]"""
HALVE = '{{ op = "downscale", lbo = 0.0, modes = {{ area = {area}, bilinear = 0.0, bicubic = {bicubic} }} }}'  # noqa: E501


def degrade(images: Tensor) -> Tensor:
    """The known degradation: (n, 3, 2h, 2w) to (n, 3, h, w), in [0, 1]."""
    soft = BlurDraw(SIGMA, SIGMA, 0.0, SIZE)(images)
    sharp = soft + AMOUNT * (soft - BlurDraw(HALO, HALO, 0.0, SIZE)(soft))
    place = np.arange(TAPS) - (TAPS - 1) / 2  # the new pixel lies between two old ones
    weights = np.sinc(place / 2)
    line = torch.from_numpy(weights / weights.sum()).float()
    padded = F.pad(sharp, (TAPS // 2 - 1,) * 4, mode="replicate").flatten(0, 1)[:, None]
    small = F.conv2d(padded, line[None, None, None], stride=(1, 2))
    small = F.conv2d(small, line[None, None, :, None], stride=(2, 1))
    return small.reshape(*images.shape[:2], *small.shape[-2:]).clamp(0, 1)


def rounded(images: Tensor) -> Tensor:
    """To what 8 bits hold."""
    return images.clamp(0, 1).mul(255).round() / 255


def pairs(root: Path, each: int) -> Tensor:
    """Write pairs of the cartoons trained on; returns some of the crisp pictures."""
    crisp: list[Tensor] = []
    for cartoon in learning.CARTOONS:
        for seed in range(each):
            zoom = learning.ZOOMS[seed % len(learning.ZOOMS)]
            clip = learning.drawings.render(cartoon, 40, learning.TEST_SIZE, zoom, seed)[::10]
            large = torch.from_numpy(clip).permute(0, 3, 1, 2).float() / 255
            for n, (frame, image) in enumerate(zip(degrade(large), large, strict=True)):
                name = f"{cartoon}-{seed}-{n}.png"
                pictures.write_png(root / "lr" / name, stream.rounded(frame))
                pictures.write_png(root / "hr" / name, stream.rounded(image))
            crisp.append(large[:1])
    return torch.cat(crisp)


def nearness(made: Tensor, crisp: Tensor) -> float:
    """PSNR of pictures, as one, to those of the known degradation."""
    a, b = (rounded(images).flatten(0, 1)[None] for images in (made, degrade(crisp)))
    return float(fidelity.psnr(a, b))


def basic(images: Tensor, sigma: float, mode: str) -> Tensor:
    """Blur and halve by the basic operators."""
    return DownscaleDraw(2, mode)(BlurDraw(sigma, sigma, 0.0, SIZE)(images))


def train(recipe: str, run: Path, settings: dict[str, object]) -> None:
    """Run the trainer's command with keys of the recipe replaced.

    Raises:
        CalledProcessError: It failed.
    """
    line = [sys.executable, "-m", "vsanimesr.training", "train"]
    line += [str(learning.ROOT / "training" / recipe), str(run), "--device", "cpu"]
    for key, value in settings.items():
        line += ["--set", f"{key}={value}"]
    subprocess.run(line, check=True)


def learn(folder: Path, iterations: int) -> Lbo:
    """Learn the operator from the pairs of `folder`."""
    train(
        "lbo-l1.toml",
        folder / "lbo",
        {
            "data.roots": f'["{folder / "pairs"}"]',
            "data.patch": 64,
            "data.workers": 0,
            "optimizer.lr": 1e-3,
            "optimizer.milestones": [iterations * part // 10 for part in (5, 7, 8, 9)],
            "losses.mse": 1.0,  # as the released code
            "train.iterations": iterations,
            "train.batch": 8,
        },
    )
    operator = Lbo()
    operator.load_state_dict(checkpoint.weights(folder / "lbo"))
    return operator


def networks(
    folder: Path, tests: list[Tensor], sigma: float, mode: str, count: int, iterations: int
) -> dict[str, float]:
    """Train the three networks on `count` drawings of each cartoon; PSNR, and that of bicubic."""
    learning.draw(folder / "clips", count)
    modes = {f: float(f == mode) for f in FILTERS}
    fitted = FITTED.format(sigma=f"{sigma:.1f}", halve=HALVE.format(**modes))
    recipes = {
        "basic": {"degrade.ops": "basic"},
        "fitted": {"degrade.ops": fitted},
        "operator": {"degrade.ops": "paper", "data.lbos": f'["{folder / "lbo"}"]'},
    }
    clips: learning.Clips = {
        str(k): (rounded(degrade(rounded(degrade(crisp)))), crisp) for k, crisp in enumerate(tests)
    }
    bases = [learning.psnr(learning.bicubic(poor), crisp) for poor, crisp in clips.values()]
    found = {"bicubic": float(np.mean(bases))}
    common: dict[str, object] = {
        "train.iterations": iterations,
        "optimizer.milestones": [iterations * 3 // 4],
        "data.root": folder / "clips",
    }
    for name, settings in recipes.items():
        train("small.toml", folder / name, common | settings)
        weights = checkpoint.weights(folder / name, "ema")
        made = learning.measure({key: value.numpy() for key, value in weights.items()}, clips)
        found[name] = learning.mean(made)
    return found


def main() -> None:
    """Learn the operator, compare; train the networks, compare."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("folder", type=Path, help="where pairs, clips and runs go")
    add("--pairs", type=int, default=10, help="drawings of each cartoon, 4 pairs of each")
    add("--operator", type=int, default=6000, help="iterations of the operator (default: 6000)")
    add("--network", type=int, default=1500, help="of each network (default: 1500; 0: none)")
    add("--clips", type=int, default=12, help="to train the networks on, of each cartoon")
    add("--tests", type=int, default=8, help="clips to measure the networks on")
    add("--threads", type=int, default=os.cpu_count() or 1, help="of torch (default: all cores)")
    args = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(args.threads)
    torch.set_num_threads(args.threads)
    folder = args.folder

    seen = pairs(folder / "pairs", args.pairs)
    scores = {(s, f): nearness(basic(seen, s, f), seen) for s in SIGMAS for f in FILTERS}
    sigma, mode = max(scores, key=lambda key: scores[key])
    operator = learn(folder, args.operator)
    clips = [clip for _, clip in islice(learning.crisp_clips(learning.OTHER, 7), args.tests)]
    other = torch.cat([clip[:1] for clip in clips])
    with torch.no_grad():
        near = {
            "bicubic halving alone": nearness(DownscaleDraw(2, "bicubic")(other), other),
            f"basic, sigma {sigma:.1f} and {mode}": nearness(basic(other, sigma, mode), other),
            "learnt operator": nearness(operator(other), other),
        }
    found: dict[str, float] = {}
    if args.network:
        found = networks(folder, clips, sigma, mode, args.clips, args.network)
    for name, value in (near | found).items():
        print(f"| {name} | {value:.2f} |")
    record = {"sigma": sigma, "mode": mode, "nearness": near, "psnr": found}
    pictures.write_bytes(folder / "operators.json", msgspec.json.encode(record))


if __name__ == "__main__":
    main()
