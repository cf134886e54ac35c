"""Measures side by side on drawings that are held, and where a compressed film stands still.

    python benchmarks/measures.py still
    python benchmarks/measures.py compare out --films live2d_gt.mkv

`still` prints, for thresholds of `vsanimesr.still`, how much of what is held is found in degraded
clips of the cartoons of tests/data/lottie, and how much of what moves is taken for it.

`compare` draws cartoons on twos (each drawing for two frames, the camera too), takes as many frames
of each crisp film in the same way, degrades all by the recipe `basic`, and has `evaluate` compare
bicubic, realesr-animevideov3, v1 and v2 on them. The report is in out/report, the pictures of one
frame side by side in out/CLIP.png. live2d_gt.mkv is what benchmarks/make_clips.py makes: the art
may not be passed on.
"""

# pyright: reportMissingImports=none
import argparse
import sys
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import torch

from vsanimesr import still
from vsanimesr.models import SCALE
from vsanimesr.training import cli, pictures
from vsanimesr.training.degradation.degrade import Degrader, Recipe
from vsanimesr.training.evaluate import peers
from vsanimesr.training.networks import stream

sys.path.append(str(Path(__file__).parent.parent / "tests" / "training"))
import drawings

SIZE, FRAMES, HOLD = (256, 160), 4, 2
SEEDS = {"bacon": 1001}
STARTS = (8,)
"""Of the shots in a film: live2d_gt has its second character from frame 36 on."""
NETWORKS = ("bicubic", peers.PEER, "v1", "v2")
MOVES = 4.0
"""Mean change of a square of the original, in code values of 255, from which it is seen to move."""
SHOWN = 3


def held(frames: np.ndarray, hold: int) -> np.ndarray:
    """Each drawing for `hold` frames."""
    return frames[np.arange(len(frames)) // hold * hold]


def degraded(clip: np.ndarray, seed: int) -> np.ndarray:
    """(t, h, w, 3) as the recipe `basic` makes it, uint8."""
    crisp = torch.from_numpy(clip).permute(0, 3, 1, 2).float() / 255
    poor = Degrader(Recipe(ops="basic"))(crisp[None], [seed])[0]
    return np.stack([stream.rounded(image) for image in poor])


def squares(before: np.ndarray, now: np.ndarray, shrink: int = 1) -> np.ndarray:
    """The mean change of luma in the square about each pixel, as `still` compares it."""
    change = np.abs(still.luma(now) - still.luma(before))
    height, width = (side // shrink for side in change.shape)
    change = change.reshape(height, shrink, width, shrink).mean((1, 3))
    side = 2 * still.REACH + 1
    return cv2.blur(change, (side, side), borderType=cv2.BORDER_REPLICATE)


def thresholds() -> None:
    """The table of `still`."""
    kept: list[np.ndarray] = []
    moving: list[np.ndarray] = []
    for name in drawings.NAMES:
        for seed in range(3):
            clip = held(drawings.render(name, 8, (320, 192), seed=seed), 1 + seed)
            poor = degraded(clip, 100 + seed)
            for n in range(1, len(clip)):
                crisp = squares(clip[n - 1], clip[n], SCALE)
                seen = squares(poor[n - 1], poor[n])
                kept.append(seen[crisp == 0])
                moving.append(seen[crisp > MOVES])
    found, taken = np.concatenate(kept), np.concatenate(moving)
    print("| threshold | of what is held, found | of what moves, taken for held |\n|---|---|---|")
    for threshold in (0.25, 0.5, 1, 2, 4):
        shares = [100 * float((values <= threshold).mean()) for values in (found, taken)]
        print(f"| {threshold} | {shares[0]:.1f} % | {shares[1]:.2f} % |")


def clips(films: list[Path]) -> dict[str, np.ndarray]:
    """The crisp clips, by name."""
    drawn = {
        name: held(drawings.render(name, FRAMES, SIZE, 3.0, seed), HOLD)
        for name, seed in SEEDS.items()
    }
    for film in films:
        for start in STARTS:
            shot = np.stack(list(islice(pictures.read(film), start, start + FRAMES)))
            top, left = 40, (shot.shape[2] - 2 * SIZE[0]) // 2  # the head, at half its size
            seen = shot[:, top : top + 2 * SIZE[1], left : left + 2 * SIZE[0]]
            small = [cv2.resize(one, SIZE, interpolation=cv2.INTER_AREA) for one in seen]
            drawn[f"{film.stem}-{start}"] = held(np.stack(small), HOLD)
    return drawn


def compare(out: Path, films: list[Path], measures: list[str]) -> None:
    """Degrade the clips, have them compared, and show one frame of each."""
    names: list[str] = []
    for seed, (name, crisp) in enumerate(clips(films).items()):
        poor = degraded(crisp, seed)
        for kind, clip in (("lr", poor), ("gt", crisp)):
            for n, picture in enumerate(clip):
                pictures.write_png(out / kind / name / f"{n:04d}.png", picture)
        names.append(name)
        made = [peers.load(network, torch.device("cpu")) for network in NETWORKS]
        rows = [
            list(peer.upscale([stream.tensor(picture) for picture in poor]))[SHOWN] for peer in made
        ]
        shown = [*(stream.rounded(image) for image in rows), crisp[SHOWN]]
        pictures.write_png(out / f"{name}.png", np.concatenate(shown, axis=1))
    words = ["evaluate", *(str(out / "lr" / name) for name in names)]
    words += ["--originals", *(str(out / "gt" / name) for name in names)]
    words += ["--networks", *NETWORKS, "--timing", "96x64", "--out", str(out / "report")]
    raise SystemExit(cli.main([*words, *(["--measures", *measures] if measures else [])]))


def main() -> None:
    """Run what the first word says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parts = parser.add_subparsers(required=True, dest="part")
    parts.add_parser("still", help="how well standing still is told")
    part = parts.add_parser("compare", help="networks by all measures")
    part.add_argument("out", type=Path)
    part.add_argument("--films", type=Path, nargs="*", default=[], help="crisp videos")
    part.add_argument("--measures", nargs="*", default=[])
    args = parser.parse_args()
    if args.part == "still":
        thresholds()
    else:
        compare(args.out, args.films, args.measures)


if __name__ == "__main__":
    main()
