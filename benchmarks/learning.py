"""The trainer learns: from random weights to better than bicubic in a quarter of an hour.

    python benchmarks/learning.py small --plot docs/learning.png

Draws three Lottie cartoons of tests/data/lottie and stores them as clips, trains the network on
them by training/small.toml with the command of the trainer, and measures every checkpoint on
clips that were not trained on: two other drawings (other seeds: background, camera, moment) of each
of the three, and six of a fourth cartoon. They are degraded as the recipe degrades, by other seeds.
Then `export` and `evaluate`, whose report is in small/report.

The curve has the PSNR of the running average of the weights, which is what `export` takes, over the
minutes that the journal gives. Measuring is not among them. A run that is stopped by the clock
counts with its last checkpoint. The released weights stand beside it as an upper line: they were
trained for much longer.

On a GPU, with more of everything:

    python benchmarks/learning.py large --device cuda --minutes 20 --plot large.png --set KEY=VALUE

with KEY=VALUE for train.iterations, train.batch, data.patch, data.workers and
optimizer.milestones of training/small.toml.
"""

# pyright: reportMissingImports=none, reportPrivateUsage=none
import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from itertools import count, islice
from pathlib import Path

import msgspec
import numpy as np
import torch
import torch.nn.functional as F
from matplotlib import pyplot

from vsanimesr import weights
from vsanimesr.models import RELEASES
from vsanimesr.training import checkpoint, pictures
from vsanimesr.training.clips import ClipStore
from vsanimesr.training.degradation.degrade import Degrader, Recipe
from vsanimesr.training.measures import fidelity
from vsanimesr.training.networks import stream
from vsanimesr.training.train import journal

ROOT = Path(__file__).parent.parent
sys.path.append(str(ROOT / "tests" / "training"))
import drawings  # noqa: E402

RECIPE = ROOT / "training" / "small.toml"
CARTOONS = ("banner", "dalek", "starfish")
OTHER = "bacon"
"""The cartoon that is not trained on."""
ZOOMS = (3.0, 4.0, 6.0)
"""Of the drawings; shapes are then large beside what the degradation blurs."""
FLAT = 0.05
"""Mean standard deviation of a plane below which there is nothing to see in a clip."""
TRAIN_SIZE, TEST_SIZE = (320, 192), (256, 160)
FRAMES = 20
TEST_FRAMES = 10
SEED = 1000
"""Of the first drawing to test with; those to train with begin at 0."""
SHOWN, SHOWN_FRAME = ("bacon-1001", "starfish-1000", "banner-1002"), 6
"""What the picture beside the plot shows."""

type Clips = dict[str, tuple[torch.Tensor, torch.Tensor]]
"""Degraded (t, 3, h, w) and crisp (t, 3, 4h, 4w), by name."""


def draw(root: Path, count: int) -> ClipStore:
    """Store `count` clips of each cartoon to train on."""
    store = ClipStore(root)
    for cartoon in CARTOONS:
        for seed in range(count):
            name = f"{cartoon}-{seed}"
            if name not in store.names():
                zoom = ZOOMS[seed % len(ZOOMS)]
                frames = drawings.render(cartoon, FRAMES, TRAIN_SIZE, zoom, seed)
                store.write(name, frames, "train", {})
    return store


def held_out(recipe: Recipe, each: int) -> Clips:
    """Clips to test on: `each` of the cartoons trained on, three times as many of the other."""
    degrader = Degrader(recipe)
    clips: Clips = {}
    for cartoon, wanted in (*((one, each) for one in CARTOONS), (OTHER, 3 * each)):
        for seed, crisp in islice(crisp_clips(cartoon, TEST_FRAMES), wanted):
            poor = degrader(crisp[None], [SEED + len(clips)])[0]
            clips[f"{cartoon}-{seed}"] = (poor.mul(255).round() / 255, crisp)
    return clips


def crisp_clips(cartoon: str, frames: int) -> Iterator[tuple[int, torch.Tensor]]:
    """Clips to test on (t, 3, h, w), and their seeds; flat ones are passed over."""
    for seed in count(SEED):
        drawn = drawings.render(cartoon, frames, TEST_SIZE, ZOOMS[seed % len(ZOOMS)], seed)
        clip = torch.from_numpy(drawn).permute(0, 3, 1, 2).float() / 255
        if clip.std(dim=(-2, -1)).mean() > FLAT:
            yield seed, clip


def write(clips: Clips, folder: Path) -> None:
    """As folders of pictures, which `evaluate` reads."""
    for name, pair in clips.items():
        for kind, clip in zip(("lr", "gt"), pair, strict=True):
            for n, image in enumerate(clip):
                pictures.write_png(folder / kind / name / f"{n:04d}.png", stream.rounded(image))


def bicubic(poor: torch.Tensor) -> torch.Tensor:
    """Keys' cubic with a = -0.75, as torch has it."""
    return F.interpolate(poor, scale_factor=4, mode="bicubic", align_corners=False)


def psnr(made: torch.Tensor, crisp: torch.Tensor) -> float:
    """Mean over the frames of a clip, in RGB, of what a file of 8 bits would hold."""
    whole = made.clamp(0, 1).mul(255).round() / 255
    return float(fidelity.psnr(whole, crisp).mean())


def measure(tensors: dict[str, np.ndarray], clips: Clips) -> dict[str, float]:
    """PSNR of a network with these weights, by clip."""
    upscale = stream.recurrent(tensors)
    return {
        name: psnr(torch.stack(list(upscale(poor))), crisp) for name, (poor, crisp) in clips.items()
    }


def command(*words: object) -> None:
    """Run the trainer's command.

    Raises:
        CalledProcessError: It failed.
    """
    line = [sys.executable, "-m", "vsanimesr.training", *map(str, words)]
    print("$ python", *line[1:], flush=True)
    subprocess.run(line, check=True)


def train(run: Path, root: Path, minutes: float, device: str, overrides: Sequence[str]) -> None:
    """Train by the recipe until it is done or the clock has run out."""
    line = [sys.executable, "-m", "vsanimesr.training", "train", str(RECIPE), str(run)]
    line += ["--device", device, "--set", f"data.root={root}"]
    for one in overrides:
        line += ["--set", one]
    print("$ python", *line[1:], flush=True)
    with subprocess.Popen(line) as process:
        try:
            status = process.wait(60 * minutes)
        except subprocess.TimeoutExpired:
            print(f"stopped after {minutes:g} minutes")
            process.terminate()  # its last checkpoint stays
        else:
            if status:
                raise subprocess.CalledProcessError(status, line)


def curve(run: Path, clips: Clips) -> list[tuple[int, float, dict[str, float]]]:
    """Iterations done, minutes since the start, and PSNR by clip, of every checkpoint."""
    lines = journal.read(run)
    begin = next(line["time"] for line in lines if line["event"] == "start")
    saved = {line["iteration"]: line["time"] for line in lines if line["event"] == "save"}
    found: list[tuple[int, float, dict[str, float]]] = []
    for path in checkpoint.stored(run):
        average = checkpoint.load(path)[checkpoint.EMA]
        done = int(path.stem)
        scores = measure({name: value.numpy() for name, value in average.items()}, clips)
        found.append((done, (saved[done] - begin) / 60, scores))
        print(f"{done} iterations, {found[-1][1]:.1f} minutes: {mean(scores):.2f} dB", flush=True)
    return found


def mean(scores: dict[str, float], cartoon: str = "") -> float:
    """Over the clips of a cartoon, or over all."""
    return float(np.mean([one for name, one in scores.items() if name.startswith(cartoon)]))


def group(scores: dict[str, float], cartoons: Sequence[str]) -> float:
    """The mean over cartoons of the mean over their clips."""
    return float(np.mean([mean(scores, cartoon) for cartoon in cartoons]))


def plot(
    path: Path,
    found: list[tuple[int, float, dict[str, float]]],
    others: dict[str, dict[str, float]],
    run: Path,
) -> None:
    """PSNR over minutes, and the loss over iterations."""
    pyplot.rcParams.update({"axes.spines.top": False, "axes.spines.right": False})
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
    minutes = [one[1] for one in found]
    groups = (
        (f"{OTHER}, a cartoon not trained on", (OTHER,), "tab:blue"),
        ("other drawings of those trained on", CARTOONS, "tab:green"),
    )
    for label, names, colour in groups:
        reached = [group(scores, names) for _, _, scores in found]
        left.plot(minutes, reached, color=colour, marker=".", label=label)
        for other, style in zip(others, ("--", ":", "-."), strict=True):
            height = group(others[other], names)
            left.axhline(height, color=colour, linestyle=style, linewidth=1)
            left.annotate(other, (0, height), (2, 2), textcoords="offset points", fontsize=7)
    left.set(xlabel="minutes of training", ylabel="PSNR, dB", xlim=(0, None))
    left.legend(fontsize=8, loc="upper left", bbox_to_anchor=(0, -0.16), frameon=False)
    steps = [line for line in journal.read(run) if line["event"] == "step"]
    right.plot([one["iteration"] for one in steps], [one["losses"]["mse"] for one in steps])
    right.set(xlabel="iteration", ylabel="MSE of the training samples", ylim=(0, None))
    figure.savefig(path, dpi=110)


def show(path: Path, clips: Clips, tensors: dict[str, np.ndarray]) -> None:
    """One frame of some clips: the source by nearest neighbour, bicubic, trained, crisp."""
    rows: list[torch.Tensor] = []
    for name in SHOWN:
        poor, crisp = clips[name]
        made = list(stream.recurrent(tensors)(poor))
        frame = poor[SHOWN_FRAME : SHOWN_FRAME + 1]
        near = F.interpolate(frame, scale_factor=4, mode="nearest")
        row = (near[0], bicubic(frame)[0], made[SHOWN_FRAME], crisp[SHOWN_FRAME])
        rows.append(torch.cat(row, dim=2))
    pictures.write_png(path, stream.rounded(torch.cat(rows, dim=1)))


def main() -> None:
    """Draw, train, measure, plot."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("folder", type=Path, help="where clips, run and report go")
    add("--minutes", type=float, default=15)
    add("--clips", type=int, default=24, help="to train on, of each cartoon (default: 24)")
    add("--each", type=int, default=2, help="to test on, of each cartoon trained on (default: 2)")
    add("--plot", type=Path)
    add("--device", default="cpu", help="to train on: cpu (default) or cuda")
    add("--set", action="append", default=[], dest="overrides", metavar="KEY=VALUE")
    add("--threads", type=int, default=os.cpu_count() or 1, help="of torch (default: all cores)")
    args = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(args.threads)
    torch.set_num_threads(args.threads)
    folder, run = args.folder, args.folder / "run"
    begin = time.perf_counter()
    draw(folder / "clips", args.clips)
    print(f"drawn in {time.perf_counter() - begin:.0f} s; load {os.getloadavg()[0]:.1f}")
    train(run, folder / "clips", args.minutes, args.device, args.overrides)
    print(f"load {os.getloadavg()[0]:.1f}")

    clips = held_out(Recipe(ops="basic"), args.each)
    others = {
        "bicubic": {name: psnr(bicubic(poor), crisp) for name, (poor, crisp) in clips.items()}
    }
    others |= {name: measure(weights.load(name), clips) for name in RELEASES}
    found = curve(run, clips)
    best = found[-1][2]
    for cartoon in (*CARTOONS, OTHER, ""):
        values = (mean(scores, cartoon) for scores in (*others.values(), best))
        print(f"| {cartoon or 'all'} | {' | '.join(f'{value:.2f}' for value in values)} |")
    record = {
        "minutes": found[-1][1],
        "iterations": found[-1][0],
        "others": others,
        "trained": best,
        "curve": [(done, minutes, mean(scores)) for done, minutes, scores in found],
    }
    pictures.write_bytes(folder / "learning.json", msgspec.json.encode(record))
    if args.plot:
        plot(args.plot, found, others, run)
        average = checkpoint.weights(run, "ema")
        shown = args.plot.with_name(f"{args.plot.stem}_frames.png")
        show(shown, clips, {name: value.numpy() for name, value in average.items()})

    write(clips, folder / "test")
    exported = folder / "small.safetensors"
    command("export", run, exported)
    lr, gt = ([folder / "test" / kind / name for name in clips] for kind in ("lr", "gt"))
    networks = [
        "--networks",
        "bicubic",
        *RELEASES,
        exported,
        "--timing",
        "64x64",
        "--timing-frames",
        1,
    ]
    command("evaluate", *lr, "--originals", *gt, *networks, "--out", folder / "report")


if __name__ == "__main__":
    main()
