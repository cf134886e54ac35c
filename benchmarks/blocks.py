"""How far a run that starts anew is from endless recurrence, to choose `block` and `warmup`.

    python benchmarks/blocks.py --out docs CLIP [CLIP ...]

For each clip the network first runs endlessly (anew at scene cuts only), then once more from the
zero state at every `SPACING`th frame. k steps later the two are compared: what a viewer sees at a
block start after k warm-up steps. Writes blocks.md and blocks.png.

- PSNR: over the whole RGB frame, clamped to [0, 1].
- Worst local difference: the largest mean absolute difference of any 16x16 square of the output
  (4x4 of the source), on a scale of 255.

Needs `pip install 'vapoursynth-animesr[torch,encode]' vapoursynth-scenechange matplotlib`.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import torch
import vapoursynth as vs

from vsanimesr import engines, weights
from vsanimesr.bench import machine
from vsanimesr.colour import FULL_RGB
from vsanimesr.encode.scenes import detected
from vsanimesr.engines.torch.engine import State
from vsanimesr.recurrence import Cuts

SPACING = 12
WARMUPS = (0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48)
SQUARE = 16


core: Any = vs.core  # its plugins are found at run time


def read(path: Path) -> tuple[list[np.ndarray], Cuts]:
    """A clip's frames as (3, h, w) float32 RGB, and its scene cuts."""
    clip = core.bs.VideoSource(path, showprogress=False)
    rgb = clip.format.color_family == vs.RGB
    clip = core.resize.Bicubic(detected(clip), format=vs.RGBS, **({} if rgb else {"matrix_in": 6}))
    cuts = Cuts(clip.num_frames, honour=True)
    frames: list[np.ndarray] = []
    for t, frame in enumerate(clip.frames(close=True)):
        before, after = (frame.props.get(f"_SceneChange{side}", 0) for side in ("Prev", "Next"))
        cuts.observe(t, bool(before), bool(after))
        frames.append(np.stack([np.asarray(frame[plane]) for plane in range(3)]))
    return frames, cuts


def window(t: int, cuts: Cuts) -> tuple[int, int, int]:
    """Source frames of step t; all of the clip has been seen."""
    last = t + 1 == cuts.length or cuts.starts(t + 1)
    return (t if cuts.starts(t) else t - 1, t, t if last else t + 1)


def picture(state: State) -> torch.Tensor:
    """The image of a state as (3, 4h, 4w), clamped."""
    return torch.nn.functional.pixel_shuffle(state.image.float(), 4)[0].clamp(0, 1)


def compare(a: torch.Tensor, b: torch.Tensor) -> tuple[float, float]:
    """PSNR in dB, and worst local difference on a scale of 255."""
    difference = (a - b).abs()
    mean_square = float((difference**2).mean())
    local = torch.nn.functional.avg_pool2d(difference.mean(0)[None], SQUARE)
    return -10 * np.log10(max(mean_square, 1e-12)), float(local.max()) * 255


def measure(path: Path, model: str) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """For each number of warm-up steps: PSNR and worst difference at all starts of the clip."""
    frames, cuts = read(path)
    height, width = frames[0].shape[1:]
    engine = engines.load("auto", weights.load(model), engines.Setup(width=width, height=height))
    sources = [engine.upload(list(frame), FULL_RGB) for frame in frames]

    def run(first: int, count: int) -> list[State]:
        states: list[State] = []
        for t in range(first, min(first + count, len(frames))):
            state = None if t == first or cuts.starts(t) else states[-1]
            previous, current, following = (sources[u] for u in window(t, cuts))
            states.append(engine.step(previous, current, following, state))
        return states

    print(f"{path.stem}: {len(frames)} frames of {width}x{height}, {engine.description}")
    endless = [picture(state) for state in run(0, len(frames))]
    found: dict[int, list[tuple[float, float]]] = {k: [] for k in WARMUPS}
    for first in range(SPACING, len(frames), SPACING):
        for k, state in enumerate(run(first, max(WARMUPS) + 1)):
            if any(cuts.starts(t) for t in range(first, first + k + 1)):
                break  # past a cut both are the same
            if k in found:
                found[k].append(compare(picture(state), endless[first + k]))
    return {k: tuple(np.array(rows).T) for k, rows in found.items() if rows}  # type: ignore[misc]


def table(results: dict[str, dict[int, tuple[np.ndarray, np.ndarray]]]) -> str:
    """Markdown: a table for each measure, with a row for each number of warm-up steps."""
    titles = (
        "PSNR to endless recurrence in dB: mean (least)",
        "Worst local difference of 255: mean (most)",
    )
    lines: list[str] = []
    for measure_number, (title, worst) in enumerate(zip(titles, (np.min, np.max), strict=True)):
        lines += [f"{title}.", "", "| warm-up steps | " + " | ".join(results) + " |"]
        lines.append("|" + "---|" * (1 + len(results)))
        for k in WARMUPS:
            row = [found.get(k, (np.empty(0),) * 2)[measure_number] for found in results.values()]
            cells = [f"{x.mean():.1f} ({worst(x):.1f})" if x.size else "-" for x in row]
            lines.append(f"| {k} | " + " | ".join(cells) + " |")
        lines.append("")
    return "\n".join(lines)


def plot(results: dict[str, dict[int, tuple[np.ndarray, np.ndarray]]], path: Path) -> None:
    """Both measures against the number of warm-up steps."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    for name, rows in results.items():
        steps = sorted(rows)
        left.plot(steps, [rows[k][0].mean() for k in steps], marker="o", label=name)
        right.plot(steps, [rows[k][1].max() for k in steps], marker="o", label=name)
    left.set(xlabel="warm-up steps", ylabel="PSNR to endless recurrence, mean, dB")
    right.set(xlabel="warm-up steps", ylabel="worst local difference, most, /255")
    for axes in (left, right):
        axes.set_xscale("symlog", base=2, linthresh=1)
        axes.set_xticks(WARMUPS, [str(k) for k in WARMUPS])
        axes.grid(alpha=0.3)
    left.legend()
    figure.savefig(path, dpi=100)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure the clips and write the table and the plot."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, default=Path("out"))
    parser.add_argument("--model", default="v2")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    results = {path.stem: measure(path, options.model) for path in options.clips}
    text = (
        f"Made by `benchmarks/blocks.py`, model {options.model}; {machine.header('cpu')}.\n"
        "Starts whose run meets a cut leave the later rows.\n\n"
        f"{table(results)}\n"
    )
    (options.out / "blocks.md").write_text(text)
    plot(results, options.out / "blocks.png")
    print(text)


if __name__ == "__main__":
    main()
