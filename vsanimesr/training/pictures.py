"""Pictures from video files and folders, and PNG files that are whole or not there."""

import logging
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import av
import av.error
import cv2
import numpy as np
from av.video.reformatter import ColorRange, Interpolation

from vsanimesr.colour import matrix_by_size
from vsanimesr.errors import TrainingError

log = logging.getLogger("vsanimesr")

type Picture = np.ndarray[tuple[int, int, int], np.dtype[np.uint8]]
"""(h, w, 3), RGB, 0 to 255."""

UNSPECIFIED = (0, 2, 3)
"""Matrix coefficients that name no matrix of YUV (H.273, table 4)."""


def read(path: Path) -> Iterator[Picture]:
    """The pictures of a video file in order, or those of a folder in the order of their names.

    Raises:
        TrainingError: Missing, empty, damaged, or sizes that differ.
    """
    shape: tuple[int, ...] | None = None
    for number, picture in enumerate(_folder(path) if path.is_dir() else _video(path)):
        shape = shape or picture.shape
        if picture.shape != shape:
            raise TrainingError(
                f"{path}: picture {number} is {picture.shape[1]}x{picture.shape[0]}, those before "
                f"are {shape[1]}x{shape[0]}; cut the video where its size changes"
            )
        yield picture
    if shape is None:
        raise TrainingError(f"{path}: holds no pictures; wanted a video, or a folder of images")


def write_png(path: Path, picture: Picture) -> None:
    """Write one file, whole or not at all.

    Raises:
        TrainingError: It cannot be written.
    """
    write_bytes(path, cv2.imencode(".png", picture[..., ::-1])[1].tobytes())


def write_bytes(path: Path, content: bytes) -> None:
    """Write one file, whole or not at all, and its folder if it is missing.

    Raises:
        TrainingError: It cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise TrainingError(f"{path}: cannot be written ({error})") from error


def _folder(path: Path) -> Iterator[Picture]:
    for file in sorted(path.iterdir()):
        if file.name.startswith(".") or not file.is_file():
            continue
        bgr = cv2.imread(str(file), cv2.IMREAD_COLOR)
        if bgr is None:
            raise TrainingError(f"{file}: not an image that can be read; move it away")
        yield np.ascontiguousarray(bgr[..., ::-1], np.uint8)


def _video(path: Path) -> Iterator[Picture]:
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                return
            packets = shown = torn = 0
            for packet in container.demux(video=0):
                packets += packet.size > 0
                for frame in packet.decode():
                    shown += 1
                    torn += frame.is_corrupt
                    yield _rgb(frame)
    except (av.error.FFmpegError, OSError) as error:
        raise TrainingError(f"{path}: cannot be decoded ({error})") from error
    if torn or shown < 0.95 * packets - 2:  # fields may come in packets of their own
        log.warning(
            "%s: damaged: %d of %d frames could be decoded, %d of them in part; what is made of "
            "it has that damage, too",
            *(path, shown, packets, torn),
        )


def _rgb(frame: av.VideoFrame) -> Picture:
    """By the frame's matrix and range; libswscale would take BT.601 for all that is untagged."""
    if frame.format.is_rgb:
        return _array(frame.reformat(format="rgb24"))
    matrix = int(frame.colorspace)
    if matrix in UNSPECIFIED:
        matrix = int(matrix_by_size(frame.width, frame.height))
    converted = frame.reformat(
        format="rgb24",
        src_colorspace=matrix,
        src_color_range=frame.color_range or ColorRange.MPEG,
        dst_color_range=ColorRange.JPEG,
        interpolation=Interpolation.BICUBIC,
    )
    return _array(converted)


def _array(frame: av.VideoFrame) -> Picture:
    """PyAV gives a view with gaps where a frame's rows are padded, as at 854 columns."""
    return np.ascontiguousarray(frame.to_ndarray(), np.uint8)
