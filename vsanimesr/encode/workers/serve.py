"""The other side of `child`: what a worker process does."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vsanimesr.encode.common.messages import logged
from vsanimesr.encode.render.renderer import Renderer
from vsanimesr.encode.workers.facts import maker_facts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from multiprocessing.connection import Connection

    from vsanimesr.encode.given.film import Film


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


def serve(
    film: Film, environment: Mapping[str, str], pipes: Sequence[Connection], beat: float
) -> None:
    """Be a worker (in the new process), until nobody asks any more."""
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

    def answer(line: _Line) -> None:
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

    others = [threading.Thread(target=answer, args=(line,), daemon=True) for line in lines[1:]]
    for other in others:
        other.start()
    with logged(lambda text: lines[0].say("log", text)):
        answer(lines[0])
