"""Where one worker at a time works: hired, asked what it is, given chunks, replaced if it dies."""

from __future__ import annotations

import functools
import queue
import threading
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from vsanimesr.encode.common.durable import temporary
from vsanimesr.encode.render.renderer import Stopped
from vsanimesr.encode.workers.lane import FED, Hands, Lane
from vsanimesr.encode.workers.worker import DEATHS, LANES, Died
from vsanimesr.errors import EncodeError

if TYPE_CHECKING:
    from collections.abc import Callable

    from vsanimesr.encode.chunks import Chunk
    from vsanimesr.encode.verify import Made
    from vsanimesr.encode.workers.work import Work
    from vsanimesr.encode.workers.worker import Worker


@dataclass
class State:
    """What the threads share."""

    todo: deque[Chunk]
    left: int
    deaths: dict[Chunk, int] = field(default_factory=dict["Chunk", int])
    lock: threading.Condition = field(default_factory=threading.Condition)
    over: bool = False
    cause: str = ""
    """Why the last worker that was not used was not."""


class Place(threading.Thread):
    """Where one worker at a time works."""

    def __init__(
        self,
        work: Work,
        state: State,
        events: queue.SimpleQueue[Callable[[], None]],
        make: Callable[[], Worker],
    ) -> None:
        super().__init__(daemon=True)
        self._work, self._state, self._events, self._make = work, state, events, make
        self._worker: Worker | None = None

    def run(self) -> None:
        """Hire workers until the work is done."""
        failed = 0
        while not self._state.over and failed < DEATHS:
            try:
                worker = self._worker = self._make()
                if self._state.over:
                    worker.close()
                    return
                why = self._asked(worker)
            except Died as error:
                failed += 1
                self._state.cause = str(error)
                self._tell(f"a worker could not begin: {error}")
                continue
            except Exception as error:  # noqa: BLE001 (it is raised where the user is)
                self._fail(error)
                return
            if why:
                self._state.cause = why
                self._tell(f"a worker is not used, for it would make other bytes: {why}")
                worker.close()
                return
            given = (worker, Hands())
            lanes = [threading.Thread(target=self._lane, args=given) for _ in range(LANES)]
            for lane in lanes:
                lane.start()
            for lane in lanes:
                lane.join()
            worker.close()
            with self._state.lock:
                if not self._state.left:
                    return

    def stop(self) -> None:
        """Have the worker leave."""
        if self._worker:
            self._worker.close()

    def _asked(self, worker: Worker) -> str:
        facts = worker.facts(self._work.touch, self._work.folder)
        answer: queue.SimpleQueue[str | Exception] = queue.SimpleQueue()

        def ask() -> None:
            try:
                answer.put(self._work.accept(facts))
            except Exception as error:
                answer.put(error)
                raise

        self._events.put(ask)
        while not self._state.over:
            try:
                said = answer.get(timeout=0.2)
            except queue.Empty:
                continue
            return said if isinstance(said, str) else ""
        return ""

    def _lane(self, worker: Worker, hands: Hands) -> None:
        """Take chunks in turn: one that waits for this worker could be made by another."""
        while True:
            hands.turn.acquire()
            chunk = self._next()
            if chunk is None:
                hands.turn.release()
                return
            lane = Lane(chunk, temporary(self._work.folder, ".mkv"), hands.turn)
            hands.take(lane)
            try:
                moved = functools.partial(self._move, lane)
                made = worker.render(chunk, lane.path, moved, lane.fed)
            except Exception as error:  # noqa: BLE001 (it is raised where the user is)
                own = isinstance(error, Died) and error.own
                guilty = hands.died_of(lane, own=own)
                lane.fed()
                lane.path.unlink(missing_ok=True)
                if not isinstance(error, Stopped | Died):
                    self._fail(error)
                self._give_back(lane, str(error), guilty)
                return
            hands.give(lane)
            self._events.put(lambda lane=lane, made=made: self._entered(lane, made))

    def _move(self, lane: Lane, count: int) -> None:
        if not count:
            lane.stage = FED
            return
        lane.done += count
        self._events.put(lambda: self._work.moved(count))

    def _next(self) -> Chunk | None:
        """A chunk; None when there will be no more for this worker."""
        with self._state.lock:
            while not self._state.todo and self._state.left and not self._state.over:
                self._state.lock.wait(0.5)
            return self._state.todo.popleft() if self._state.todo and not self._state.over else None

    def _give_back(self, lane: Lane, cause: str, guilty: bool) -> None:
        chunk = lane.chunk
        with self._state.lock:
            self._state.todo.appendleft(chunk)
            deaths = self._state.deaths[chunk] = self._state.deaths.get(chunk, 0) + guilty
            self._state.lock.notify()
        self._events.put(lambda: self._work.moved(-lane.done))
        if cause and not self._state.over:
            self._tell(f"{chunk} is given to another worker: {cause}")
            if deaths >= DEATHS:
                self._fail(
                    EncodeError(
                        f"upscale: {DEATHS} workers died of {chunk}, the last so: {cause}; what "
                        "else is done is kept"
                    )
                )

    def _entered(self, lane: Lane, made: Made) -> None:
        self._work.enter(lane.chunk, lane.path, made)
        with self._state.lock:
            self._state.left -= 1
            self._state.lock.notify_all()

    def _tell(self, text: str) -> None:
        self._events.put(lambda: self._work.report(text))

    def _fail(self, error: Exception) -> None:
        def fail() -> None:
            raise error

        self._state.over = True
        self._events.put(fail)
