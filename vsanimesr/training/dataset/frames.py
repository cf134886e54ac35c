"""Videos, and their frames in one of two forms."""

from collections.abc import Iterable, Iterator
from fractions import Fraction
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


def videos(sources: Iterable[Path]) -> dict[str, Path]:
    """The videos that the sources stand for, by name.

    Args:
        sources: Video files; folders of pictures, each one video; folders of either.

    Raises:
        TrainingError: A source is missing or empty, or two videos have one name.
    """
    found: dict[str, Path] = {}
    for source in sources:
        inside = list(_videos(source))
        if not inside:
            raise TrainingError(f"{source}: no such file, or an empty folder; wanted videos")
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


def _videos(source: Path) -> Iterator[Path]:
    if source.is_file():
        yield source
    elif source.is_dir():
        inside = sorted(path for path in source.iterdir() if not path.name.startswith("."))
        if any(path.suffix.lower() in IMAGES for path in inside):
            yield source
        else:
            for path in inside:
                yield from [path] if path.is_file() else _videos(path)


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
    return converted.to_ndarray().astype(np.uint8, copy=False)


def shrunk(picture: Picture, width: int) -> Picture:
    """The picture with at most so many columns, its pixels averaged."""
    if picture.shape[1] <= width:
        return picture
    height = max(1, round(picture.shape[0] * width / picture.shape[1]))
    return np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
