"""What a cluster tells of its chunks: who began what and when, frames that are done, deaths."""

from __future__ import annotations

import queue
import time
from typing import TYPE_CHECKING, Any

from vsanimesr.encode.workers.task import BEGUN, FED, LEFT, STAGES
from vsanimesr.encode.workers.worker import DEATHS
from vsanimesr.errors import EncodeError

if TYPE_CHECKING:
    from collections.abc import Collection

    from vsanimesr.encode.chunks import Chunk
    from vsanimesr.encode.workers.work import Work

SLOW = 2.0
"""A chunk is late that takes so many times as long as the slowest one before it, by its frames."""
LEAST = 10.0
"""Seconds for which no chunk is late."""
_ALL = "all"
"""Dask's topic of workers that come and go."""
_GONE = "gone"


class News:
    """Followed on the thread that asks; heard on another."""

    def __init__(self, work: Work, topic: str, client: Any) -> None:  # noqa: ANN401
        """Listen to `topic` of Dask's client."""
        self._work = work
        self._chunks = {chunk.number: chunk for chunk in work.chunks}  # those that are not done
        self._told: queue.SimpleQueue[tuple[int, int | str | dict[str, str]]] = queue.SimpleQueue()
        self._doing: dict[str, dict[int, str]] = {}
        """By worker and chunk, the stage."""
        self._deaths: dict[int, set[str]] = {}
        """By chunk, the workers that died of it."""
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
        client.subscribe_topic(_ALL, self._hear_of_workers)

    def _hear(self, event: tuple[float, Any]) -> None:
        self._told.put(event[1])

    def _hear_of_workers(self, event: tuple[float, Any]) -> None:
        match event[1]:
            case {"action": "remove-worker", "expected": False, "worker": worker}:
                self._told.put((-1, {_GONE: worker}))
            case _:
                pass

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
            elif isinstance(news, dict):
                for what, worker in news.items():
                    self._change(number, what, worker)
            elif chunk is not None:  # else somebody else was faster
                self._move(chunk, news)

    def _move(self, chunk: Chunk, count: int) -> None:
        self._first.setdefault(chunk.number, time.monotonic())
        before = self._moved.get(chunk.number, 0)
        now = self._moved[chunk.number] = min(before + count, len(chunk))
        self._work.moved(now - before)

    def _change(self, number: int, what: str, worker: str) -> None:
        """A worker begins something else, or is gone."""
        if what == _GONE:
            self._died(worker)
        elif what == LEFT:
            self._doing.get(worker, {}).pop(number, None)
        else:  # of a chunk that is made already, too: its worker may die of this one
            self._doing.setdefault(worker, {})[number] = what
            if what in (BEGUN, FED) and (chunk := self._chunks.get(number)):
                self._begin(chunk, worker)

    def _begin(self, chunk: Chunk, worker: str) -> None:
        began = self._began.setdefault(chunk.number, {})
        if began and worker not in began and chunk.number not in self._twice:
            self._move(chunk, -self._moved.get(chunk.number, 0))  # the one before is gone
        began[worker] = time.monotonic()

    def _died(self, worker: str) -> None:
        """Of all it had, a worker died of what it was doing, not of what waited for it."""
        had = self._doing.pop(worker, {})
        last = max((STAGES.index(stage) for stage in had.values()), default=0)
        for number, stage in had.items():
            chunk = self._chunks.get(number)
            if chunk is None or STAGES.index(stage) != last:
                continue
            dead = self._deaths.setdefault(number, set())
            dead.add(worker)
            if len(dead) >= DEATHS:
                cause = f"{worker} is gone"
                raise EncodeError(
                    f"upscale: {DEATHS} workers died of {chunk}, the last so: {cause}; what else "
                    "is done is kept"
                )

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
