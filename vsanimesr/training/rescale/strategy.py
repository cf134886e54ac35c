"""The input-rescaling strategy: pseudo high-resolution pictures for a real low-quality video.

A model trained with basic operators only repairs a real video badly, but one that is shrunk first
much better: shrinking hides what it cannot repair (the paper). The right factor differs
from video to video. The network's picture of the shrunk frame, brought to twice the size of the
frame, is then a target whose degradation to the frame itself a learnable basic operator can learn.
"""

from collections.abc import Iterable, Iterator, Sequence

import cv2
import msgspec
import numpy as np
import torch
import torch.nn.functional as F

from vsanimesr.training.networks import stream
from vsanimesr.training.networks.stream import Upscale
from vsanimesr.training.pictures import Picture
from vsanimesr.training.rescale import artifacts, resolution
from vsanimesr.training.rescale.artifacts import Statistics

FACTORS = tuple(step / 10 for step in range(1, 11))
"""The paper's candidates."""
GAIN = 2
"""Pseudo HR by frame: one learnable basic operator halves."""
RESAMPLE = {"lanczos4": cv2.INTER_LANCZOS4, "area": cv2.INTER_AREA}
"""How a frame is shrunk: as the released code does, without a low-pass; or with one."""
SIDE = 32
"""Of a patch, in pixels of the frame."""


class Probe(msgspec.Struct, frozen=True):
    """A few successive frames; the last is looked at, those before it warm the recurrence up."""

    first: int
    """Number of the first one in the video."""
    frames: list[Picture]


class Trial(msgspec.Struct, frozen=True):
    """What all factors make of one patch."""

    frame: int
    source: Picture
    """(32, 32, 3), as it is in the video."""
    enlarged: dict[float, Picture]
    """(64, 64, 3) by factor."""


def pseudo_hr(
    frames: Iterable[Picture], factor: float, upscale: Upscale, resample: str = "lanczos4"
) -> Iterator[Picture]:
    """Shrink, enlarge by the network, and bring to exactly twice the size of the frames.

    Pixel centres stay where they are: what lies at (x, y) of a frame lies at (2x, 2y) of the pseudo
    HR, measured from the outer corner. The released code leaves out the last step and so needs
    sizes and factors whose product comes out even.

    Args:
        frames: (h, w, 3) in order, any size.
        factor: Above 0, at most 1.
        upscale: The model, such as `stream.recurrent` makes it.
        resample: One of `RESAMPLE`.
    """
    size: tuple[int, int] = (0, 0)

    def shrunk() -> Iterator[torch.Tensor]:
        nonlocal size
        for frame in frames:
            size = frame.shape[:2]
            yield shrink(frame, factor, resample)

    for image in upscale(shrunk()):
        height, width = size
        # a low-pass where this shrinks, none where it enlarges; its kernel is Keys' with a = -0.5
        resized = F.interpolate(
            image[None],
            (GAIN * height, GAIN * width),
            mode="bicubic",
            antialias=True,
            align_corners=False,
        )
        yield stream.rounded(resized[0])


def shrink(frame: Picture, factor: float, resample: str = "lanczos4") -> torch.Tensor:
    """A frame as (3, round(factor * h), round(factor * w)), RGB in [0, 1]; at least one pixel."""
    height, width = frame.shape[:2]
    size = (max(1, round(factor * width)), max(1, round(factor * height)))
    image = frame.astype(np.float32) / 255
    if size != (width, height):
        image = cv2.resize(image, size, interpolation=RESAMPLE[resample])
    return torch.from_numpy(image).permute(2, 0, 1).clamp(0, 1)


def compare(
    probes: Iterable[Probe],
    upscale: Upscale,
    factors: Sequence[float] = FACTORS,
    *,
    patches: int = 2,
    resample: str = "lanczos4",
) -> tuple[list[Trial], list[Statistics], float]:
    """Try every factor on the patches of each probe that have most edges.

    Returns:
        The trials; the statistics of all factors, best first; and of what part of its size the
        video was drawn (`resolution.native`), by which they are ranked.
    """
    trials: list[Trial] = []
    lasts: list[Picture] = []
    for probe in probes:
        last = probe.frames[-1]
        lasts.append(last)
        corners = artifacts.edge_patches(last, SIDE, patches)
        cut = [{} for _ in corners]
        for factor in factors:
            *_, image = pseudo_hr(probe.frames, factor, upscale, resample)
            for (left, top), found in zip(corners, cut, strict=True):
                found[factor] = _square(image, GAIN * left, GAIN * top, GAIN * SIDE)
        trials += [
            Trial(probe.first + len(probe.frames) - 1, _square(last, left, top, SIDE), found)
            for (left, top), found in zip(corners, cut, strict=True)
        ]
    sources = [trial.source for trial in trials]
    statistics = [
        artifacts.measure(factor, [trial.enlarged[factor] for trial in trials], sources)
        for factor in factors
    ]
    native = resolution.native(lasts)
    return trials, artifacts.rank(statistics, native), native


def _square(picture: Picture, left: int, top: int, side: int) -> Picture:
    return picture[top : top + side, left : left + side].copy()
