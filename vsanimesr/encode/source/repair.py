"""Times that are missing or wrong: filled in from the line on which the others lie."""

from __future__ import annotations

import bisect
import itertools
import statistics
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING

from vsanimesr.encode.source.straight import known_ticks, spread, straightened, thinned
from vsanimesr.encode.source.times import Times, constant, measured
from vsanimesr.errors import EncodeError

if TYPE_CHECKING:
    from collections.abc import Sequence

_RATES = tuple(
    Fraction(rate)
    for rate in ("24000/1001", "24", "25", "30000/1001", "30", "50", "60000/1001", "60")
)
_BROKEN = Fraction(1, 10)
"""So many of the times may be wrong; with more there is no telling which."""


def repaired(
    known: list[int | None],
    base: Fraction,
    fps: Fraction,
    last: int,
    name: str,
    stated: Fraction,
    restarts: bool,
) -> Times:
    """Times out of ticks some of which are missing or wrong; see `ticks.frame_times`."""
    missing = sum(tick is None for tick in known)
    steps = [
        Fraction(b - a, j - i) for (i, a), (j, b) in itertools.pairwise(known_ticks(known)) if b > a
    ]
    step = statistics.median(steps) if steps else 1 / fps / base if fps else None
    if not step:
        raise EncodeError(f"upscale: {name} states one and the same time for all its frames")
    if restarts:
        clocks, begins, wrong = straightened(known, step)
    else:
        clocks, begins, wrong = [0], [0], thinned(known)
    repeated = sum(tick is None for tick in known) - missing - wrong
    if wrong + len(clocks) - 1 > max(1, len(known) * _BROKEN):
        raise EncodeError(
            f"upscale: the times of the frames of {name} jump back and forth "
            f"({wrong + len(clocks) - 1} of {len(known)})"
        )
    said = [
        f"{count} frame{'s' * (count != 1)} {what}"
        for count, what in (
            (missing, "without a time"),
            (repeated, "with the time of the one before"),
            (wrong, "with a wrong time"),
        )
        if count
    ]
    if len(clocks) > 1:
        said.append("a clock that starts anew" + f" {len(clocks) - 1} times" * (len(clocks) > 2))
    rates = dict.fromkeys(rate for rate in (fps, stated, *_RATES, 1 / (step * base)) if rate)
    slack = 1.5 if step > 8 else 1  # BestSource halves what it fills in, and rounds again
    last = last if len(clocks) == 1 else 0
    times = None
    for near, rate in itertools.product((False, True)[: 1 + (missing > 0)], rates):
        ticks, shifted = _aligned(known, clocks, begins, 1 / rate / base, slack)
        times = (
            _nearly_constant(ticks, base, rate, last, slack, 2 if rate == stated else 4)
            if near
            else constant(ticks, base, rate, last, slack)
        )
        if times:
            clocks = shifted
            break
    if times:
        how = f"they are taken as a constant {times.rate} frames/s"
    else:
        filled = spread(known, step)
        if filled is None:
            raise EncodeError(f"upscale: the times of the frames of {name} leave no room for all")
        times = measured(filled, base, Fraction(0), last)
        how = "they are filled in from the frames around them"
    offsets = tuple(offset * base for offset in clocks)
    return replace(times, clocks=offsets, note=f"{name} has {', '.join(said)}; {how}")


def _nearly_constant(
    known: Sequence[int | None],
    base: Fraction,
    fps: Fraction,
    last: int,
    slack: float,
    least: int,
) -> Times | None:
    """As `constant`, if some ticks belong to the frame before or after.

    In a program stream a packet states one time for all frames that begin in it, and which one
    is meant is guessed by the reader.
    """
    step = 1 / fps / base
    offsets = {n: tick - n * step for n, tick in known_ticks(known)}
    ordered = sorted(offsets.values())
    low = _most(ordered, slack)
    on_line = {n for n, offset in offsets.items() if low <= offset < low + slack}
    near = all(abs(offset - low) < step + slack for offset in ordered)
    if not near or len(ordered) < least or 2 * len(on_line) < len(ordered):
        return None
    return constant(
        [tick if n in on_line else None for n, tick in enumerate(known)], base, fps, last, slack
    )


def _aligned(
    known: list[int | None], clocks: list[int], begins: list[int], step: Fraction, slack: float
) -> tuple[list[int | None], list[int]]:
    """Set each clock on so that most of its ticks continue the line of the first one's.

    Where a clock starts anew was guessed from the two ticks around it, one of which may be a
    frame off.
    """
    if len(clocks) == 1:
        return known, clocks
    ticks, shifted, line = list(known), list(clocks), None
    for clock, (begin, end) in enumerate(itertools.pairwise([*begins, len(known)])):
        own = [(n, tick) for n, tick in known_ticks(known) if begin <= n < end]
        if not own:
            continue
        low = _most([tick - n * step for n, tick in own], slack)
        line = low if line is None else line
        off = round(low - line)
        shifted[clock] -= off
        for n, tick in own:
            ticks[n] = tick - off
    return ticks, shifted


def _most(offsets: Sequence[Fraction], slack: float) -> Fraction:
    """The offset that most others lie within `slack` above of."""
    ordered = sorted(offsets)
    ends = [bisect.bisect_left(ordered, low + slack) for low in ordered]
    return ordered[max(range(len(ordered)), key=lambda i: ends[i] - i)]
