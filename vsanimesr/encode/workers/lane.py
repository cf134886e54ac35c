"""A chunk on its way through a worker, and which of them a dead worker died of."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from vsanimesr.encode.chunks import Chunk

WAITS, ENDS, FED = range(3)
"""What a worker does with a chunk: nothing yet; its encoder ends, and it is verified; it is
enlarged. Of those that a dead worker had, the last in this list are what it died of."""


class Lane:
    """A chunk on its way through a worker."""

    def __init__(self, chunk: Chunk, path: Path, turn: threading.Semaphore) -> None:
        self.chunk, self.path, self.done = chunk, path, 0
        self.stage = WAITS
        self._turn: threading.Semaphore | None = turn

    def fed(self) -> None:
        """Let the next chunk be fed."""
        self.stage = min(self.stage, ENDS)
        turn, self._turn = self._turn, None
        if turn:
            turn.release()


class Hands:
    """The chunks that one worker has at a time."""

    def __init__(self) -> None:
        self.turn = threading.Semaphore()
        """Held by whoever is fed, or next to be."""
        self._lanes = set[Lane]()
        self._lock = threading.Lock()
        self._blamed: set[Lane] | None = None

    def take(self, lane: Lane) -> None:
        """A chunk is given to the worker."""
        with self._lock:
            self._lanes.add(lane)

    def give(self, lane: Lane) -> None:
        """A chunk is made."""
        with self._lock:
            self._lanes.discard(lane)

    def died_of(self, lane: Lane, *, own: bool) -> bool:
        """Whether the worker died of a chunk, and not of another that it had.

        Args:
            lane: The chunk's.
            own: Whether that is certain.
        """
        with self._lock:
            if self._blamed is None:
                last = max(one.stage for one in self._lanes)
                self._blamed = {lane} if own else {o for o in self._lanes if o.stage == last}
            return lane in self._blamed
