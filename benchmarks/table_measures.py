"""Measures of what the rows of benchmarks/tables.py made, and the tables of them."""

# pyright: reportMissingImports=none
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path

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
from vsanimesr.training.measures import dists, fidelity, lpips

OUTPUTS = "outputs"
"""Folder of the pictures, ROW/SEED.npz."""
SCORES = "scores"
"""Folder of the measures, ROW/SEED.json: by measure, by clip."""

OPERATORS = "operators.md"
"""File there, of how near learnt operators come."""

type Measure = Callable[[Tensor, Tensor], Tensor]
"""Of made and crisp pictures (n, 3, h, w) in [0, 1], one value each."""
type Scores = dict[str, dict[str, float]]
"""Mean over the frames of a clip, by measure and clip."""

MEASURES: dict[str, Callable[[], Measure]] = {
    "psnr": lambda: fidelity.psnr,
    "ssim": lambda: fidelity.ssim,
    "lpips": lambda: lpips.lpips,
    "dists": lambda: dists.dists,
}
"""What makes each measure. Of the first two more is better, of the others less."""


def measure(folder: Path, sizes: Sizes, names: Sequence[str]) -> None:
    """Take the measures that are missing of all pictures that are kept."""
    crisp = {name: pair[1] for name, pair in table_clips.tests(sizes).items()}
    made = {name: MEASURES[name]() for name in names}
    (folder / SCORES).mkdir(parents=True, exist_ok=True)
    (folder / SCORES / OPERATORS).write_text(nearness(folder))
    for path in sorted((folder / OUTPUTS).glob("*/*.npz")):
        kept = folder / SCORES / path.parent.name / f"{path.stem}.json"
        scores: Scores = msgspec.json.decode(kept.read_bytes()) if kept.is_file() else {}
        missing = [name for name in names if name not in scores]
        if not missing:
            continue
        outputs = {clip: _tensor(images) for clip, images in table_clips.load_outputs(path).items()}
        for name in missing:
            scores[name] = {
                clip: float(made[name](images, crisp[clip]).mean())
                for clip, images in outputs.items()
            }
        kept.parent.mkdir(parents=True, exist_ok=True)
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
            cells = [_cell(column[row], measure) for column in columns.values()]
            parts.append(f"| {row} | {len(columns['known'][row])} | {' | '.join(cells)} |")
    return "\n".join(parts)


def _cell(values: list[float], measure: str) -> str:
    digits = 2 if measure == "psnr" else 4
    mean = f"{np.mean(values):.{digits}f}"
    if len(values) == 1:
        return mean
    return f"{mean} ± {(max(values) - min(values)) / 2:.{digits}f}"


def _tensor(images: np.ndarray) -> Tensor:
    return torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
