"""What `prefetch` gains a consumer that asks for one frame after the other.

    python benchmarks/prefetch.py [--seconds 4] [--out docs]

Three filters upstream, whose speed each scales with the threads VapourSynth gives them:

- **resize**: native, a chain of `resize.Spline64`, busy on one core for each frame;
- **waiting**: frames that come after 20 ms in which no core works, as from a disk or a GPU;
- **none**: a clip that costs nothing.

Two engines: one that does nothing, so that upstream is all there is to gain from, and the network
at 160x90, which on a CPU takes every core by itself. Two consumers: `get_frame` in a loop, and
`vspipe -r 1`. Each pair, without and with prefetch, is measured in turn; frames/s are medians.

First the filters upstream by themselves, one frame at a time and as many as there are threads: what
the machine has to give at all, which on a busy one is little for filters that need its cores.
Writes prefetch.md.
"""

import argparse
import os
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import vapoursynth as vs
from node import Nothing

from vsanimesr import engines
from vsanimesr.bench import machine

core: Any = vs.core
WIDTH, HEIGHT = 160, 90
WAIT_SECONDS = 0.02
ROUNDS = 5
LENGTH = 100_000


def resizing(clip: Any) -> Any:  # noqa: ANN401
    """A chain of native filters, about 20 ms of one core for each frame."""
    for _ in range(2):
        clip = clip.resize.Spline64(1280, 720).resize.Spline64(960, 540)
    return clip.resize.Spline64(WIDTH, HEIGHT)


def waiting(clip: Any) -> Any:  # noqa: ANN401
    """Frames that take a while. Eight filters side by side, for one `ModifyFrame` waits alone."""

    def wait(n: int, f: vs.VideoFrame) -> vs.VideoFrame:
        time.sleep(WAIT_SECONDS)
        return f

    parts = [clip[i::8] for i in range(8)]
    return core.std.Interleave([part.std.ModifyFrame(part, wait) for part in parts])


def nothing(clip: Any) -> Any:  # noqa: ANN401
    """The clip itself."""
    return clip


UPSTREAM: dict[str, Callable[[Any], Any]] = {
    "none": nothing,
    "resize": resizing,
    "waiting": waiting,
}


def upscaled(upstream: str, real: bool, prefetch: int) -> Any:  # noqa: ANN401
    """The clip that is measured; `prefetch` -1 is the default."""
    clip = core.std.BlankClip(None, WIDTH, HEIGHT, vs.RGBS, length=LENGTH, keep=True)
    clip = UPSTREAM[upstream](clip)
    if real:
        return core.animesr.Upscale(clip, prefetch=prefetch)
    load, engines.load = engines.load, lambda *_, **__: Nothing()  # type: ignore[assignment]
    try:
        return core.animesr.Upscale(clip, prefetch=prefetch)
    finally:
        engines.load = load


def alone(upstream: str, in_flight: int, seconds: float) -> float:
    """Frames/s of the filters upstream, with so many requests in flight."""
    clip = core.std.BlankClip(None, WIDTH, HEIGHT, vs.RGBS, length=LENGTH, keep=True)
    begin = time.perf_counter()
    frames = UPSTREAM[upstream](clip).frames(prefetch=in_flight, backlog=in_flight, close=True)
    for n, _ in enumerate(frames):
        if (taken := time.perf_counter() - begin) > seconds:
            return n / taken
    raise RuntimeError(f"{LENGTH} frames are too few for {seconds} s")


def loop(upstream: str, real: bool, prefetch: int, frames: int) -> float:
    """Frames/s of `get_frame` in a loop."""
    clip = upscaled(upstream, real, prefetch)
    clip.get_frame(0).close()
    begin = time.perf_counter()
    for n in range(1, frames + 1):
        clip.get_frame(n).close()
    return frames / (time.perf_counter() - begin)


def vspipe(upstream: str, real: bool, prefetch: int, frames: int) -> float:
    """Frames/s of `vspipe -r 1`, its start and first frame left out."""
    scripts = Path(sysconfig.get_path("scripts"))
    environment = os.environ | {"PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}"}
    source = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "import prefetch\n"
        f"prefetch.upscaled({upstream!r}, {real}, {prefetch}).set_output()\n"
    )
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "clip.vpy"
        script.write_text(source)
        seconds: list[float] = []
        for last in (0, frames):
            command = [scripts / "vspipe", "-r", "1", "-e", str(last), script, "--"]
            begin = time.perf_counter()
            subprocess.run(command, check=True, env=environment, capture_output=True, timeout=300)
            seconds.append(time.perf_counter() - begin)
    return frames / (seconds[1] - seconds[0])


def measure(
    consumer: Callable[[str, bool, int, int], float], upstream: str, real: bool, seconds: float
) -> tuple[float, float, float]:
    """Frames/s without and with prefetch, and the gain: medians of pairs measured in turn."""
    frames = max(8, round(seconds * loop(upstream, real, 0, 8)))
    pairs = [[consumer(upstream, real, p, frames) for p in (0, -1)] for _ in range(ROUNDS)]
    without, with_ = (statistics.median(column) for column in zip(*pairs, strict=True))
    return without, with_, statistics.median(b / a for a, b in pairs)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure all pairs and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=4, help="of each run without prefetch")
    parser.add_argument("--out", type=Path, default=Path("out"))
    options = parser.parse_args(arguments)
    lines = ["| upstream alone | one at a time | all threads | gain |", "|---|---|---|---|"]
    for upstream in ("resize", "waiting"):
        pairs = [
            [alone(upstream, k, options.seconds) for k in (1, core.num_threads)] for _ in "123"
        ]
        one, many = (statistics.median(column) for column in zip(*pairs, strict=True))
        gain = statistics.median(b / a for a, b in pairs)
        lines.append(f"| {upstream} | {one:.1f} | {many:.1f} | {gain:.2f} |")
        print(lines[-1], flush=True)
    lines += [
        "",
        "| engine | upstream | consumer | prefetch=0, frames/s | default, frames/s | gain |",
        "|---|---|---|---|---|---|",
    ]
    for real in (False, True):
        for upstream in UPSTREAM:
            for name, consumer in {"get_frame": loop, "vspipe -r 1": vspipe}.items():
                without, with_, gain = measure(consumer, upstream, real, options.seconds)
                engine = "the network" if real else "none"
                row = f"{engine} | {upstream} | `{name}` | {without:.1f} | {with_:.1f}"
                lines.append(f"| {row} | {gain:.2f} |")
                print(lines[-1], flush=True)
    text = (
        f"Made by `python benchmarks/prefetch.py {' '.join(sys.argv[1:])}`; "
        f"{machine.header('cpu')}.\n\n" + "\n".join(lines) + "\n"
    )
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "prefetch.md").write_text(text)


if __name__ == "__main__":
    main()
