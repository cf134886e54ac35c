"""Where an encode is cut: a function of clip and arguments, never of who renders. Pure Python."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

CHUNK = 240
"""Least frames of a chunk, ten seconds: docs/scale.md has what it costs and saves."""


@dataclass(frozen=True, order=True)
class Chunk:
    """Some frames of the result in a row, rendered and encoded by themselves."""

    number: int
    """Place among all chunks, from 0."""
    start: int
    """First frame."""
    stop: int
    """The frame after the last."""

    def __len__(self) -> int:
        return self.stop - self.start

    def __str__(self) -> str:
        return f"chunk {self.number} (frames {self.start} to {self.stop - 1})"


def cut(length: int, scenes: Sequence[int], block: int, least: int) -> list[Chunk]:
    """Cut a film where nothing is lost by it: the recurrence starts anew there anyway.

    A chunk ends at the first scene start once it has `least` frames; where none comes before it has
    twice as many, at the first block start. The last chunk takes what would be too short alone.

    Args:
        length: Frames of the film, 1 or more.
        scenes: Scene starts, ascending.
        block: Frames of a block; 0: there are none.
        least: Least frames of a chunk, 1 or more; a film of fewer is one chunk.

    Returns:
        The chunks, in order; together they are the film.
    """
    starts = [0]
    while (low := starts[-1] + least) <= length - least:
        place = bisect_left(scenes, low)
        start = scenes[place] if place < len(scenes) else length
        if start >= low + least and block:
            start = min(start, -(-low // block) * block)
        if start > length - least:
            break
        starts.append(start)
    stops = [*starts[1:], length]
    return [Chunk(n, *span) for n, span in enumerate(zip(starts, stops, strict=True))]


def middle(chunks: Sequence[Chunk], scenes: Sequence[int]) -> Chunk:
    """The chunk nearest the film's middle whose first frame wants no warm-up."""
    cold = {0, *scenes}
    own = [chunk for chunk in chunks if chunk.start in cold]
    return min(own, key=lambda chunk: abs(chunk.number - len(chunks) // 2))
