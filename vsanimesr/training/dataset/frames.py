"""Videos, and their frames in one of two forms."""

import re
from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import cv2
import msgspec
import numpy as np
from av.error import FFmpegError
from av.video.codeccontext import VideoCodecContext
from av.video.reformatter import ColorRange, Colorspace

from vsanimesr.errors import TrainingError
from vsanimesr.training import pictures
from vsanimesr.training.dataset.recipe import Form
from vsanimesr.training.pictures import Picture

VIDEO = re.compile(
    r"\.(3gp|asf|avi|divx|f4v|flv|h26[45]|hevc|ivf|m[12]v|m2ts|m4v|mkv|mov|mp4|mpe?g|mts|mxf|nut|obu"
    r"|og[mv]|rm|rmvb|ts|vob|webm|wmv|y4m)",
    re.IGNORECASE,
)
"""What is taken from a folder; a file that is named itself may be called anything."""
GAP = 1
"""Seconds between two frames, from which on some are taken to be missing."""
IMAGES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
QSCALE = {"flags": "+qscale", "global_quality": "118", "qmin": "1", "qmax": "1"}
"""`-qscale:v 1 -qmin 1 -qmax 1`; FFmpeg counts quality in steps of 118 (FF_QP2LAMBDA)."""


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """A video before it is decoded, and by what one knows it again."""

    width: int
    height: int
    rate: float
    """Frames a second; 0: unknown."""
    bitrate: float
    """kbit/s; 0: unknown."""
    size: int
    """Bytes of the file, or of all files of the folder."""
    modified: int
    """Nanoseconds since the epoch; the latest of the folder's."""


def videos(sources: Iterable[Path], out: Path | None = None) -> dict[str, Path]:
    """The videos that the sources stand for, by name.

    Args:
        sources: Video files; folders of nothing but pictures, each one video; folders of either, of
            which files of other kinds are passed over.
        out: A folder that is passed over, wherever it is.

    Raises:
        TrainingError: A source is missing or empty, or two videos have one name.
    """
    found: dict[str, Path] = {}
    for source in sources:
        inside = list(_videos(source, out.resolve() if out else None))
        if not inside:
            raise TrainingError(
                f"{source}: no such file, or a folder without videos; wanted videos, or folders of "
                "them or of pictures"
            )
        for path in inside:
            name = path.name if path.is_dir() else path.stem
            if found.setdefault(name, path).resolve() != path.resolve():
                raise TrainingError(
                    f"{found[name]} and {path} would both make the clip {name}; rename one"
                )
    return dict(sorted(found.items()))


def probe(path: Path) -> Source:
    """What a video says of itself.

    Raises:
        TrainingError: It has no pictures, or cannot be opened.
    """
    files = [path] if path.is_file() else sorted(path.iterdir())
    stats = [file.stat() for file in files]
    size, modified = sum(one.st_size for one in stats), max(one.st_mtime_ns for one in stats)
    if path.is_dir():
        height, width = next(pictures.read(path)).shape[:2]
        rate = bitrate = 0.0
    else:
        try:
            with av.open(str(path)) as container:
                if not container.streams.video:
                    raise TrainingError(f"{path}: holds no pictures; wanted a video")
                stream = container.streams.video[0]
                width, height = stream.width, stream.height
                rate, bitrate = float(stream.average_rate or 0), container.bit_rate / 1000
        except (FFmpegError, OSError) as error:
            raise TrainingError(f"{path}: cannot be opened ({error})") from error
    return Source(
        width=width, height=height, rate=rate, bitrate=bitrate, size=size, modified=modified
    )


def read(path: Path, form: Form) -> Iterator[Picture]:
    """The frames of a video in order.

    Raises:
        TrainingError: As `pictures.read` does.
    """
    decoded = pictures.read(path)
    return decoded if form == "direct" else _through_jpeg(decoded)


def doubt(path: Path, decoded: int) -> str:
    """What makes one doubt that a video was read whole, or nothing; packets tell, undecoded.

    A doubt is no error: fields may come in packets of their own, and sound may outlast pictures.

    Args:
        path: Of a video that can be read.
        decoded: Frames that were.
    """
    if path.is_dir():
        return ""
    packets, end, shown = 0, Fraction(0), list[Fraction]()
    try:
        with av.open(str(path)) as container:
            begin = Fraction(container.start_time or 0, av.time_base)
            length = Fraction(container.duration or 0, av.time_base)
            for packet in container.demux(container.streams.video[0]):
                packets += packet.size > 0
                if packet.pts is not None and packet.time_base:
                    shown.append(packet.pts * packet.time_base - begin)
                    end = max(end, shown[-1] + (packet.duration or 0) * packet.time_base)
    except (FFmpegError, OSError) as error:
        return f"damaged: {decoded} frames could be decoded ({error})"
    if decoded < 0.95 * packets - 2:
        return f"damaged: {decoded} of {packets} frames could be decoded"
    gaps = [(after - before, before) for before, after in pairwise(sorted(shown))]
    if gaps and max(gaps)[0] > GAP:
        gap, place = max(gaps)
        return f"damaged, or slides: nothing for {float(gap):.1f} seconds from {float(place):.1f}"
    if end < 0.95 * length - 1:
        return f"cut short: ends after {float(end):.1f} of {float(length):.1f} seconds"
    return ""


def _videos(source: Path, out: Path | None) -> Iterator[Path]:
    if source.is_file():
        yield source
    elif source.is_dir() and source.resolve() != out:
        inside = sorted(path for path in source.iterdir() if not path.name.startswith("."))
        if inside and all(path.suffix.lower() in IMAGES for path in inside):
            yield source
        else:
            for path in inside:
                if path.is_dir() or VIDEO.fullmatch(path.suffix):
                    yield from _videos(path, out)


def _through_jpeg(frames: Iterator[Picture]) -> Iterator[Picture]:
    writer: VideoCodecContext | None = None
    reader = av.CodecContext.create("mjpeg", "r")
    reader.thread_count = 1  # or it would keep frames back
    for number, picture in enumerate(frames):
        if writer is None:
            writer = av.CodecContext.create("mjpeg", "w")
            writer.height, writer.width = picture.shape[:2]
            writer.pix_fmt, writer.time_base = "yuvj420p", Fraction(1, 25)
            writer.options, writer.thread_count = QSCALE, 1
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
        frame = frame.reformat(
            format="yuvj420p",
            dst_colorspace=Colorspace.ITU601,
            dst_color_range=ColorRange.JPEG,
            interpolation="BICUBIC",
        )
        frame.pts = number
        for packet in writer.encode(frame):
            for decoded in reader.decode(packet):
                yield _rgb(decoded)


def _rgb(frame: av.VideoFrame) -> Picture:
    converted = frame.reformat(
        format="rgb24",
        src_colorspace=Colorspace.ITU601,
        src_color_range=ColorRange.JPEG,
        dst_color_range=ColorRange.JPEG,
        interpolation="BICUBIC",
    )
    return np.ascontiguousarray(converted.to_ndarray(), np.uint8)  # rows may be padded


def shrunk(picture: Picture, width: int) -> Picture:
    """The picture with at most so many columns, its pixels averaged."""
    if picture.shape[1] <= width:
        return picture
    height = max(1, round(picture.shape[0] * width / picture.shape[1]))
    return np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
