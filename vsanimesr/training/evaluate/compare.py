"""Runs networks over clips and measures what they make."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec

from vsanimesr.errors import TrainingError
from vsanimesr.models import SCALE
from vsanimesr.training import pictures
from vsanimesr.training.evaluate.peers import Peer
from vsanimesr.training.measures import boiling, table, temporal
from vsanimesr.training.measures.table import Panel
from vsanimesr.training.networks import stream
from vsanimesr.training.pictures import Picture

type Protocol = Literal["paper", "all"]
"""Which pictures are judged without an original. `paper`: one of every ten, the last, so 9, 19 and
so on, as the released code keeps them (`--sample_interval 10`). The recurrence always runs over all
frames, and the other measures are taken on all."""

type Series = dict[str, list[float | None]]
"""Values by measure, one a frame; None where a frame was not measured."""


class Column(msgspec.Struct, frozen=True, kw_only=True):
    """One measure of the report."""

    key: str
    title: str
    better: Literal["less", "more"]
    missing: str = ""
    """Why it was not measured."""


class Clip(msgspec.Struct, frozen=True, kw_only=True):
    """A low-resolution clip and, where there is one, its original of four times the size."""

    name: str
    lr: Path
    gt: Path | None = None


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What one network made of all clips."""

    name: str
    parameters: int
    gmacs: float
    """For a frame of `Timing.width` x `Timing.height`, in thousand millions."""
    milliseconds: float
    """A frame of that size, here."""
    series: dict[str, Series]
    """By clip."""
    means: dict[str, float | None]
    """By measure: the mean over clips of the mean over their frames."""
    note: str = ""
    """What to know about this row."""


def columns(names: Sequence[str], panel: Panel, originals: bool) -> list[Column]:
    """The measures of these names, those that cannot be taken included."""
    found: list[Column] = []
    for one in table.MEASURES:
        missing = panel.missing.get(one.key, "")
        if "original" in one.needs and not originals:
            missing = "no original was given"
        if one.key in names:
            found.append(Column(key=one.key, title=one.title, better=one.better, missing=missing))
    return found


def measure(
    peer: Peer, clip: Clip, names: Sequence[str], panel: Panel, protocol: Protocol
) -> Series:
    """Measures of every frame of a clip.

    Pictures are clamped and rounded to 8 bits first, as a file would hold them.

    Args:
        peer: The network.
        clip: What it runs over.
        names: Keys of `table.MEASURES`.
        panel: Those of them that judge pictures.
        protocol: Which pictures are judged without an original.

    Raises:
        TrainingError: The original does not fit the clip.
    """
    series: Series = {}
    before: _Frame | None = None
    originals = _originals(clip)
    sources = list(pictures.read(clip.lr))
    images = peer.upscale(stream.tensor(source) for source in sources)
    for number, (source, image) in enumerate(zip(sources, images, strict=True)):
        picture = stream.rounded(image)
        original = None if clip.gt is None else _original(originals, clip, number, picture)
        now = _Frame(source, picture, original)
        judged = protocol == "all" or (number + 1) % 10 == 0
        found = _of_picture(now, panel, alone=judged)
        if before is not None:
            found |= _of_time(before, now, names)
        before = now
        for key, value in found.items():
            values = series.setdefault(key, [])
            values += [None] * (number - len(values))
            values.append(None if math.isnan(value) else value)
    if next(originals, None) is not None:
        raise TrainingError(f"{clip.gt}: more pictures than the {len(sources)} of {clip.lr}")
    return series


def summary(clips: Sequence[Series], keys: Sequence[str]) -> dict[str, float | None]:
    """The mean over clips of the mean over their frames; None where nothing was measured."""
    means: dict[str, float | None] = {}
    for key in keys:
        each = [mean for series in clips if (mean := mean_of(series, key)) is not None]
        means[key] = sum(each) / len(each) if each else None
    return means


def mean_of(series: Series, key: str) -> float | None:
    """A measure's mean over the frames of a clip that have it."""
    values = [value for value in series.get(key, []) if value is not None]
    return sum(values) / len(values) if values else None


class _Frame(NamedTuple):
    source: Picture
    picture: Picture
    original: Picture | None


def _of_picture(frame: _Frame, panel: Panel, *, alone: bool) -> dict[str, float]:
    x = stream.tensor(frame.picture)[None].to(panel.device)
    found: dict[str, float] = {}
    if frame.original is not None:
        y = stream.tensor(frame.original)[None].to(panel.device)
        found |= {key: float(judge(x, y)[0]) for key, judge in panel.against.items()}
    if alone:
        found |= {key: float(judge(x)[0]) for key, judge in panel.alone.items()}
    return found


def _of_time(before: _Frame, now: _Frame, names: Sequence[str]) -> dict[str, float]:
    found: dict[str, float] = {}
    if "warping" in names:
        move = temporal.motion(before.source, now.source)
        found["warping"] = 1000 * temporal.warping_error(before.picture, now.picture, move)
    if "boiling" in names:
        held = boiling.held(before.source, now.source)
        found["boiling"] = boiling.boiling(before.picture, now.picture, held)
    if "boiling_original" in names and before.original is not None and now.original is not None:
        held = boiling.held(before.original, now.original, SCALE)
        found["boiling_original"] = boiling.boiling(before.picture, now.picture, held)
    return found


def _originals(clip: Clip) -> Iterator[Picture]:
    return iter(()) if clip.gt is None else pictures.read(clip.gt)


def _original(originals: Iterator[Picture], clip: Clip, number: int, picture: Picture) -> Picture:
    original = next(originals, None)
    if original is None:
        raise TrainingError(f"{clip.gt}: only {number} pictures, fewer than {clip.lr}")
    if original.shape != picture.shape:
        raise TrainingError(
            f"{clip.gt}: {original.shape[1]}x{original.shape[0]}, wanted "
            f"{picture.shape[1]}x{picture.shape[0]}, {SCALE} times {clip.lr}"
        )
    return original
