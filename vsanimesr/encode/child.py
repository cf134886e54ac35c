"""A worker in a process of its own: one a GPU; it may die without taking the film along."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import queue
import signal
import threading
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vsanimesr.encode.facts import maker_facts
from vsanimesr.encode.film import Film
from vsanimesr.encode.messages import logged
from vsanimesr.encode.render import Renderer
from vsanimesr.encode.workers import LANES, Died

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from vsanimesr.encode.chunks import Chunk
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
        self._process = context.Process(target=_serve, args=given, daemon=True)
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
                    raise Died(value)
        except (EOFError, OSError) as error:
            self._process.join(5)
            raise Died("" if self._closed else self._end()) from error

    def _end(self) -> str:
        code = self._process.exitcode
        if code is not None and code < 0:
            return f"worker {self.pid} was ended by {signal.Signals(-code).name}"
        return f"worker {self.pid} ended with status {code}"


class _Line:
    """One connection, in the worker."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe, self._lock = pipe, threading.Lock()
        self.asked = False

    def say(self, kind: str, value: object = None) -> None:
        """Send; with nobody there to hear it, nothing is worth going on with."""
        try:
            with self._lock:
                self._pipe.send((kind, value))
        except OSError:
            os._exit(1)

    def questions(self) -> Any:  # noqa: ANN401
        """All that is asked, until whoever asks is gone."""
        with contextlib.suppress(EOFError, OSError):
            while True:
                question = self._pipe.recv()
                self.asked = True
                yield question
                self.asked = False
        os._exit(0)


def _serve(
    film: Film, environment: Mapping[str, str], pipes: Sequence[Connection], beat: float
) -> None:
    """Be a worker (in the new process)."""
    os.environ.update(environment)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is for whoever has started us
    lines = [_Line(pipe) for pipe in pipes]
    stop = threading.Event()

    def live() -> None:
        while not stop.wait(beat):
            for line in lines:
                if line.asked:  # nobody reads where nothing is asked, and a full pipe blocks
                    line.say("alive")

    threading.Thread(target=live, daemon=True).start()
    held: list[Renderer] = []
    lock = threading.Lock()

    def renderer() -> Renderer:
        with lock:
            if not held:
                held.append(Renderer(film))
            return held[0]

    def serve(line: _Line) -> None:
        for question in line.questions():
            try:
                if question[0] == "facts":
                    line.say("done", maker_facts(renderer(), question[1], Path(question[2])))
                else:
                    _, chunk, path = question
                    made = renderer().render(
                        chunk,
                        Path(path),
                        lambda n: line.say("moved", n),
                        lambda: line.say("fed"),
                    )
                    line.say("done", made)
            except Exception as error:  # noqa: BLE001 (it is told where the user is)
                line.say("error", str(error) or repr(error))

    others = [threading.Thread(target=serve, args=(line,), daemon=True) for line in lines[1:]]
    for other in others:
        other.start()
    with logged(lambda text: lines[0].say("log", text)):
        serve(lines[0])
