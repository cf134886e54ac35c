"""Soft telecine: a stream that states no times but which fields are shown twice."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any

from vsanimesr.encode.common.names import raw, shown
from vsanimesr.encode.source.ticks import frame_times
from vsanimesr.encode.source.times import UNKNOWN, Times

if TYPE_CHECKING:
    from pathlib import Path

    import vapoursynth as vs

_PULLDOWNS = (Fraction(4, 5), Fraction(24, 25))
"""Frames a frame shown: 2:3 pulldown of film, 24 frames in a second of 25."""


def pulled_down(
    path: Path,
    opening: dict[str, Any],
    clip: vs.VideoNode,
    fps: Fraction,
) -> Times | None:
    """Times of a stream that states only which fields are shown twice (soft telecine).

    `fps` counts the frames as they are shown then; None: no field is.
    """
    import vapoursynth as vs

    core: Any = vs.core
    fields = core.bs.VideoSource(raw(path), **opening, rff=True)
    if len(fields) == len(clip):
        return None
    # BestSource tells of fields shown twice by the order of fields only: it turns after each.
    tops = [frame.props.get("TopFieldFirst") for frame in clip.frames(close=True)]
    lengths = [2 + (a != b) for a, b in pairwise(tops)]
    last = 2 * len(fields) - sum(lengths)
    base = 1 / fps / 2
    if last not in (2, 3):  # frames shown twice or thrice, whose fields do not turn
        rate = fps * Fraction(len(clip), len(fields))
        times = frame_times([UNKNOWN] * len(clip), base, rate, 0)
    else:
        ticks = list(accumulate(lengths, initial=0))
        found = ((frame_times(ticks, base, fps * part, last), fps * part) for part in _PULLDOWNS)
        steady = (times for times, rate in found if times.rate == rate)
        times = next(steady, None) or frame_times(ticks, base, Fraction(0), last)
    note = f"{shown(path)} states no frame times; taken from its fields, {times.rate} frames/s"
    return replace(times, note=note)
