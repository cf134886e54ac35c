"""What the node costs beside the network, and which filter mode serves frames faster.

    python benchmarks/node.py [--size 320x180] [--frames 60] [--model v2] [--backend auto]

Two tables:

- **Overhead**: an engine that does nothing, on frames of 16x16, so that what is left is scheduling:
  milliseconds a frame through the node, the source alone, and the difference.
- **Share**: the real engine bare (upload, step, write on one thread) and through the node in
  VapourSynth, in both filter modes, in turn within one run; frames/s and the ratio.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import vapoursynth as vs

from vsanimesr import engines, weights
from vsanimesr.colour import FULL_RGB, Colour
from vsanimesr.vs import plugin
from vsanimesr.vs.api import FilterMode

core: Any = vs.core
MODES = {
    "fmParallelRequests": FilterMode.PARALLEL_REQUESTS,
    "fmParallel and a lock": FilterMode.PARALLEL,
}
ROUNDS = 5


class Nothing:
    """An engine that costs nothing."""

    source_bytes = state_bytes = 1
    overlaps = False
    description = "nothing"

    def upload(self, planes: Sequence[np.ndarray], colour: Colour) -> int:
        """Take nothing."""
        return 1

    def step(self, previous: int, current: int, following: int, state: int | None) -> int:
        """Do nothing."""
        return 1

    def write(self, state: int, planes: Sequence[np.ndarray], colour: Colour) -> None:
        """Write nothing."""

    def close(self) -> None:
        """Free nothing."""


def seconds_a_frame(clip: vs.VideoNode, in_flight: int) -> float:
    """Time to get every frame in order."""
    begin = time.perf_counter()
    for frame in clip.frames(prefetch=in_flight, backlog=in_flight, close=True):
        del frame
    return (time.perf_counter() - begin) / len(clip)


def overhead(in_flight: int) -> dict[str, float]:
    """Milliseconds a frame: the source alone, and what the node adds in each mode."""
    frames = 2000
    blank = core.std.BlankClip(None, 16, 16, vs.RGBS, length=frames)
    large = core.std.BlankClip(None, 64, 64, vs.RGBS, length=frames)
    plain = core.std.FrameEval(large, _same(large), clip_src=[blank])  # one Python call a frame
    found = {"source alone": seconds_a_frame(plain, in_flight) * 1e3}
    real, engines.load = engines.load, lambda *_, **__: Nothing()  # type: ignore[assignment]
    try:
        for name, mode in MODES.items():
            plugin.filter_mode = lambda _, mode=mode: mode
            found[name] = seconds_a_frame(core.animesr.Upscale(blank), in_flight) * 1e3
    finally:
        engines.load = real
    return found


def _same(clip: Any) -> Callable[[int], Any]:  # noqa: ANN401
    def choose(n: int) -> Any:  # noqa: ANN401
        return clip

    return choose


def bare(width: int, height: int, frames: int, model: str, backend: str) -> Callable[[], float]:
    """Seconds a frame of the engine without VapourSynth."""
    tensors = weights.load(model)
    engine = engines.load(backend, tensors, engines.Setup(width=width, height=height))
    print(f"engine: {engine.description}, {width}x{height}")
    random = np.random.default_rng(0)
    pictures = random.random((4, 3, height, width), np.float32)
    planes = np.empty((3, 4 * height, 4 * width), np.float32)

    def run() -> float:
        state = None
        sources = [engine.upload(list(pictures[t % 4]), FULL_RGB) for t in range(2)]
        begin = time.perf_counter()
        for t in range(frames):
            sources.append(engine.upload(list(pictures[(t + 2) % 4]), FULL_RGB))
            previous, current, following = sources[-3:]
            state = engine.step(previous, current, following, state)
            engine.write(state, list(planes), FULL_RGB)
            del sources[:-3]
        return (time.perf_counter() - begin) / frames

    run()
    return run


def main(arguments: Sequence[str] | None = None) -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", default="320x180")
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--model", default="v2")
    parser.add_argument("--backend", default="auto")
    options = parser.parse_args(arguments)
    print(f"{core.num_threads} threads; VapourSynth {core.core_version.release_major}")
    print("\n| requests in flight | " + " | ".join(overhead(1)) + " |, ms a frame")
    for in_flight in (1, 4, 16):
        rounds = [overhead(in_flight) for _ in range(ROUNDS)]
        cells = (f"{statistics.median(r[name] for r in rounds):.3f}" for name in rounds[0])
        print(f"| {in_flight} | " + " | ".join(cells) + " |")

    width, height = map(int, options.size.split("x"))
    alone = bare(width, height, options.frames, options.model, options.backend)
    clip = core.std.BlankClip(None, width, height, vs.RGBS, length=options.frames, keep=True)
    clip = core.std.AddBorders(clip.std.CropAbs(width - 8, height - 8), 4, 4, 4, 4)
    print("\n| filter mode | in flight | bare frames/s | through the node | share |")
    for name, mode in MODES.items():
        for in_flight in (1, 4):
            plugin.filter_mode = lambda _, mode=mode: mode
            pairs: list[tuple[float, float]] = []
            for _ in range(ROUNDS):
                node = core.animesr.Upscale(
                    clip, model=options.model, backend=options.backend, block=0
                )
                node.get_frame(0).close()
                pairs.append((alone(), seconds_a_frame(node, in_flight)))
            ratio = statistics.median(a / b for a, b in pairs)
            a, b = (statistics.median(column) for column in zip(*pairs, strict=True))
            print(f"| {name} | {in_flight} | {1 / a:.2f} | {1 / b:.2f} | {ratio:.1%} |")


if __name__ == "__main__":
    main()
