"""A container's ticks, read as what was meant by them."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING

from vsanimesr.encode.source.repair import repaired
from vsanimesr.encode.source.times import UNKNOWN, Times, constant, increase, measured
from vsanimesr.errors import EncodeError

if TYPE_CHECKING:
    from collections.abc import Sequence


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
    if increase(known):
        return measured(list(ticks), base, fps, last)
    # B-frames with the times of their decoding.
    if fps and _swapped(known) and (sure := constant(sorted(ticks), base, fps, 0)):
        return replace(sure, note=f"{name} states the times of its frames in a wrong order")
    return repaired(known, base, fps, last, name, stated or fps, restarts)


def _swapped(known: Sequence[int | None]) -> bool:
    """Whether each time is there once, at most 16 frames (H.264's reordering) from its place."""
    ordered = {tick: n for n, tick in enumerate(sorted(t for t in known if t is not None))}
    return len(ordered) == len(known) and all(
        tick is not None and abs(ordered[tick] - n) <= 16 for n, tick in enumerate(known)
    )
