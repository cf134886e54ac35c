"""What the pipeline of `vsanimesr upscale` costs beside its engine and its encoder.

    python benchmarks/pipeline.py                       # the network
    python benchmarks/pipeline.py --engine point        # a cheap engine: the difference alone

Seconds of processor time, of a process with all its children: the command; `vspipe` with the same
filter, frames thrown away; ffmpeg with the same encoder, which reads the frames from a file. What
the command takes beyond the other two is the pipeline: index, scenes, pipe, verification, join.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import vapoursynth as vs

from vsanimesr.encode import AnimeSR, Encoding, upscale_file
from vsanimesr.encode.common.ffmpeg import find_ffmpeg

SAMPLE = Path(__file__).parent.parent / "examples" / "sample.mkv"
SCRIPT = """
import vapoursynth as vs
clip = vs.core.bs.VideoSource({source!r}, showprogress=False)
clip = vs.core.scd.Detect(clip)
{engine}.set_output()
"""
ENGINES = {
    "animesr": "vs.core.animesr.Upscale(clip, format=vs.YUV420P10)",
    "point": "clip.resize.Point(clip.width * 4, clip.height * 4, format=vs.YUV420P10)",
}


class Point(AnimeSR):
    """The cheap engine, as an encode takes it."""

    def __call__(self, clip: vs.VideoNode, format_id: int) -> vs.VideoNode:
        """Enlarge."""
        core: Any = vs.core
        return core.resize.Point(clip, clip.width * 4, clip.height * 4, format=format_id)

    def engine(self) -> dict[str, str]:
        """Nothing."""
        return {}


def cost(command: list[str]) -> float:
    """Seconds of processor time of a program and its children."""
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(child.pid, 0)
    if status:
        sys.exit(f"{command[0]} failed with {status}")
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Print each round, and the share."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--frames", type=int, default=240)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--engine", choices=tuple(ENGINES), default="animesr")
    parser.add_argument("--encoder", default="x265")
    parser.add_argument("--preset")
    parser.add_argument("--job", nargs=2, metavar=("IN", "OUT"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    encoding = Encoding(encoder=given.encoder, preset=given.preset)
    if given.job:
        source, output = map(Path, given.job)
        upscale = AnimeSR() if given.engine == "animesr" else Point()
        upscale_file(source, output, encoding=encoding, upscale=upscale, overwrite=True)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source, raw, script = folder / "in.mkv", folder / "raw", folder / "a.vpy"
        ffmpeg = [str(find_ffmpeg()), "-nostdin", "-v", "error", "-y"]
        looped = ["-stream_loop", "-1", "-i", str(SAMPLE), "-frames:v", str(given.frames)]
        subprocess.run([*ffmpeg, *looped, "-c", "copy", str(source)], check=True)
        script.write_text(SCRIPT.format(source=str(source), engine=ENGINES[given.engine]))
        own = [sys.executable, __file__, "--engine", given.engine, "--encoder", given.encoder]
        own += ["--preset", given.preset] if given.preset else []
        command = [*own, "--job", str(source), str(folder / "out.mkv")]
        piped = [str(Path(sys.executable).with_name("vspipe")), str(script), "--"]
        os.environ["XDG_CACHE_HOME"] = str(folder)  # no index is there beforehand
        os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        decoded = [*ffmpeg, "-i", str(folder / "out.mkv"), "-f", "rawvideo", str(raw)]
        encode = [*ffmpeg, "-f", "rawvideo", "-pixel_format", "yuv420p10le", "-video_size"]
        encode += ["1280x720", "-framerate", "24", "-i", str(raw), *encoding.options()]
        encode += ["-f", "matroska", os.devnull]
        print("| command | engine | encoder | the rest, of the slower |\n|---|---|---|---|")
        rows = list[tuple[float, float, float]]()
        for _ in range(given.rounds):
            for index in folder.glob("vsanimesr/index/*"):
                index.unlink()
            whole = cost(command)
            if not raw.exists():
                subprocess.run(decoded, check=True)
            rows.append((whole, cost(piped), cost(encode)))
            tell(rows[-1])
        if given.rounds > 1:
            tell(tuple(map(statistics.median, zip(*rows, strict=True))))


def tell(row: tuple[float, ...]) -> None:
    """A line of the table."""
    whole, engine, encoder = row
    rest = whole - engine - encoder
    share = rest / max(engine, encoder)
    print(f"| {whole:.2f} s | {engine:.2f} s | {encoder:.2f} s | {rest:.2f} s, {share:.1%} |")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
