"""Which frames of a video become its clip; from measurements alone, so that it costs nothing."""

from collections.abc import Iterable, Iterator
from itertools import pairwise

import msgspec
import numpy as np

from vsanimesr.training.dataset.analysis import Analysis
from vsanimesr.training.dataset.recipe import Clip, Motion, Quality
from vsanimesr.training.draws import generator


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """The clip of a video."""

    first: int
    frames: int
    cuts: list[int]
    """Frames of the clip that begin a shot, but for frame 0."""
    score: float
    motion: float
    """Mean length of the flow, in pixels a frame."""
    quality: float


class Shot(msgspec.Struct, frozen=True, kw_only=True):
    """Frames `first` to before `end`."""

    first: int
    end: int
    motion: float
    """Mean length of the flow, in pixels a frame; that over the cut is left out."""
    quality: float | None
    """Mean of the frames that have a score."""


def shots(analysis: Analysis) -> list[Shot]:
    """The shots of a video, in order."""
    borders = [0, *analysis.cuts, len(analysis.motion)]
    return [
        Shot(
            first=first,
            end=end,
            motion=_mean(analysis.motion[first + 1 : end]) or 0.0,
            quality=_mean(_known(analysis.quality[first:end])),
        )
        for first, end in pairwise(borders)
        if end > first
    ]


def drawn(seed: int, what: str, name: str, share: float) -> bool:
    """Whether a video is of this share; other videos have no say in it.

    Args:
        seed: Of the dataset.
        what: Is drawn: a word.
        name: Of the video.
        share: Of all videos, from 0 to 1.
    """
    return bool(generator(seed, f"{what} {name}").random() < share)


def choose(
    analysis: Analysis, clip: Clip, motion: Motion, quality: Quality, *, transition: bool
) -> Choice | str:
    """The clip of a video, or why it has none.

    A clip lies within one shot. With `transition` it lies across a cut between two shots that are
    good enough, if there are such.

    Args:
        analysis: Of the video.
        clip: What is wanted.
        motion: For its bound of static shots.
        quality: For its bounds of poor shots.
        transition: Whether a cut within is wanted.
    """
    if len(analysis.flat) < clip.frames:
        return f"{len(analysis.flat)} frames, wanted {clip.frames}"
    everything = shots(analysis)
    moving = [shot for shot in everything if shot.motion >= motion.static]
    if not moving:
        liveliest = max(shot.motion for shot in everything)
        return (
            f"nothing moves: {liveliest:.3g} pixels a frame in the liveliest shot of "
            f"{len(everything)}, wanted {motion.static:g}"
        )
    good = list(_good(moving, quality))
    if not good:
        return f"no shot of {len(moving)} has a score of {quality.least:g}"
    stills = {n for n, flat in enumerate(analysis.flat) if flat >= clip.flat}
    inside = [(shot.first, shot.end) for shot in good]
    across = [(a.first, b.end) for a, b in pairwise(good) if a.end == b.first]
    for spans, cut in ((across, True), (inside, False)) if transition else ((inside, False),):
        candidates = [
            _candidate(analysis, clip, first)
            for first in _firsts(spans, stills, clip)
            if not cut or _cuts(analysis, first, clip.frames)
        ]
        if candidates:
            return max(candidates, key=lambda one: (one.score, -one.first))
    runs = (after - before - 1 for span in inside for before, after in _between(span, stills))
    return (
        f"{len(good)} good shots, with at most {max(runs)} frames on end of which none is flat; "
        f"wanted {clip.frames}"
    )


def _good(moving: list[Shot], quality: Quality) -> Iterator[Shot]:
    scored = [shot for shot in moving if shot.quality is not None]
    ranked = sorted(scored, key=lambda shot: (shot.quality or 0.0, shot.first))
    dropped = {shot.first for shot in ranked[: int(quality.discard * len(ranked))]}
    for shot in moving:
        enough = quality.least is None or (
            shot.quality is not None and shot.quality >= quality.least
        )
        if shot.first not in dropped and enough:
            yield shot


def _firsts(spans: Iterable[tuple[int, int]], stills: set[int], clip: Clip) -> Iterator[int]:
    """First frames of all candidates in these spans, between frames that are flat."""
    for span in spans:
        for before, after in _between(span, stills):
            last = after - clip.frames
            if last > before:
                yield from sorted({*range(before + 1, last + 1, clip.stride), last})


def _between(span: tuple[int, int], stills: set[int]) -> Iterable[tuple[int, int]]:
    """Neighbouring borders: the frame before a span, the flat frames in it, the one after it."""
    first, end = span
    return pairwise([first - 1, *sorted(n for n in stills if first <= n < end), end])


def _candidate(analysis: Analysis, clip: Clip, first: int) -> Choice:
    frames = range(first, first + clip.frames)
    cuts = _cuts(analysis, first, clip.frames)
    begins = {0, *cuts}
    within = [n for n in frames if n - first not in begins]  # whose flow is not over a cut
    motion = _mean(analysis.motion[n] for n in within) or 0.0
    peak = _mean(analysis.peak[n] for n in within) or 0.0
    quality = _mean(_known(analysis.quality[n] for n in frames)) or 0.0
    return Choice(
        first=first,
        frames=clip.frames,
        cuts=cuts,
        score=clip.motion * peak + clip.quality * quality,
        motion=motion,
        quality=quality,
    )


def _cuts(analysis: Analysis, first: int, frames: int) -> list[int]:
    return [cut - first for cut in analysis.cuts if first < cut < first + frames]


def _known(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def _mean(values: Iterable[float]) -> float | None:
    held = list(values)
    return float(np.mean(held)) if held else None
