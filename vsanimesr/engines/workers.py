"""Tasks in a fixed order on several threads, each begun when those that it builds on are done."""

import os
import queue
import threading
import weakref
from collections.abc import Callable, Sequence
from typing import NamedTuple


class Task(NamedTuple):
    """A piece of work."""

    after: int
    """So many of the first tasks must be done before."""
    run: Callable[[], None]


class Workers:
    """Threads that help the one that calls. What is computed is the same with any number."""

    def __init__(self, count: int) -> None:
        """So many threads in all, the caller's counted."""
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        threads = [
            threading.Thread(target=_work, args=(self._jobs,), daemon=True, name="animesr step")
            for _ in range(count - 1)
        ]
        for thread in threads:
            thread.start()
        self._count = len(threads)
        self.close = weakref.finalize(self, _end, self._jobs, len(threads))
        """Let the threads go."""

    def __call__(self, tasks: Sequence[Task]) -> None:
        """Run all tasks; the first error of one is raised when no task runs any more."""
        job = _Job(tasks)
        for _ in range(min(self._count, len(tasks) - 1)):
            self._jobs.put(job)
        job.work()
        job.wait()


class _Job:
    """Tasks under way."""

    def __init__(self, tasks: Sequence[Task]) -> None:
        self._tasks = tasks
        self._changed = threading.Condition()
        self._next = self._first = self._running = 0  # `_first`: the first that is not done
        self._done = [False] * len(tasks)
        self._error: BaseException | None = None

    def work(self) -> None:
        """Take tasks until there are none left."""
        while (number := self._take()) is not None:
            error: BaseException | None = None
            try:
                self._tasks[number].run()
            except BaseException as raised:  # noqa: BLE001 - it is raised by `wait`
                error = raised
            with self._changed:
                self._running -= 1
                self._error = self._error or error
                self._done[number] = True
                while self._first < len(self._done) and self._done[self._first]:
                    self._first += 1
                self._changed.notify_all()

    def wait(self) -> None:
        """Until no task runs any more."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._first == len(self._done) or (self._error and not self._running)
            )
        if self._error:
            raise self._error

    def _take(self) -> int | None:
        with self._changed:
            number = self._next
            if number == len(self._tasks) or self._error:
                return None
            self._next += 1
            after = self._tasks[number].after
            self._changed.wait_for(lambda: self._first >= after or self._error is not None)
            if self._error:
                return None
            self._running += 1
            return number


def _work(jobs: "queue.SimpleQueue[_Job | None]") -> None:
    while (job := jobs.get()) is not None:
        job.work()
        del job


def _end(jobs: "queue.SimpleQueue[_Job | None]", count: int) -> None:
    for _ in range(count):
        jobs.put(None)


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # not on Windows and macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
