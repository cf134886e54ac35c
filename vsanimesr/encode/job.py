"""The job: one file in, one file out, and nothing that looks finished unless it is."""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from vsanimesr.encode.command import video_input, video_output
from vsanimesr.encode.container import muxer_of, plan
from vsanimesr.encode.enlarge import animesr, enlarged
from vsanimesr.encode.ffmpeg import Encoding, Process, find_ffmpeg
from vsanimesr.encode.frames import FORMATS, NutWriter, pixel_format
from vsanimesr.encode.names import beside, url
from vsanimesr.encode.source import open_source
from vsanimesr.errors import EncodeError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    import vapoursynth as vs

    from vsanimesr.encode.enlarge import Upscale

_HDR = {
    "MasteringDisplayMaxLuminance": "mastering display",
    "ContentLightLevelMax": "light level",
    "DolbyVisionRPU": "Dolby Vision",
    "HDR10Plus": "HDR10+",
}


def upscale_file(
    source: Path,
    output: Path,
    *,
    encoding: Encoding | None = None,
    upscale: Upscale | None = None,
    overwrite: bool = False,
    report: Callable[[str], None] = lambda _: None,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> int:
    """Enlarge the video of a file; keep its frame times, sound, subtitles, chapters and tags.

    The result is written beside `output` as `.NAME.part` and takes its name only when it is
    complete, checked and on the disk; after an error or a Ctrl-C no file is left.

    Args:
        source: A file with video.
        output: The file to write: .mkv, .mp4, .m4v or .mov.
        encoding: How to compress; None: the defaults of `Encoding`.
        upscale: What enlarges the clip; None: `core.animesr.Upscale` with its defaults.
        overwrite: Whether `output` may exist.
        report: Called with each line the user should read.
        progress: Called with the frames done and the frames in all.

    Returns:
        The number of frames written.

    Raises:
        EncodeError: The source cannot be read or enlarged, the result cannot be written.
    """
    encoding = encoding or Encoding()
    muxer = _check_paths(source, output, overwrite)
    ffmpeg = find_ffmpeg()
    if encoding.format not in FORMATS:
        pixel_format(encoding.format)
    part = beside(output, ".part")
    with (
        tempfile.TemporaryDirectory(prefix="vsanimesr-") as folder,
        _removed(part),
        _logged(report),
    ):
        extras = plan(source, muxer, Path(folder))
        opened = open_source(source, extras.track)
        for note in (opened.times.note, *opened.notes, *extras.notes):
            if note:
                report(note)
        clip = enlarged(opened.clip, encoding.format, upscale or animesr)
        frames = _frames(clip, source)
        first = next(frames)
        if lost := [text for prop, text in _HDR.items() if prop in first.props]:
            report(f"{', '.join(lost)} data of {source.name} is not carried over")
        command = [
            *(str(ffmpeg), "-hide_banner", "-nostdin", "-nostats", "-loglevel", "error", "-y"),
            *video_input(first, extras.shift),
            *("-itsoffset", f"{-extras.shift:.6f}", "-i", url(source)),
            *video_output(first, opened.times, extras.shift, muxer),
            *encoding.options(muxer),
            *extras.options,  # last: what is said there of one stream wins over `-c:v`
            *("-f", muxer, url(part)),
        ]
        process = Process(command)
        try:
            writer = NutWriter(clip, opened.times)
            for n, frame in enumerate(itertools.chain([first], frames)):
                process.write(writer.frame(n, frame))
                progress(n + 1, len(clip))
            process.write(writer.end())
            complaints = process.finish()
        finally:
            process.kill()
            frames.close()
        for line in complaints:
            report(f"ffmpeg: {line}")
        _check_count(part, len(clip))
        _publish(part, output)
    return len(clip)


def _check_paths(source: Path, output: Path, overwrite: bool) -> str:
    muxer = muxer_of(output)
    if not output.parent.is_dir():
        raise EncodeError(f"upscale: the folder {output.parent} is not there; make it first")
    if output.exists():
        if source.exists() and output.samefile(source):
            raise EncodeError(f"upscale: {output} is the source itself; give another output")
        if output.is_dir():
            raise EncodeError(f"upscale: {output} is a folder; give the name of a file")
        if not overwrite:
            raise EncodeError(f"upscale: {output} exists; give --overwrite to replace it")
    return muxer


def _frames(clip: vs.VideoNode, source: Path) -> Generator[Any]:
    """Frames in order, several in flight; their number bounds what waits in memory."""
    import vapoursynth as vs

    n = 0
    frames = clip.frames(close=True)
    try:
        for n, frame in enumerate(frames, 1):  # noqa: B007 (n names the frame that failed)
            yield frame
    except vs.Error as error:
        raise EncodeError(f"frame {n} of {source}: {error}") from error
    finally:
        cast("Any", frames).close()


@contextlib.contextmanager
def _removed(part: Path) -> Generator[None]:
    """Take the unfinished file away whatever happens."""
    try:
        yield
    finally:
        part.unlink(missing_ok=True)


class _Messages(logging.Handler):
    """Sends warnings, once each, where the user looks."""

    def __init__(self, report: Callable[[str], None]) -> None:
        super().__init__()
        self._report = report
        # BestSource 22 declares too few return values; VapourSynth mentions it on every call.
        self._seen = {"VideoSource: no return value(s) named timebaseden, timebasenum, timestamps"}

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if text not in self._seen:
            self._seen.add(text)
            self._report(text)


@contextlib.contextmanager
def _logged(report: Callable[[str], None]) -> Generator[None]:
    """Report what VapourSynth and the plugin log; it would print through a progress bar."""
    handler = _Messages(report)
    loggers = [logging.getLogger(name) for name in ("vapoursynth", "vsanimesr")]
    before = [logger.propagate for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.propagate = False
    try:
        yield
    finally:
        for logger, propagate in zip(loggers, before, strict=True):
            logger.removeHandler(handler)
            logger.propagate = propagate


def _check_count(part: Path, wanted: int) -> None:
    import av

    with av.open(url(part)) as container:
        video = container.streams.video[0]
        written = sum(1 for packet in container.demux(video) if packet.size)
    if written != wanted:
        raise EncodeError(
            f"upscale: the file written holds {written} frames, wanted {wanted}; "
            "nothing was kept (do the options for ffmpeg drop or add frames?)"
        )


def _publish(part: Path, output: Path) -> None:
    with part.open("r+b") as file:
        os.fsync(file.fileno())
    part.replace(output)
    if os.name == "posix":  # the name, too, has to survive a power cut
        folder = os.open(output.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
