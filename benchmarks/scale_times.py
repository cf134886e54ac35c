"""What an encode's parts take on this machine: the figures that benchmarks/scale.py simulates with.

    python benchmarks/scale_times.py
    python benchmarks/scale.py $(python benchmarks/scale_times.py --words)

Of each the clock and the processor time (children included), the median of so many rounds. Where
other work runs, the processor time is the one to take.
"""

import argparse
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from vsanimesr.encode import AnimeSR, Encoding
from vsanimesr.encode.chunks import Chunk
from vsanimesr.encode.common.durable import digest
from vsanimesr.encode.common.ffmpeg import find_ffmpeg
from vsanimesr.encode.given.film import Film
from vsanimesr.encode.join.join import join
from vsanimesr.encode.join.planning import plan
from vsanimesr.encode.journal.journal import Journal
from vsanimesr.encode.render.renderer import Renderer
from vsanimesr.encode.scenes import find
from vsanimesr.encode.source.picture import Look
from vsanimesr.encode.source.video import open_video
from vsanimesr.encode.verify import verify
from vsanimesr.encode.workers.child import Child

SAMPLE = Path(__file__).parent.parent / "examples" / "sample.mkv"
FRAMES, SHORT = 2400, 120


def unheard(done: int, total: int) -> None:
    """Progress that nobody follows."""


def measured(work: Callable[[], Any]) -> tuple[float, float]:
    """Seconds by the clock and of processor time."""
    before, begun = os.times(), time.perf_counter()
    work()
    after = os.times()
    return time.perf_counter() - begun, sum(after[:4]) - sum(before[:4])


def main() -> None:
    """Print the table, or the arguments."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--words", action="store_true", help="arguments for benchmarks/scale.py")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["XDG_CACHE_HOME"] = name
        source = folder / "in.mkv"
        ffmpeg = [str(find_ffmpeg()), "-nostdin", "-v", "error", "-y", "-stream_loop", "-1"]
        looped = ["-i", str(SAMPLE), "-frames:v", str(FRAMES), "-c", "copy", str(source)]
        subprocess.run([*ffmpeg, *looped], check=True)
        track = plan(source, "matroska").track
        film = Film(source=source, track=track, upscale=AnimeSR(), encoding=Encoding())
        video = open_video(film)
        found = dict[str, tuple[float, float]]()

        def note(name: str, per: float, work: Callable[[], Any]) -> None:
            rounds = [measured(work) for _ in range(given.rounds)]
            clock, processor = (statistics.median(values) for values in zip(*rounds, strict=True))
            found[name] = clock / per, processor / per

        renderer = Renderer(film, video)
        renderer.digest(0)  # the engine is loaded
        chunk, path = Chunk(0, 0, SHORT), folder / "chunk.mkv"
        note("step", SHORT, lambda: renderer.render(chunk, path))
        note("tail", SHORT / 240, lambda: verify(path, SHORT))
        note("scenes", FRAMES, lambda: find(video.clip, True, Look(), unheard))
        made = verify(path, SHORT)
        data = path.read_bytes()
        journal = Journal(folder, folder / "out.mkv")
        journal.agree({})

        def keep() -> None:
            """A chunk of 240 frames, in bytes, as it comes over the network."""
            new = folder / "new.mkv"
            new.write_bytes(data + data)
            assert digest(new)
            journal.enter(chunk, new, made)

        note("kept", 1, keep)
        times = replace(video.times, pts=video.times.pts[: FRAMES // SHORT * SHORT])
        rest = plan(source, "matroska")
        chunks, output = [path] * (FRAMES // SHORT), folder / "joined.mkv"
        note(
            "join",
            FRAMES,
            lambda: join(chunks, output, times=times, rest=rest, muxer="matroska", tags={}),
        )

        def start() -> None:
            worker = Child(film)
            worker.facts(chunk, folder)
            worker.close()
            while multiprocessing.active_children():  # only then its time is known
                time.sleep(0.01)

        note("start", 1, start)
        size = len(data) / SHORT
    whole, checked = found["step"], found["tail"]  # a chunk is verified beside the next one
    found["step"] = (whole[0] - checked[0] / 240, whole[1] - checked[1] / 240)
    if given.words:
        words = [f"--{name} {clock:.4g}" for name, (clock, _) in found.items()]
        sys.stdout.write(" ".join([*words, f"--size {size:.0f}"]) + "\n")
        return
    sys.stdout.write("| of | clock, s | processor, s |\n|---|---|---|\n")
    for name, (clock, processor) in found.items():
        sys.stdout.write(f"| {name} | {clock:.5f} | {processor:.5f} |\n")
    sys.stdout.write(f"| size | {size:.0f} bytes a frame | |\n")


if __name__ == "__main__":
    main()
