"""Which frames are compared: those named, and a seeded choice of telling ones.

Pure: the same looks, names, count and seed give the same choice on every machine.
"""

from __future__ import annotations

import random
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vsanimesr.errors import CompareError

if TYPE_CHECKING:
    from collections.abc import Sequence

KINDS = ("dark", "bright", "moving", "detailed", "scene start")
"""Kinds are taken in turn, so that each has its share."""
SHARE = 10  # the most extreme tenth of all frames is what a kind draws from
BLANK = 0.05  # of the median detail: fades and black frames show nothing


@dataclass(frozen=True, kw_only=True)
class Look:
    """What is seen of one source frame."""

    luma: float
    """Mean, 0 to 1."""
    motion: float
    """Mean absolute difference of luma to the frame before, 0 to 1; 0 at a scene start."""
    detail: float
    """Mean of the edges found by Sobel, 0 to 1."""
    starts: bool
    """Whether a scene starts here."""
    time: float
    """When it is shown, in seconds from the clip's first frame."""
    type: str
    """Picture type the decoder tells, such as I, P or B; empty: unknown."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A frame to compare."""

    frame: int
    why: str
    """`named`, one of `KINDS`, or `random`."""


def choose(looks: Sequence[Look], named: Sequence[int], count: int, seed: int) -> list[Choice]:
    """The frames named, and others until there are `count`.

    Args:
        looks: One for each frame of the clip.
        named: Frames that must be among them.
        count: Frames in all, if the clip has as many; those named are never dropped.
        seed: Another one draws other frames.

    Returns:
        The choice in the order of the clip, no frame twice.

    Raises:
        CompareError: The clip does not have a frame named.
    """
    for n in named:
        if not 0 <= n < len(looks):
            raise CompareError(
                f"compare: frame {n} was named, the clip has frames 0 to {len(looks) - 1}"
            )
    chosen = dict.fromkeys(named, "named")
    draw = random.Random(seed)
    wanted = min(max(count, len(chosen)), len(looks))
    gap = max(1, len(looks) // (2 * max(count, 1)))
    pools = _pools(looks, count, draw)
    turn = 0
    while len(chosen) < wanted:
        kind = KINDS[turn % len(KINDS)]
        turn += 1
        tries = [(kind, 1)] if kind == "scene start" else [(kind, gap), (kind, max(1, gap // 4))]
        for kind, distance in (*tries, ("random", gap), ("random", 1)):
            n = _apart(pools[kind], chosen, distance)
            if n is not None:
                chosen[n] = kind
                break
    return [Choice(frame=n, why=chosen[n]) for n in sorted(chosen)]


def _pools(looks: Sequence[Look], count: int, draw: random.Random) -> dict[str, list[int]]:
    """Frames of each kind and of none, shuffled."""
    floor = BLANK * statistics.median(look.detail for look in looks)
    shown = [n for n, look in enumerate(looks) if look.detail > floor] or list(range(len(looks)))
    size = max(len(shown) // SHARE, count)
    pools = {
        "dark": sorted(shown, key=lambda n: looks[n].luma)[:size],
        "bright": sorted(shown, key=lambda n: -looks[n].luma)[:size],
        "moving": sorted((n for n in shown if looks[n].motion > 0), key=lambda n: -looks[n].motion)[
            :size
        ],
        "detailed": sorted(shown, key=lambda n: -looks[n].detail)[:size],
        "scene start": [n for n in shown if looks[n].starts],
        "random": list(range(len(looks))),
    }
    for pool in pools.values():
        draw.shuffle(pool)
    return pools


def _apart(pool: Sequence[int], chosen: dict[int, str], gap: int) -> int | None:
    """The first frame of a pool that is not beside one already chosen."""
    return next((n for n in pool if all(abs(n - other) >= gap for other in chosen)), None)


def scenes(looks: Sequence[Look]) -> list[int]:
    """First frames of all scenes, 0 among them."""
    return [n for n, look in enumerate(looks) if look.starts or n == 0]


def stretch(looks: Sequence[Look], length: int) -> tuple[int, int]:
    """Where a strip over time is taken: the most detailed stretch within one scene.

    Args:
        looks: One for each frame of the clip.
        length: Frames wanted.

    Returns:
        First frame and number of frames. Where no scene is as long, from the start of the longest
        scene on, or so much before that the stretch ends with the clip.
    """
    starts = scenes(looks)
    spans = list(zip(starts, [*starts[1:], len(looks)], strict=True))
    fitting = [start for start, end in spans if end - start >= length]
    if not fitting:
        longest = max(spans, key=lambda span: span[1] - span[0])
        length = min(length, len(looks))
        return min(longest[0], len(looks) - length), length

    def detail(start: int) -> float:
        return sum(look.detail for look in looks[start : start + length])

    return max(fitting, key=detail), length
