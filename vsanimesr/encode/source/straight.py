"""Ticks that fall, repeat or are missing: forgotten, set on, or filled in between others."""

from __future__ import annotations

import bisect
import itertools
from fractions import Fraction
from typing import TYPE_CHECKING

from vsanimesr.encode.source.times import increase

if TYPE_CHECKING:
    from collections.abc import Sequence

_HOLE = 12
"""Frames' time between two known times, beyond what the frames between them take."""


def known_ticks(known: Sequence[int | None]) -> list[tuple[int, int]]:
    """Frame and tick of those that are known."""
    return [(n, tick) for n, tick in enumerate(known) if tick is not None]


def straightened(known: list[int | None], step: Fraction) -> tuple[list[int], list[int], int]:
    """Make the known ticks increase, in place: forget those that are wrong, set clocks on.

    Returns:
        Ticks added to each clock, the first of which is 0; the frame where each begins; and how
        many ticks were wrong, those that merely repeat the one before not counted.
    """
    clocks, begins, wrong = [0], [0], 0
    given = known_ticks(known)
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


def thinned(known: list[int | None]) -> int:
    """Forget as few of the known ticks as must be for the rest to increase; return how many.

    Those that merely repeat one before are forgotten, too, and not counted.
    """
    seen = set[int]()
    for n, tick in known_ticks(known):
        if tick in seen:
            known[n] = None
        seen.add(tick)
    given = known_ticks(known)
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


def spread(known: Sequence[int | None], step: Fraction) -> list[int] | None:
    """Fill in evenly between the known ticks; None: they leave less than a tick a frame."""
    given = known_ticks(known)
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
    return filled if increase(filled) else None
