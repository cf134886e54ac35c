"""Milliseconds a step of the engine alone, and its share of the arithmetic's floor.

    python benchmarks/steps.py --size 640x480 --precision fp16 --device cuda [--peak 790]

Each step takes 1.127232 million multiply-adds a source pixel. `--peak` is what the device reaches
on large matrix products, in TFLOP/s; with it the share is printed.
"""

import argparse
import statistics
import time
from collections.abc import Sequence

import numpy as np
import torch

from vsanimesr import weights
from vsanimesr.colour import FULL_RGB
from vsanimesr.engines import Setup
from vsanimesr.engines.torch.engine import State, TorchEngine

MULTIPLY_ADDS = 1_127_232  # a source pixel, all convolutions


def main(arguments: Sequence[str] | None = None) -> None:
    """Print one line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", default="320x180")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--model", default="v2")
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--peak", type=float, help="TFLOP/s")
    options = parser.parse_args(arguments)
    width, height = map(int, options.size.split("x"))
    engine = TorchEngine(
        weights.load(options.model),
        Setup(
            width=width,
            height=height,
            device=options.device,
            precision=options.precision,
        ),
    )
    cuda = "cuda" in engine.description or options.device.startswith("cuda")
    picture = list(np.random.default_rng(0).random((3, height, width), np.float32))
    source = engine.upload(picture, FULL_RGB)
    state: State | None = None
    times: list[float] = []
    for _ in range(options.steps + 5):
        begin = time.perf_counter()
        state = engine.step(source, source, source, state)
        if cuda:
            torch.cuda.synchronize()
        times.append(time.perf_counter() - begin)
    seconds = statistics.median(times[5:])
    work = 2 * MULTIPLY_ADDS * width * height / 1e12
    line = f"{options.size}  {engine.description}  {seconds * 1e3:.2f} ms"
    line += f"  {work / seconds:.2f} TFLOP/s"
    if options.peak:
        line += f"  {work / seconds / options.peak:.0%} of {options.peak:g}"
    if cuda:
        line += f"  {torch.cuda.max_memory_allocated() / 2**20:.0f} MB"
    print(line)


if __name__ == "__main__":
    main()
