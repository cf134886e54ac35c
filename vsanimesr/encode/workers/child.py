"""A worker in a process of its own: one a GPU; it may die without taking the film along."""

from __future__ import annotations

import contextlib
import multiprocessing
import queue
import signal
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

from vsanimesr.encode.workers.serve import serve
from vsanimesr.encode.workers.worker import LANES, Died

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from vsanimesr.encode.chunks import Chunk
    from vsanimesr.encode.given.film import Film
    from vsanimesr.encode.verify import Made

PATIENCE = 60.0
"""Seconds after which a worker that says nothing, not even that it lives, is given up."""
LOADING = 300.0
"""The same at its beginning: while it loads Python's modules it cannot say that it lives."""
BEAT = 5.0
"""Seconds between its signs of life."""


class Child:
    """A worker, as seen from here."""

    def __init__(
        self,
        film: Film,
        environment: Mapping[str, str] | None = None,
        report: Callable[[str], None] = lambda _: None,
        patience: float = PATIENCE,
    ) -> None:
        """Start it.

        Args:
            film: What it renders.
            environment: Variables of its own, such as the GPUs it sees.
            report: Told what it logs.
            patience: Seconds it may be silent.
        """
        context = multiprocessing.get_context("spawn")  # a fork would share threads and devices
        pipes = [context.Pipe() for _ in range(LANES)]
        theirs = [end for _, end in pipes]
        given = (film, dict(environment or {}), theirs, min(BEAT, patience / 4))
        self._process = context.Process(target=serve, args=given, daemon=True)
        self._process.start()
        for end in theirs:
            end.close()
        self._free: queue.SimpleQueue[Connection] = queue.SimpleQueue()
        for end, _ in pipes:
            self._free.put(end)
        self._report, self._patience, self._closed = report, patience, False

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid or 0

    def facts(self, touch: Chunk, folder: Path) -> dict[str, str]:
        """See `Worker`."""
        question = ("facts", touch, str(folder))
        return self._answer(question, lambda _: None, lambda: None, max(self._patience, LOADING))

    def render(
        self, chunk: Chunk, path: Path, moved: Callable[[int], None], fed: Callable[[], None]
    ) -> Made:
        """See `Worker`."""
        return self._answer(("render", chunk, str(path)), moved, fed, self._patience)

    def close(self) -> None:
        """See `Worker`."""
        self._closed = True
        with contextlib.suppress(ValueError):  # closed already
            self._process.kill()

    def _answer(
        self,
        question: tuple[Any, ...],
        moved: Callable[[int], None],
        fed: Callable[[], None],
        patience: float,
    ) -> Any:  # noqa: ANN401 (facts, or what was made)
        pipe = self._free.get()
        try:
            pipe.send(question)
            while True:
                if not pipe.poll(patience):
                    self._process.kill()
                    raise Died(f"worker {self.pid} has said nothing for {patience:g} s")
                kind, value = pipe.recv()
                if kind == "done":
                    self._free.put(pipe)
                    return value
                if kind == "moved":
                    moved(value)
                elif kind == "fed":
                    fed()
                elif kind == "log":
                    self._report(value)
                elif kind == "error":
                    self._process.kill()
                    raise Died(value, own=True)
        except (EOFError, OSError) as error:
            self._process.join(5)
            raise Died("" if self._closed else self._end()) from error

    def _end(self) -> str:
        code = self._process.exitcode
        if code is not None and code < 0:
            return f"worker {self.pid} was ended by {signal.Signals(-code).name}"
        return f"worker {self.pid} ended with status {code}"
