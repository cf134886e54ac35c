"""What the networks make of flat gray: what comes out for what goes in.

    python benchmarks/flat_gray.py [--out docs]

For each level a clip of one gray, full range RGB in float; its 13th frame, when the recurrence has
settled, and the mean of that frame. Writes flat_gray.png and flat_gray.md.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import vapoursynth as vs

from vsanimesr.bench import machine

mpl.use("agg")
import matplotlib.pyplot as plt

core: Any = vs.core
LEVELS = range(0, 256, 5)
FRAMES = 13
WIDTH, HEIGHT = 64, 48
MODELS = ("v1", "v2")
TEXT = """
The networks do not leave flat colours as they are: v1 adds about 2 code values of 8 bit to every
gray, v2 up to 6.6 to light ones. It is in the authors' weights: the render of their own system is
the same (`tests/test_engine.py`), and nothing here undoes it. Where footage that was not enlarged
has to be met, `model="v1"` is the more even of the two.

![What comes out, minus what goes in, against it: v1 near 2, v2 from 1 up to 6.6](flat_gray.png)
"""


def shown(model: str, level: int) -> float:
    """Mean of the output, in code values of 8 bit, for a flat gray of this one."""
    gray = [level / 255] * 3
    clip = core.std.BlankClip(None, WIDTH, HEIGHT, vs.RGBS, length=FRAMES, color=gray)
    out = core.animesr.Upscale(clip, model=model, backend="torch", device="cpu", precision="fp32")
    with out.get_frame(FRAMES - 1) as frame:
        return 255 * float(np.mean([np.asarray(frame[plane]).mean() for plane in range(3)]))


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure all levels, draw the curve and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("out"))
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    change = {model: [shown(model, level) - level for level in LEVELS] for model in MODELS}

    figure, axes = plt.subplots(figsize=(7, 3.2), layout="constrained")
    for model, values in change.items():
        axes.plot(LEVELS, values, label=model)
    axes.axhline(0, color="0.6", linewidth=0.8)
    axes.set(
        xlabel="flat gray, 8 bit code value", ylabel="what comes out, minus that", xlim=(0, 255)
    )
    axes.legend()
    figure.savefig(options.out / "flat_gray.png", dpi=110)

    lines = [
        f"Made by `python benchmarks/flat_gray.py --out docs`; {machine.header('cpu')}.",
        TEXT,
        "| gray | " + " | ".join(MODELS) + " |",
        "|---|" + "---|" * len(MODELS),
    ]
    for i, level in enumerate(LEVELS):
        if level % 15 == 0:
            cells = " | ".join(f"{level + change[model][i]:.1f}" for model in MODELS)
            lines.append(f"| {level} | {cells} |")
    (options.out / "flat_gray.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
