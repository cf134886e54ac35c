"""What int8 costs and gains: PSNR and drift against fp32 on real clips, pictures, and speed.

    python benchmarks/int8.py judge CLIP [CLIP ...] [--models v1 v2] [--precisions int8]
                                    [--frames 100] [--out FOLDER]
    python benchmarks/int8.py speed [--size 320x180] [--rounds 9]

`judge` runs the recurrence over each clip without a restart, in fp32 (native) and in int8 on
OpenVINO, every precision fed its own images. Of the frames' PSNR to fp32 (RGB, clamped to [0, 1])
it tells that of all of them together, the least and its frame, those of the first and of the last
quarter, and that of the last quarter when both begin anew there: a drift would show as a difference
between the last two. With `--out` it writes crops of the worst and of the last frame side by side:
fp32, int8, and their difference eight times as large. `speed` times a step of every engine in turn.

Cap what processor is seen: ONEDNN_MAX_CPU_ISA=AVX2, AVX2_VNNI, AVX512_CORE, AVX512_CORE_VNNI.
Clips: benchmarks/make_clips.py.
"""

import argparse
import datetime
import os
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from blocks import read

from vsanimesr import engines, weights
from vsanimesr.colour import FULL_RGB
from vsanimesr.engines import Setup
from vsanimesr.engines.processor import processor
from vsanimesr.errors import EngineError

SUBJECTS = (
    ("torch", "fp32"),
    ("torch", "bf16"),
    ("onnx", "fp32"),
    ("openvino", "fp32"),
    ("openvino", "bf16"),
    ("openvino", "int8"),
    ("ncnn", "fp32"),
    ("native", "fp32"),
)
CROP = (256, 384)
"""Rows and columns of the pictures."""


def images(frames: Sequence[np.ndarray], model: str, precision: str) -> Iterator[np.ndarray]:
    """The enlarged frames (3, 4h, 4w), clamped."""
    height, width = frames[0].shape[1:]
    setup = Setup(width=width, height=height, device="cpu", precision=precision)
    backend = "native" if precision == "fp32" else "openvino"
    engine = engines.load(backend, weights.load(model), setup)
    sources = [engine.upload(list(frame), FULL_RGB) for frame in frames]
    state: Any = None
    for t, current in enumerate(sources):
        before, after = sources[max(t - 1, 0)], sources[min(t + 1, len(sources) - 1)]
        state = engine.step(before, current, after, state)
        planes = [np.empty((4 * height, 4 * width), np.float32) for _ in range(3)]
        engine.write(state, planes, FULL_RGB)
        yield np.stack(planes).clip(0, 1)
    engine.close()


def psnr(squares: Sequence[float]) -> float:
    """In dB, of mean squares."""
    return -10 * float(np.log10(max(statistics.mean(squares), 1e-14)))


def judge(
    paths: Sequence[Path],
    models: Sequence[str],
    precisions: Sequence[str],
    count: int,
    out: Path | None,
) -> None:
    """Print a table."""
    print("| clip | model | precision | PSNR, dB | least (frame) | first quarter | last | anew |")
    print("|---|---|---|---|---|---|---|---|")
    for path in paths:
        frames = read(path)[0][:count]
        quarter = max(len(frames) // 4, 1)
        for model in models:
            exact = list(images(frames, model, "fp32"))
            anew = list(images(frames[-quarter:], model, "fp32"))
            for precision in precisions:
                near = list(images(frames, model, precision))
                squares = errors(exact, near)
                worst = squares.index(max(squares))
                fresh = errors(anew, images(frames[-quarter:], model, precision))
                parts = (squares[:quarter], squares[-quarter:], fresh)
                least = f"{psnr([squares[worst]]):.1f} ({worst})"
                cells = " | ".join(f"{psnr(part):.1f}" for part in parts)
                said = f"{psnr(squares):.1f} | {least} | {cells}"
                print(f"| {path.stem} | {model} | {precision} | {said} |", flush=True)
                if out:
                    for t in (worst, len(frames) - 1):
                        name = f"{path.stem}_{model}_{precision}_{t}.png"
                        picture(out / name, exact[t], near[t])


def errors(exact: Iterable[np.ndarray], near: Iterable[np.ndarray]) -> list[float]:
    """Mean square of the difference, frame by frame."""
    return [float(((a - b) ** 2).mean()) for a, b in zip(exact, near, strict=True)]


def picture(path: Path, exact: np.ndarray, near: np.ndarray) -> None:
    """The middle of two images at 100 %, and eight times their difference."""
    import cv2

    top, left = ((n - most) // 2 for n, most in zip(exact.shape[1:], CROP, strict=True))
    crop = (slice(None), slice(top, top + CROP[0]), slice(left, left + CROP[1]))
    sides = (exact[crop], near[crop], (0.5 + 8 * (near[crop] - exact[crop])).clip(0, 1))
    row = np.concatenate(sides, axis=2).transpose(1, 2, 0)[..., ::-1]
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), (row * 255).round().astype(np.uint8))


def speed(width: int, height: int, rounds: int) -> None:
    """Print a table; every round starts with another engine."""
    steps: dict[str, Callable[[], object]] = {}
    for backend, precision in SUBJECTS:
        if precision == "bf16" and processor() not in ("amx", "avx512_bf16"):
            continue  # it would be emulated
        setup = Setup(width=width, height=height, device="cpu", precision=precision)
        try:
            steps[f"{backend} {precision}"] = ready(backend, setup)
        except EngineError as error:
            print(f"- {backend} {precision}: {error}")
    wall: dict[str, list[float]] = {name: [] for name in steps}
    spent: dict[str, list[float]] = {name: [] for name in steps}
    names = list(steps)
    for number in range(rounds):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            time.sleep(0.05)
            begin, used = time.perf_counter(), time.process_time()
            steps[name]()
            wall[name].append((time.perf_counter() - begin) * 1e3)
            spent[name].append((time.process_time() - used) * 1e3)
    cap = os.environ.get("ONEDNN_MAX_CPU_ISA", "none")
    print(f"\n{datetime.date.today()}, load {os.getloadavg()[0]:.1f}, cap {cap}\n")
    print(f"| {width}x{height} | ms, least | median | processor, ms |")
    print("|---|---|---|---|")
    for name in steps:
        cells = (min(wall[name]), statistics.median(wall[name]), min(spent[name]))
        print(f"| {name} | {' | '.join(f'{x:.0f}' for x in cells)} |")


def ready(backend: str, setup: Setup) -> Callable[[], object]:
    """A step on noise, run once."""
    engine = engines.load(backend, weights.load("v2"), setup)
    shape = (3, setup.height, setup.width)
    frame = list(np.random.default_rng(0).random(shape, np.float32))
    source = engine.upload(frame, FULL_RGB)
    state = engine.step(source, source, source, None)
    return lambda: engine.step(source, source, source, state)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one of the two."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    actions = parser.add_subparsers(required=True, dest="action")
    judging = actions.add_parser("judge")
    judging.add_argument("clips", nargs="+", type=Path)
    judging.add_argument("--models", nargs="+", default=("v1", "v2"))
    judging.add_argument("--precisions", nargs="+", default=("int8",))
    judging.add_argument("--frames", type=int, default=100)
    judging.add_argument("--out", type=Path)
    timing = actions.add_parser("speed")
    timing.add_argument("--size", default="320x180")
    timing.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args(arguments)
    if options.action == "judge":
        judge(options.clips, options.models, options.precisions, options.frames, options.out)
    else:
        width, height = map(int, options.size.split("x"))
        speed(width, height, options.rounds)


if __name__ == "__main__":
    main()
