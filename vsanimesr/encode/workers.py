"""Who makes the chunks: workers, each with a renderer, that take chunks until there are no more."""

from __future__ import annotations

import functools
import queue
import threading
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from vsanimesr.encode.durable import temporary
from vsanimesr.encode.facts import maker_facts
from vsanimesr.encode.render import Renderer, Stopped
from vsanimesr.errors import EncodeError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from vsanimesr.encode.chunks import Chunk
    from vsanimesr.encode.verify import Made

LANES = 2
"""Chunks that a worker has at a time: one is fed to its encoder while the other's ends."""
DEATHS = 3
"""A chunk that so many workers died of is not tried again."""


class Died(Exception):  # noqa: N818 (it is told to whoever hires, not to users)
    """A worker is gone, or cannot be used; what it had can be made by another."""


class Worker(Protocol):
    """Somebody who renders chunks. `render` is called by `LANES` threads."""

    def facts(self, touch: Chunk, folder: Path) -> dict[str, str]:
        """See `facts.maker_facts`."""
        ...

    def render(
        self, chunk: Chunk, path: Path, moved: Callable[[int], None], fed: Callable[[], None]
    ) -> Made:
        """See `Renderer.render`; raises `Died` where that ends the worker."""
        ...

    def close(self) -> None:
        """Leave, from whatever is being done."""
        ...


class Here:
    """A worker on threads of this process."""

    def __init__(self, renderer: Renderer) -> None:
        """Of this renderer."""
        self._renderer = renderer

    def facts(self, touch: Chunk, folder: Path) -> dict[str, str]:
        """See `Worker`."""
        return maker_facts(self._renderer, touch, folder)

    def render(
        self, chunk: Chunk, path: Path, moved: Callable[[int], None], fed: Callable[[], None]
    ) -> Made:
        """See `Worker`."""
        return self._renderer.render(chunk, path, moved, fed)

    def close(self) -> None:
        """See `Worker`."""
        self._renderer.stop()


@dataclass(frozen=True, kw_only=True)
class Work:
    """What a crew does, and whom it tells; it tells on the thread that called `run`."""

    chunks: Sequence[Chunk]
    touch: Chunk
    """The chunk whose first frame shows whether workers make the same bytes."""
    folder: Path
    """Where unfinished chunks lie."""
    accept: Callable[[dict[str, str]], str]
    """Told a worker's facts, says why it cannot be used, or nothing."""
    enter: Callable[[Chunk, Path, Made], None]
    """Takes a finished chunk."""
    moved: Callable[[int], None]
    """Told of frames done since the last call; less than 0: they have to be made again."""
    report: Callable[[str], None]
    """Told what the user should know."""


@dataclass
class _State:
    """What the threads share."""

    todo: deque[Chunk]
    left: int
    deaths: dict[Chunk, int] = field(default_factory=dict["Chunk", int])
    lock: threading.Condition = field(default_factory=threading.Condition)
    over: bool = False
    cause: str = ""
    """Why the last worker that was not used was not."""


def run(work: Work, hire: Sequence[Callable[[], Worker]]) -> None:
    """Have all chunks made.

    Args:
        work: Which, and what becomes of them.
        hire: For each worker, what makes it; called again for one that died.

    Raises:
        EncodeError: A chunk cannot be made, or no worker can be used.
    """
    if not work.chunks:
        return
    events: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
    state = _State(deque(work.chunks), len(work.chunks))
    crew = [_Place(work, state, events, make) for make in hire]
    try:
        for place in crew:
            place.start()
        while state.left:
            if not any(place.is_alive() for place in crew) and events.empty():
                raise EncodeError(f"upscale: no worker can be used: {state.cause}")
            try:
                event = events.get(timeout=0.2)
            except queue.Empty:
                continue
            event()
    finally:
        with state.lock:
            state.over = True
            state.lock.notify_all()
        for place in crew:
            place.stop()
        for place in crew:
            place.join()


class _Lane:
    """A chunk on its way through a worker."""

    def __init__(self, chunk: Chunk, path: Path, turn: threading.Semaphore) -> None:
        self.chunk, self.path, self.done = chunk, path, 0
        self._turn: threading.Semaphore | None = turn

    def fed(self) -> None:
        """Let the next chunk be fed."""
        turn, self._turn = self._turn, None
        if turn:
            turn.release()


class _Place(threading.Thread):
    """Where one worker at a time works."""

    def __init__(
        self,
        work: Work,
        state: _State,
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
            turn = threading.Semaphore()
            lanes = [threading.Thread(target=self._lane, args=(worker, turn)) for _ in range(LANES)]
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

    def _lane(self, worker: Worker, turn: threading.Semaphore) -> None:
        """Take chunks in turn: one that waits for this worker could be made by another."""
        while True:
            turn.acquire()
            chunk = self._next()
            if chunk is None:
                turn.release()
                return
            lane = _Lane(chunk, temporary(self._work.folder, ".mkv"), turn)
            try:
                moved = functools.partial(self._move, lane)
                made = worker.render(chunk, lane.path, moved, lane.fed)
            except Exception as error:  # noqa: BLE001 (it is raised where the user is)
                lane.fed()
                lane.path.unlink(missing_ok=True)
                if not isinstance(error, Stopped | Died):
                    self._fail(error)
                self._give_back(lane, str(error))
                return
            self._events.put(lambda lane=lane, made=made: self._entered(lane, made))

    def _move(self, lane: _Lane, count: int) -> None:
        lane.done += count
        self._events.put(lambda: self._work.moved(count))

    def _next(self) -> Chunk | None:
        """A chunk; None when there will be no more for this worker."""
        with self._state.lock:
            while not self._state.todo and self._state.left and not self._state.over:
                self._state.lock.wait(0.5)
            return self._state.todo.popleft() if self._state.todo and not self._state.over else None

    def _give_back(self, lane: _Lane, cause: str) -> None:
        chunk = lane.chunk
        with self._state.lock:
            self._state.todo.appendleft(chunk)
            deaths = self._state.deaths[chunk] = self._state.deaths.get(chunk, 0) + 1
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

    def _entered(self, lane: _Lane, made: Made) -> None:
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
