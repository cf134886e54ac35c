"""All measurements of one video, made in one pass over its frames."""

import math
from collections.abc import Iterable

import msgspec

from vsanimesr.errors import TrainingError
from vsanimesr.training.dataset.frames import Source
from vsanimesr.training.dataset.motion import Speedometer
from vsanimesr.training.dataset.quality import QualityMeasure, flatness
from vsanimesr.training.dataset.shots import CutFinder
from vsanimesr.training.pictures import Picture


class Analysis(msgspec.Struct, frozen=True, kw_only=True):
    """What `OUT/videos/NAME.json` holds. Lists have one value a frame."""

    path: str
    source: Source
    recipe: str
    """`DatasetRecipe.measured`: an analysis counts for the same source and recipe only."""
    cuts: list[int]
    """Numbers of the frames that begin a shot, but for frame 0."""
    motion: list[float]
    """Mean length of the flow from the frame before, in pixels; 0 for the first."""
    peak: list[float]
    """Greatest length of that flow."""
    flat: list[float]
    """`quality.flatness`."""
    quality: list[float | None]
    """None: not measured, or nothing to judge."""
    doubt: str = ""
    """`frames.doubt`."""


def analyse(
    pictures: Iterable[Picture],
    cut_finder: CutFinder,
    speedometer: Speedometer,
    measure: QualityMeasure,
    every: int,
) -> dict[str, list[int] | list[float] | list[float | None]]:
    """Measure a video: the lists of `Analysis`.

    Args:
        pictures: Its frames.
        cut_finder: New for this video.
        speedometer: New for this video.
        measure: Of quality.
        every: Quality is measured of one frame of so many.

    Raises:
        TrainingError: A frame cannot be read; or one that was is of another size.
    """
    motion: list[float] = []
    peak: list[float] = []
    flat: list[float] = []
    quality: list[float | None] = []
    for number, picture in enumerate(pictures):
        cut_finder.see(picture)
        mean, most = speedometer.see(picture)
        motion.append(round(mean, 4))
        peak.append(round(most, 4))
        flat.append(round(flatness(picture), 4))
        score = measure(picture) if number % every == 0 else math.nan
        quality.append(round(score, 4) if math.isfinite(score) else None)
    return {
        "cuts": cut_finder.cuts(),
        "motion": motion,
        "peak": peak,
        "flat": flat,
        "quality": quality,
    }


def load(content: bytes, name: str) -> Analysis:
    """Read what was written.

    Raises:
        TrainingError: It is damaged.
    """
    try:
        return msgspec.json.decode(content, type=Analysis)
    except msgspec.DecodeError as error:
        raise TrainingError(f"{name}: damaged ({error}); remove it and build again") from error
