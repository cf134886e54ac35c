"""What `dedup` saves, and how far its output is from that of every frame computed.

    python benchmarks/dedup.py --out docs live2d_lq.mkv queen_lq.mkv

Each clip is taken as it is (queen: a game at 15 frames/s with many still pictures), and on twos and
on threes: each of its frames held, and all encoded anew with x264, so that held frames differ as
they do in what people have. Scene cuts are marked by the plugin `scd`.

- steps: network steps run a source frame; without `dedup` 1, and a little more for warm-up.
- CPU: seconds of CPU time a source frame; decoding and comparing included.
- PSNR, worst frame: of the luma of the output (8 bit) against `dedup=-1`; held frames of which the
  network makes a different picture each time (it never stops moving) count as differences.
- to the original: PSNR against the lossless NAME_gt.mkv beside NAME_lq.mkv, where there is one.

Then what the luma of successive frames differs by, where a frame is held and where it moves, in
three measures; and the time that the comparison takes for frames of 1280x720, 8 bit 4:2:0. Writes
dedup.md.
"""

import argparse
import subprocess
import tempfile
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import numpy as np
import vapoursynth as vs

from vsanimesr import engines
from vsanimesr.bench import machine
from vsanimesr.encode.scenes import detected
from vsanimesr.vs.api import ColorFamily, SampleType, VideoFormat
from vsanimesr.vs.held import Pictures, worst_square

core: Any = vs.core
THRESHOLDS = (0.0, 2.0, 4.0, 6.0, 8.0)
CRF = 23


def held(path: Path, times: int, frames: int, folder: Path) -> Path:
    """The first `frames` of a clip, each `times` times, encoded anew with x264."""
    out = folder / f"{path.stem}_{times}.mkv"
    kept = -(-frames // times)
    repeat = f"trim=end_frame={kept},setpts=N*{times}/24/TB,fps=24,trim=end_frame={frames}"
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", "-i", path, "-vf", repeat]
    subprocess.run([*command, "-c:v", "libx264", "-crf", str(CRF), out], check=True, timeout=300)
    return out


class Counted:
    """An engine that counts its steps."""

    def __init__(self, engine: Any) -> None:  # noqa: ANN401
        """Around another engine."""
        self._engine = engine
        self.steps = 0

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return getattr(self._engine, name)

    def step(self, *arguments: Any) -> Any:  # noqa: ANN401
        """See `Engine.step`."""
        self.steps += 1
        return self._engine.step(*arguments)


def render(path: Path, dedup: float, frames: int) -> tuple[list[np.ndarray], float, float]:
    """Luma of the first output frames; steps and CPU seconds a source frame."""
    counted: list[Counted] = []
    load = engines.load

    def count(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401
        counted.append(Counted(load(*arguments, **options)))
        return counted[0]

    clip = detected(core.bs.VideoSource(path, showprogress=False))[:frames]
    engines.load = count  # type: ignore[assignment]
    try:
        out = core.animesr.Upscale(clip, dedup=dedup)
    finally:
        engines.load = load
    begin = time.process_time()
    pictures = [np.asarray(frame[0]).copy() for frame in out.frames(close=True)]
    seconds = time.process_time() - begin
    return pictures, counted[0].steps / len(clip), seconds / len(clip)


def luma(clip: Any) -> list[np.ndarray]:  # noqa: ANN401
    """The luma of a clip's frames, 8 bit; RGB is taken as `ffmpeg` makes 4:2:0 of it."""
    matrix = {"matrix": vs.MATRIX_ST170_M} if clip.format.color_family == vs.RGB else {}
    clip = core.resize.Bicubic(clip, format=vs.YUV444P8, **matrix)
    return [np.asarray(frame[0]).copy() for frame in clip.frames(close=True)]


def psnr(a: Sequence[np.ndarray], b: Sequence[np.ndarray]) -> list[str]:
    """Table cells: PSNR of two sequences of 8 bit frames in dB, and that of the worst frame."""
    errors = np.array(
        [np.square(np.subtract(x, y, dtype=np.float32)).mean() for x, y in zip(a, b, strict=True)]
    )
    squares = (float(errors.mean()), float(errors.max()))
    return [f"{10 * np.log10(255**2 / e):.1f}" if e else "equal" for e in squares]


def rows(path: Path, name: str, frames: int, original: Sequence[np.ndarray]) -> list[str]:
    """Table rows of one clip."""
    lines: list[str] = []
    plain: list[np.ndarray] = []
    for dedup in (-1.0, *THRESHOLDS):
        pictures, steps, seconds = render(path, dedup, frames)
        plain = plain or pictures
        to_plain = psnr(plain, pictures) if dedup >= 0 else ["", ""]
        to_original = psnr(original, pictures)[0] if original else ""
        cells = [name, f"{dedup:g}", f"{steps:.2f}", f"{seconds:.2f}", *to_plain, to_original]
        lines.append(f"| {' | '.join(cells)} |")
        print(lines[-1], flush=True)
    return lines


def distances(path: Path, times: int, frames: int) -> list[str]:
    """Table rows: what successive frames differ by in a clip that holds each `times` times."""
    pictures = luma(core.bs.VideoSource(path, showprogress=False)[:frames])
    found: dict[bool, list[tuple[float, float, float]]] = {True: [], False: []}
    for n, (a, b) in enumerate(pairwise(pictures), 1):
        difference = np.abs(np.subtract(a, b, dtype=np.int16))
        measures = float(difference.mean()), float(difference.max()), worst_square(a, b)
        found[n % times > 0].append(measures)
    lines: list[str] = []
    for name, at in (("held", (50, 95, 100)), ("moving", (0, 5, 50))):
        columns = np.percentile(found[name == "held"], at, axis=0).T
        cells = (" / ".join(f"{x:.2f}" for x in column) for column in columns)
        lines.append(
            f"| {path.stem} | {name}, {at[0]} / {at[1]} / {at[2]} % | {' | '.join(cells)} |"
        )
    return lines


def comparison() -> list[str]:
    """Table rows of the time a comparison takes."""
    random = np.random.default_rng(0)
    shapes = ((720, 1280), (360, 640), (360, 640))
    a = [random.integers(16, 235, shape, np.uint8) for shape in shapes]
    equal = [plane.copy() for plane in a]
    noisy = [plane + random.integers(0, 2, plane.shape, np.uint8) for plane in a]
    moved = [plane[::-1] for plane in a]
    video_format = VideoFormat(ColorFamily.YUV, SampleType.INTEGER, 8, 1, 1, 1, 3)
    lines: list[str] = []
    for name, b in (("equal", equal), ("noise", noisy), ("motion", moved)):
        for dedup in (0.0, 4.0):
            pictures = Pictures(dedup, video_format)
            with pictures.seen({0: a, 1: b}):
                times: list[float] = []
                for _ in range(50):
                    begin = time.perf_counter()
                    pictures.differs(0, 1)
                    times.append(time.perf_counter() - begin)
            lines.append(f"| {name} | {dedup:g} | {min(times) * 1e3:.2f} |")
    return lines


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure the clips and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("--frames", type=int, default=72)
    parser.add_argument("--out", type=Path, default=Path("out"))
    options = parser.parse_args(arguments)
    lines = [
        "| clip | dedup | steps | CPU s | PSNR dB | worst frame | to the original |",
        "|---|---|---|---|---|---|---|",
    ]
    measures: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        for path in options.clips:
            lossless = path.with_name(path.name.replace("_lq", "_gt"))
            known = lossless != path and lossless.exists()
            source = core.bs.VideoSource(lossless, showprogress=False) if known else None
            original = luma(source[: options.frames]) if source else []
            lines += rows(path, path.stem, options.frames, original)
            for times, name in ((2, "twos"), (3, "threes")):
                slow = held(path, times, options.frames, Path(folder))
                shown = [original[n // times] for n in range(options.frames)] if original else []
                lines += rows(slow, f"{path.stem} on {name}", options.frames, shown)
                measures += distances(slow, times, options.frames)
    text = (
        f"Made by `benchmarks/dedup.py`, model v2, {options.frames} frames a clip, x264 at crf "
        f"{CRF}; {machine.header('cpu')}.\n\n" + "\n".join(lines) + "\n\n"
        "Luma of successive frames, in 8 bit code values, at percentiles:\n\n"
        "| clip | frames | mean | worst sample | worst 16x16 square |\n|---|---|---|---|---|\n"
        + "\n".join(measures)
        + "\n\nComparing two frames of 1280x720, 8 bit 4:2:0, best of 50:\n\n"
        "| frames | dedup | ms |\n|---|---|---|\n" + "\n".join(comparison()) + "\n"
    )
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "dedup.md").write_text(text)


if __name__ == "__main__":
    main()
