"""Measures of what the rows of benchmarks/tables.py made, and the tables of them."""

# pyright: reportMissingImports=none
import sys
from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice, pairwise, starmap
from pathlib import Path
from typing import Literal, NamedTuple

import learning
import msgspec
import numpy as np
import table_clips
import torch
import torch.nn.functional as F
from table_clips import Sizes
from torch import Tensor

from vsanimesr.training import checkpoint, pictures
from vsanimesr.training.degradation.downscale import DownscaleDraw
from vsanimesr.training.degradation.lbo import Lbo
from vsanimesr.training.measures import boiling, table, temporal
from vsanimesr.training.networks import stream
from vsanimesr.training.pictures import Picture

OUTPUTS = "outputs"
"""Folder of the pictures, ROW/SEED.npz."""
SCORES = "scores"
"""Folder of the measures, ROW/SEED.json: by measure, by clip."""

OPERATORS = "operators.md"
"""File there, of how near learnt operators come."""

type Measure = Callable[[Clip], list[float]]
"""Of a clip, values of some or all of its frames; NaN where a frame has none."""
type Scores = dict[str, dict[str, float]]
"""Mean over the frames of a clip, by measure and clip."""


class Clip(NamedTuple):
    """Pictures (n, 3, h, w) in [0, 1]: made, crisp, and what they were made from."""

    made: Tensor
    crisp: Tensor
    poor: Tensor


def _judged(name: str) -> Measure:
    """One of `evaluate` that judges picture by picture."""
    panel = table.panel([name], torch.device("cpu"))
    if name in panel.missing:
        sys.exit(f"{name}: {panel.missing[name]}")

    def judge(clip: Clip) -> list[float]:
        if name in panel.alone:
            found = panel.alone[name](clip.made)
        else:
            found = panel.against[name](clip.made, clip.crisp)
        return [float(value) for value in found]

    return judge


def _dists() -> Measure:
    """Of the middle frame alone: a picture takes a second."""
    judge = _judged("dists")
    return lambda clip: judge(Clip(*(part[len(part) // 2 :][:1] for part in clip)))


def _warping(clip: Clip) -> list[float]:
    made, poor = _pictures(clip.made), _pictures(clip.poor)
    moves = starmap(temporal.motion, pairwise(poor))
    pairs = zip(pairwise(made), moves, strict=True)
    return [1000 * temporal.warping_error(*pair, move) for pair, move in pairs]


def _boiling(clip: Clip, by: Literal["poor", "crisp"]) -> list[float]:
    made, source = _pictures(clip.made), _pictures(getattr(clip, by))
    shrink = len(source[0]) // len(clip.poor[0, 0])
    pairs = zip(pairwise(made), pairwise(source), strict=True)
    return [boiling.boiling(*pair, boiling.held(*held, shrink)) for pair, held in pairs]


MEASURES: dict[str, Callable[[], Measure]] = {
    "psnr": lambda: _judged("psnr"),
    "ssim": lambda: _judged("ssim"),
    "lpips": lambda: _judged("lpips_alexnet"),
    "dists": _dists,
    "niqe": lambda: _judged("niqe"),
    "clipiqa": lambda: _judged("clipiqa"),
    "warping": lambda: _warping,
    "boiling": lambda: partial(_boiling, by="poor"),
    "boiling_original": lambda: partial(_boiling, by="crisp"),
}
"""What makes each measure. Of psnr, ssim and clipiqa more is better, of the others less."""
DIGITS = {"psnr": 2, "niqe": 2, "warping": 3, "boiling": 3, "boiling_original": 3}


def measure(folder: Path, sizes: Sizes, names: Sequence[str]) -> None:
    """Take the measures that are missing of all pictures that are kept."""
    tests = table_clips.tests(sizes)
    judges = {name: MEASURES[name]() for name in names}
    (folder / SCORES).mkdir(parents=True, exist_ok=True)
    (folder / SCORES / OPERATORS).write_text(nearness(folder))
    for path in sorted((folder / OUTPUTS).glob("*/*.npz")):
        kept = folder / SCORES / path.parent.name / f"{path.stem}.json"
        scores: Scores = msgspec.json.decode(kept.read_bytes()) if kept.is_file() else {}
        missing = [name for name in names if name not in scores]
        if not missing:
            continue
        clips = {
            name: Clip(_tensor(images), tests[name][1], tests[name][0])
            for name, images in table_clips.load_outputs(path).items()
        }
        for name in missing:
            values = {clip: np.asarray(judges[name](all_)) for clip, all_ in clips.items()}
            judged = {clip: found[~np.isnan(found)] for clip, found in values.items()}
            scores[name] = {clip: float(one.mean()) for clip, one in judged.items() if len(one)}
            pictures.write_bytes(kept, msgspec.json.encode(scores))
        print(path.parent.name, path.stem, flush=True)


def nearness(folder: Path) -> str:
    """How near learnt operators come to what they were learnt from, on a cartoon in no pair.

    PSNR of the halved picture to what the known degradation and the codec made of it, beside that
    of bicubic halving.
    """
    clips = islice(learning.crisp_clips(learning.OTHER, 1), 4)
    crisp = [F.avg_pool2d(clip, 2) for _, clip in clips]
    lines = ["\noperators\n", "| degradation | bicubic | learnt | rescaled |", "|---|---|---|---|"]
    for kind, degrade in table_clips.KNOWN.items():
        wanted = [table_clips.CODEC(degrade(images)) for images in crisp]
        halves: list[Callable[[Tensor], Tensor] | None] = [DownscaleDraw(2, "bicubic")]
        for name in (f"lbo-{kind}", f"lbo-{kind}-rescaled"):
            run = folder / "runs" / name / "0"
            halves.append(_operator(run) if (run / "done").is_file() else None)
        cells = ["" if half is None else f"{_near(half, crisp, wanted):.2f}" for half in halves]
        lines.append(f"| {kind} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _operator(run: Path) -> Lbo:
    operator = Lbo()
    operator.load_state_dict(checkpoint.weights(run))
    return operator


@torch.no_grad()
def _near(
    half: Callable[[Tensor], Tensor], crisp: Sequence[Tensor], wanted: Sequence[Tensor]
) -> float:
    pairs = zip(crisp, wanted, strict=True)
    return float(np.mean([learning.psnr(half(images), poor) for images, poor in pairs]))


def read(folder: Path, measure: str, kind: str) -> dict[str, list[float]]:
    """By row, for every seed, the mean over the test clips of a kind ("" for the known ones)."""
    found: dict[str, list[float]] = {}
    for path in sorted((folder / SCORES).glob("*/*.json")):
        clips = msgspec.json.decode(path.read_bytes(), type=Scores).get(measure, {})
        kinds = [kind] if kind else list(table_clips.KNOWN)
        values = [value for clip, value in clips.items() if clip.split("/")[0] in kinds]
        if values:
            found.setdefault(path.parent.name, []).append(float(np.mean(values)))
    return found


def tables(folder: Path, measures: Sequence[str], kinds: Sequence[str]) -> str:
    """A table for each measure: rows by kinds of clips; mean, and least and greatest of seeds."""
    parts: list[str] = []
    for measure in measures:
        columns = {kind or "known": read(folder, measure, kind) for kind in ("", *kinds)}
        parts += [
            f"\n{measure}\n",
            f"| row | seeds | {' | '.join(columns)} |",
            f"|---|---|{'---|' * len(columns)}",
        ]
        for row in columns["known"]:
            cells = [_cell(column.get(row, []), measure) for column in columns.values()]
            parts.append(f"| {row} | {len(columns['known'][row])} | {' | '.join(cells)} |")
    return "\n".join(parts)


def _cell(values: list[float], measure: str) -> str:
    if not values:
        return ""
    digits = DIGITS.get(measure, 4)
    mean = f"{np.mean(values):.{digits}f}"
    if len(values) == 1:
        return mean
    return f"{mean} ± {(max(values) - min(values)) / 2:.{digits}f}"


def _tensor(images: np.ndarray) -> Tensor:
    return torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255


def _pictures(images: Tensor) -> list[Picture]:
    return [stream.rounded(image) for image in images]
