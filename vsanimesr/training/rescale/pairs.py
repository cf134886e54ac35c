"""Pairs of a frame and its pseudo HR on disk, from which a learnable basic operator is trained.

A folder holds one video's `lr/NAME.png` (h, w), `hr/NAME.png` (2h, 2w) of the same names, and
`rescale.json`, which says how they were made. NAME is the number of the frame in the video.
"""

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import msgspec

from vsanimesr.errors import TrainingError
from vsanimesr.training import pictures
from vsanimesr.training.networks.stream import Upscale
from vsanimesr.training.pictures import Picture
from vsanimesr.training.rescale import strategy
from vsanimesr.training.rescale.artifacts import Statistics

RECORD = "rescale.json"


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """All that decides what the pairs are."""

    video: str
    """Name of the file or folder, without its place."""
    width: int
    height: int
    frames: int
    """In the video."""
    model: str
    """`weights.digest` of the network."""
    factor: float
    resample: str
    length: int
    """Frames of a clip; the first of each only warms the recurrence up and makes no pair."""
    clips: list[int]
    """Number of the first frame of each."""


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """What `rescale.json` holds."""

    settings: Settings
    why: str
    """Who chose the factor, by what."""
    statistics: list[Statistics]
    """Of all factors tried, best first; empty where none was tried."""


def spread(frames: int, clips: int, length: int) -> list[int]:
    """First frames of at most `clips` clips that do not overlap, evenly over a video.

    Raises:
        TrainingError: The video is shorter than a clip.
    """
    if frames < length:
        raise TrainingError(
            f"the video has {frames} frames, wanted {length} or more; choose a longer one"
        )
    count = min(clips, frames // length)
    last = frames - length
    return [last * number // max(count - 1, 1) for number in range(count)]


def clips_of(
    video: Path, firsts: Sequence[int], length: int
) -> Iterator[tuple[int, list[Picture]]]:
    """The clips that begin at these frames, in order, in one pass over the video."""
    stream = pictures.read(video)
    at = 0
    for first in sorted(firsts):
        yield first, list(islice(stream, first - at, first - at + length))
        at = first + length


def write(folder: Path, video: Path, record: Record, upscale: Upscale) -> Iterator[int]:
    """Make all pairs; what an earlier run of the same settings has left is kept.

    Yields:
        The number of pairs there, after every clip.

    Raises:
        TrainingError: The folder holds pairs of other settings, or cannot be written.
    """
    settings = record.settings
    _claim(folder, record)
    skip = 1 if settings.length > 1 else 0
    pairs = 0
    missing: list[int] = []
    for first in settings.clips:
        files = [_files(folder, first + i) for i in range(skip, settings.length)]
        if all(lr.is_file() and hr.is_file() for lr, hr in files):
            pairs += len(files)
        else:
            missing.append(first)
    yield pairs
    for first, clip in clips_of(video, missing, settings.length):
        images = strategy.pseudo_hr(clip, settings.factor, upscale, settings.resample)
        for i, (frame, image) in enumerate(zip(clip, images, strict=True)):
            if i >= skip:
                lr, hr = _files(folder, first + i)
                pictures.write_png(lr, frame)
                pictures.write_png(hr, image)
                pairs += 1
        yield pairs


def _files(folder: Path, frame: int) -> tuple[Path, Path]:
    return folder / "lr" / f"{frame:08d}.png", folder / "hr" / f"{frame:08d}.png"


def _claim(folder: Path, record: Record) -> None:
    """Write down how the pairs are made, before any is: a folder never mixes two ways."""
    path = folder / RECORD
    if path.is_file():
        try:
            found = msgspec.json.decode(path.read_bytes(), type=Record).settings
        except msgspec.DecodeError as error:
            raise TrainingError(f"{path}: damaged ({error}); remove the folder") from error
        if found != record.settings:
            differing = ", ".join(
                f"{name}={getattr(found, name)!r}, not {getattr(record.settings, name)!r}"
                for name in Settings.__struct_fields__
                if getattr(found, name) != getattr(record.settings, name)
            )
            raise TrainingError(
                f"{folder}: holds pairs made otherwise ({differing}); name another folder"
            )
        return
    content = msgspec.json.format(msgspec.json.encode(record), indent=2)
    pictures.write_bytes(path, content + b"\n")
