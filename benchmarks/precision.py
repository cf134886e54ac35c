"""How close each precision stays to fp32 on real clips, for `precision="auto"`.

    python benchmarks/precision.py CLIP [CLIP ...] [--frames 24] [--device auto]

Prints, for each clip, model and precision: PSNR over all frames and the largest difference of any
pixel on a scale of 255, both against fp32 of the same engine; and milliseconds a step.
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from blocks import picture, read

from vsanimesr import weights
from vsanimesr.colour import FULL_RGB
from vsanimesr.engines import Setup
from vsanimesr.engines.torch.engine import State, TorchEngine


def render(
    frames: list[np.ndarray], model: str, device: str, precision: str
) -> tuple[torch.Tensor, float, str]:
    """All pictures (t, 3, 4h, 4w), seconds a step, and what ran."""
    height, width = frames[0].shape[1:]
    engine = TorchEngine(
        weights.load(model),
        Setup(
            width=width,
            height=height,
            device=device,
            precision=precision,
        ),
    )
    sources = [engine.upload(list(frame), FULL_RGB) for frame in frames]
    state: State | None = None
    pictures: list[torch.Tensor] = []
    last = len(sources) - 1
    begin = time.perf_counter()
    for t, current in enumerate(sources):
        state = engine.step(sources[max(t - 1, 0)], current, sources[min(t + 1, last)], state)
        pictures.append(picture(state).cpu())
    seconds = (time.perf_counter() - begin) / len(sources)
    return torch.stack(pictures), seconds, engine.description


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("--frames", type=int, default=24)
    parser.add_argument("--device", default="auto")
    options = parser.parse_args(arguments)
    print("| clip | model | precision | PSNR dB | worst pixel of 255 | ms a step |")
    print("|---|---|---|---|---|---|")
    description = ""
    for path in options.clips:
        frames = read(path)[0][: options.frames]
        for model in ("v1", "v2"):
            reference: torch.Tensor | None = None
            for precision in ("fp32", "fp16", "bf16"):
                found, seconds, description = render(frames, model, options.device, precision)
                if reference is None:
                    reference = found
                difference = (found - reference).abs()
                square = float((difference**2).mean())
                psnr = f"{-10 * np.log10(square):.1f}" if square else "-"
                worst = float(difference.max()) * 255
                print(
                    f"| {path.stem} | {model} | {precision} | {psnr} | {worst:.1f} "
                    f"| {seconds * 1e3:.0f} |"
                )
    print(f"\n{description}")


if __name__ == "__main__":
    main()
