"""What a cluster's workers tell of their chunks: frames that are done, who began what and when."""

from __future__ import annotations

import queue
import time
from typing import TYPE_CHECKING, Any

from vsanimesr.encode.task import BEGUN
from vsanimesr.encode.workers import DEATHS
from vsanimesr.errors import EncodeError

if TYPE_CHECKING:
    from collections.abc import Collection

    from vsanimesr.encode.chunks import Chunk
    from vsanimesr.encode.workers import Work

SLOW = 2.0
"""A chunk is late that takes so many times as long as the slowest one before it, by its frames."""
LEAST = 10.0
"""Seconds for which no chunk is late."""


class News:
    """Followed on the thread that asks; heard on another."""

    def __init__(self, work: Work, topic: str, client: Any) -> None:  # noqa: ANN401
        """Listen to `topic` of Dask's client."""
        self._work = work
        self._chunks = {chunk.number: chunk for chunk in work.chunks}  # those that are not done
        self._told: queue.SimpleQueue[tuple[int, int | str | dict[str, str]]] = queue.SimpleQueue()
        self._said: set[str] = set()
        self._moved: dict[int, int] = {}
        self._began: dict[int, dict[str, float]] = {}
        """By chunk and worker, when it was begun."""
        self._first: dict[int, float] = {}
        """When the first frame was done: a worker's first chunk begins with loading the engine."""
        self._slowest = 0.0
        """Seconds a frame."""
        self._twice: set[int] = set()
        client.subscribe_topic(topic, self._hear)

    def _hear(self, event: tuple[float, Any]) -> None:
        self._told.put(event[1])

    def follow(self) -> None:
        """Pass on what was told.

        Raises:
            EncodeError: Workers die of a chunk.
        """
        while not self._told.empty():
            number, news = self._told.get()
            chunk = self._chunks.get(number)
            if isinstance(news, str):
                if news not in self._said:
                    self._said.add(news)
                    self._work.report(news)
            elif chunk is None:
                continue  # somebody else was faster
            elif isinstance(news, int):
                self._move(chunk, news)
            else:
                self._begin(chunk, news[BEGUN])

    def _move(self, chunk: Chunk, count: int) -> None:
        self._first.setdefault(chunk.number, time.monotonic())
        before = self._moved.get(chunk.number, 0)
        now = self._moved[chunk.number] = min(before + count, len(chunk))
        self._work.moved(now - before)

    def _begin(self, chunk: Chunk, worker: str) -> None:
        began = self._began.setdefault(chunk.number, {})
        if began and chunk.number not in self._twice:  # the one before is gone
            self._move(chunk, -self._moved.get(chunk.number, 0))
        if len(began) - (chunk.number in self._twice) >= DEATHS:
            cause = f"{list(began)[-1]} is gone"
            raise EncodeError(
                f"upscale: {DEATHS} workers died of {chunk}, the last so: {cause}; what else is "
                "done is kept"
            )
        began[worker] = time.monotonic()

    def done(self, chunk: Chunk) -> None:
        """A chunk is made: all of it counts, and what others tell of it does not."""
        self.follow()
        self._work.moved(len(chunk) - self._moved.pop(chunk.number, 0))
        del self._chunks[chunk.number]
        if first := self._first.get(chunk.number):
            self._slowest = max(self._slowest, (time.monotonic() - first) / len(chunk))

    def again(self, chunk: Chunk, worker: str) -> None:
        """A worker gives a chunk back, alive."""
        self.follow()
        self._work.moved(-self._moved.pop(chunk.number, 0))
        self._began.get(chunk.number, {}).pop(worker, None)

    def late(self) -> Chunk | None:
        """A chunk that takes far longer than any that is done, told once."""
        now = time.monotonic()
        for number, chunk in self._chunks.items():
            began = self._began.get(number)
            if not self._slowest or not began or number in self._twice:
                continue
            if now - max(began.values()) > max(LEAST, SLOW * self._slowest * len(chunk)):
                self._twice.add(number)
                return chunk
        return None

    def where(self, chunk: Chunk) -> Collection[str]:
        """Workers that have begun a chunk."""
        return self._began.get(chunk.number, {})
