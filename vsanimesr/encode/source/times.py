"""When each frame is shown, exactly; and a constant rate found in ticks that were rounded."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

UNKNOWN = -(2**63)
"""A tick that the container does not state: AV_NOPTS_VALUE of libavutil/avutil.h."""
_HIGHEST = 2**31 - 1  # libav's rationals are two ints


@dataclass(frozen=True, kw_only=True)
class Times:
    """When each frame is shown."""

    pts: list[int]
    """Start of each frame, in units of `base`, strictly increasing."""
    base: Fraction
    """Length of one unit, in seconds."""
    rate: Fraction
    """Frames per second, the average where it varies: what encoders plan their bits by."""
    last: int
    """How long the last frame is shown, in units of `base`."""
    note: str = ""
    """What the user should know about them; empty when nothing."""
    clocks: tuple[Fraction, ...] = (Fraction(0),)
    """Seconds added to the container's times: after its clock has started anew k times, item k."""


def increase(known: Sequence[int | None]) -> bool:
    """Whether all times are known, each after the one before."""
    return all(
        a is not None and b is not None and a < b for a, b in itertools.pairwise(known)
    ) and (known[0] is not None)


def measured(ticks: list[int], base: Fraction, fps: Fraction, last: int) -> Times:
    """Times that increase, as they are, unless a constant rate was meant."""
    if fps and (exact := constant(ticks, base, fps, last)):
        return exact
    last = last or (ticks[-1] - ticks[-2] if len(ticks) > 1 else 0)
    last = last or (round(1 / fps / base) if fps else 1)
    rate = Fraction(len(ticks)) / ((ticks[-1] + last - ticks[0]) * base)
    return Times(pts=ticks, base=base, rate=rate.limit_denominator(1001), last=last)


def constant(
    known: Sequence[int | None], base: Fraction, fps: Fraction, last: int, slack: float = 1
) -> Times | None:
    """The exact times of a constant rate, if every known tick is what one of them rounds to."""
    step = 1 / fps / base  # ticks a frame
    offsets = [tick - n * step for n, tick in enumerate(known) if tick is not None]
    low, high = min(offsets), max(offsets)
    if high - low >= slack:
        return None
    half = Fraction(1, 2)
    first = known[0]
    fits = first is not None and high - half <= first < low + half  # libavformat rounds halves up
    start = (Fraction(first) if first is not None and fits else (low + high) / 2) * base
    shown = 1 / fps
    end = shown if abs(last - step) < 1 or not last else last * base
    unit = Fraction(1, math.lcm(start.denominator, shown.denominator, end.denominator))
    if unit.denominator > _HIGHEST:
        return None
    begin, each = int(start / unit), int(shown / unit)
    pts = [begin + n * each for n in range(len(known))]
    return Times(pts=pts, base=unit, rate=fps, last=int(end / unit))
