"""When each frame is shown, exactly: a container's ticks, read as what was meant by them."""

from __future__ import annotations

import bisect
import itertools
import math
import statistics
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING

from vsanimesr.errors import EncodeError

if TYPE_CHECKING:
    from collections.abc import Sequence

UNKNOWN = -(2**63)
"""A tick that the container does not state: AV_NOPTS_VALUE of libavutil/avutil.h."""
_HIGHEST = 2**31 - 1  # libav's rationals are two ints
_RATES = tuple(
    Fraction(rate)
    for rate in ("24000/1001", "24", "25", "30000/1001", "30", "50", "60000/1001", "60")
)
_HOLE = 12
"""Frames' time between two known times, beyond what the frames between them take."""
_BROKEN = Fraction(1, 10)
"""So many of the times may be wrong; with more there is no telling which."""


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


def frame_times(
    ticks: Sequence[int],
    base: Fraction,
    fps: Fraction,
    last: int,
    name: str = "the source",
    *,
    stated: Fraction = Fraction(0),
    restarts: bool = True,
) -> Times:
    """Turn a container's ticks into exact times.

    Matroska rounds times to its own tick, usually 1 ms. Where every tick is what a constant
    rate rounds to, that rate is what was meant, and its exact times are used: they round to
    the same ticks again, and are right in containers that can do better.

    Times that are missing or not after the one before are filled in: from the line on which the
    others lie, else evenly between their neighbours. A clock that starts anew, as in files that
    were joined byte by byte, is set on.

    Args:
        ticks: Start of every frame in units of `base`.
        base: Length of one tick in seconds.
        fps: The rate the file states, frames per second; 0: none.
        last: Duration of the last frame in ticks; 0: unknown, the one before is repeated.
        name: What errors call the source.
        stated: The rate that the stream itself states, where `fps` was guessed from the ticks.
        restarts: Whether the container's clock may start anew, as in a broadcast.

    Raises:
        EncodeError: There is neither a time nor a rate, or too many times contradict each other.
    """
    known = [None if tick == UNKNOWN else tick for tick in ticks]
    if all(tick is None for tick in known):
        if not fps:
            raise EncodeError(f"upscale: {name} states neither frame times nor a rate")
        note = f"{name} states no frame times; taken as a constant {fps} frames/s"
        return Times(pts=list(range(len(ticks))), base=1 / fps, rate=fps, last=1, note=note)
    if _increase(known):
        return _measured(list(ticks), base, fps, last)
    # B-frames with the times of their decoding.
    if fps and _swapped(known) and (sure := _constant(sorted(ticks), base, fps, 0)):
        return replace(sure, note=f"{name} states the times of its frames in a wrong order")
    return _repaired(known, base, fps, last, name, stated or fps, restarts)


def _increase(known: Sequence[int | None]) -> bool:
    return all(
        a is not None and b is not None and a < b for a, b in itertools.pairwise(known)
    ) and (known[0] is not None)


def _swapped(known: Sequence[int | None]) -> bool:
    """Whether each time is there once, at most 16 frames (H.264's reordering) from its place."""
    ordered = {tick: n for n, tick in enumerate(sorted(t for t in known if t is not None))}
    return len(ordered) == len(known) and all(
        tick is not None and abs(ordered[tick] - n) <= 16 for n, tick in enumerate(known)
    )


def _measured(ticks: list[int], base: Fraction, fps: Fraction, last: int) -> Times:
    if fps and (constant := _constant(ticks, base, fps, last)):
        return constant
    last = last or (ticks[-1] - ticks[-2] if len(ticks) > 1 else 0)
    last = last or (round(1 / fps / base) if fps else 1)
    rate = Fraction(len(ticks)) / ((ticks[-1] + last - ticks[0]) * base)
    return Times(pts=ticks, base=base, rate=rate.limit_denominator(1001), last=last)


def _constant(
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


# Times that are missing or wrong


def _repaired(
    known: list[int | None],
    base: Fraction,
    fps: Fraction,
    last: int,
    name: str,
    stated: Fraction,
    restarts: bool,
) -> Times:
    missing = sum(tick is None for tick in known)
    steps = [
        Fraction(b - a, j - i) for (i, a), (j, b) in itertools.pairwise(_given(known)) if b > a
    ]
    step = statistics.median(steps) if steps else 1 / fps / base if fps else None
    if not step:
        raise EncodeError(f"upscale: {name} states one and the same time for all its frames")
    if restarts:
        clocks, begins, wrong = _straightened(known, step)
    else:
        clocks, begins, wrong = [0], [0], _thinned(known)
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
            else _constant(ticks, base, rate, last, slack)
        )
        if times:
            clocks = shifted
            break
    if times:
        how = f"they are taken as a constant {times.rate} frames/s"
    else:
        filled = _spread(known, step)
        if filled is None:
            raise EncodeError(f"upscale: the times of the frames of {name} leave no room for all")
        times = _measured(filled, base, Fraction(0), last)
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
    """As `_constant`, if some ticks belong to the frame before or after.

    In a program stream a packet states one time for all frames that begin in it, and which one
    is meant is guessed by the reader.
    """
    step = 1 / fps / base
    offsets = {n: tick - n * step for n, tick in _given(known)}
    ordered = sorted(offsets.values())
    low = _most(ordered, slack)
    on_line = {n for n, offset in offsets.items() if low <= offset < low + slack}
    near = all(abs(offset - low) < step + slack for offset in ordered)
    if not near or len(ordered) < least or 2 * len(on_line) < len(ordered):
        return None
    return _constant(
        [tick if n in on_line else None for n, tick in enumerate(known)], base, fps, last, slack
    )


def _given(known: Sequence[int | None]) -> list[tuple[int, int]]:
    return [(n, tick) for n, tick in enumerate(known) if tick is not None]


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
        own = [(n, tick) for n, tick in _given(known) if begin <= n < end]
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


def _straightened(known: list[int | None], step: Fraction) -> tuple[list[int], list[int], int]:
    """Make the known ticks increase, in place: forget those that are wrong, set clocks on.

    Returns:
        Ticks added to each clock, the first of which is 0; the frame where each begins; and how
        many ticks were wrong, those that merely repeat the one before not counted.
    """
    clocks, begins, wrong = [0], [0], 0
    given = _given(known)
    kept: list[tuple[int, int]] = []
    for at, (n, tick) in enumerate(given):
        now = tick + clocks[-1]
        if kept and now <= kept[-1][1]:
            later = (given[i][1] for i in range(at + 1, len(given)) if given[i][1] != tick)
            following = next(later, None)
            following = None if following is None else following + clocks[-1]
            if now == kept[-1][1] and (following is None or following > now):
                known[n] = None
                continue
            if following is None or following > kept[-1][1]:  # this one alone is wrong
                known[n], wrong = None, wrong + 1
                continue
            if (len(kept) == 1 and following > now) or (len(kept) > 1 and kept[-2][1] < now):
                known[kept.pop()[0]], wrong = None, wrong + 1  # the one before was
            else:
                due = kept[-1][1] + round((n - kept[-1][0]) * step)
                clocks.append(clocks[-1] + due - now)
                begins.append(n)
                now = due
        kept.append((n, now))
        known[n] = now
    return clocks, begins, wrong


def _thinned(known: list[int | None]) -> int:
    """Forget as few of the known ticks as must be for the rest to increase; return how many.

    Those that merely repeat one before are forgotten, too, and not counted.
    """
    seen = set[int]()
    for n, tick in _given(known):
        if tick in seen:
            known[n] = None
        seen.add(tick)
    given = _given(known)
    ends = list[int]()  # of the best increasing run of each length, its last tick
    places, before = list[int](), dict[int, int | None]()
    for n, tick in given:
        length = bisect.bisect_left(ends, tick)
        ends[length : length + 1] = [tick]
        places[length : length + 1] = [n]
        before[n] = places[length - 1] if length else None
    kept, n = set[int](), places[-1] if places else None
    while n is not None:
        kept.add(n)
        n = before[n]
    for n, _ in given:
        if n not in kept:
            known[n] = None
    return len(given) - len(kept)


def _spread(known: Sequence[int | None], step: Fraction) -> list[int] | None:
    """Fill in evenly between the known ticks; None: they leave less than a tick a frame."""
    given = _given(known)
    filled = [0] * len(known)
    for (i, a), (j, b) in itertools.pairwise(given):
        each = Fraction(b - a, j - i)
        if (b - a) > (j - i + _HOLE) * step:  # frames are missing: the others are not stretched
            each = min(each, step)
        for n in range(i, j):
            filled[n] = a + round((n - i) * each)
        filled[j] = b
    (first, begin), (final, end) = given[0], given[-1]
    for n in range(first + 1):
        filled[n] = begin - round((first - n) * step)
    for n in range(final, len(known)):
        filled[n] = end + round((n - final) * step)
    return filled if _increase(filled) else None
