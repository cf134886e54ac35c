"""Runs networks over clips and measures what they make."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import msgspec
import torch

from vsanimesr.errors import TrainingError
from vsanimesr.models import SCALE
from vsanimesr.training import pictures
from vsanimesr.training.evaluate.peers import Peer
from vsanimesr.training.measures import fidelity, temporal
from vsanimesr.training.measures.judges import Judge
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


def columns(judges: Sequence[Judge], originals: bool) -> list[Column]:
    """The measures, those that cannot be taken included."""
    missing = "" if originals else "no original was given"
    full = [
        Column(key=key, title=title, better="more", missing=missing)
        for key, title in (
            ("psnr_y", "PSNR-Y dB"),
            ("ssim_y", "SSIM-Y"),
            ("psnr", "PSNR-RGB dB"),
            ("ssim", "SSIM-RGB"),
        )
    ]
    blind = [
        Column(key=judge.name.lower(), title=judge.name, better=judge.better, missing=judge.missing)
        for judge in judges
    ]
    return [*full, *blind, Column(key="warping", title="warping error x1000", better="less")]


def measure(peer: Peer, clip: Clip, judges: Sequence[Judge], protocol: Protocol) -> Series:
    """Every measure of every frame of a clip.

    Pictures are clamped and rounded to 8 bits first, as a file would hold them.

    Raises:
        TrainingError: The original does not fit the clip.
    """
    series: Series = {}
    before: tuple[Picture, Picture] | None = None
    originals = _originals(clip)
    sources = list(pictures.read(clip.lr))
    images = peer.upscale(stream.tensor(source) for source in sources)
    for number, (source, image) in enumerate(zip(sources, images, strict=True)):
        picture = stream.rounded(image)
        found: dict[str, float] = {}
        x = stream.tensor(picture)[None]
        if clip.gt is not None:
            found |= _fidelity(x, _original(originals, clip, number, picture))
        if protocol == "all" or (number + 1) % 10 == 0:
            for judge in judges:
                if judge.measure is not None:
                    found[judge.name.lower()] = float(judge.measure(x)[0])
        if before is not None:
            error = temporal.warping_error(before[1], picture, temporal.motion(before[0], source))
            found["warping"] = 1000 * error
        before = source, picture
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
        each = [
            sum(values) / len(values)
            for series in clips
            if (values := [value for value in series.get(key, []) if value is not None])
        ]
        means[key] = sum(each) / len(each) if each else None
    return means


def _fidelity(x: torch.Tensor, original: Picture) -> dict[str, float]:
    y = stream.tensor(original)[None]
    x_luma, y_luma = fidelity.luma(x.double()), fidelity.luma(y.double())
    return {
        "psnr": float(fidelity.psnr(x, y)[0]),
        "psnr_y": float(fidelity.psnr(x_luma, y_luma)[0]),
        "ssim": float(fidelity.ssim(x, y)[0]),
        "ssim_y": float(fidelity.ssim(x_luma, y_luma)[0]),
    }


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
