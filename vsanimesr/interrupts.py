"""Signals that wait for what must not be left half done."""

import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def held() -> Generator[None]:
    """Keep Python's handlers of signals from running inside; those that came run at the end.

    An import above all is not to be interrupted: a half imported torch or numpy can be imported in
    this process no more. Outside the main thread, where no handler ever runs, all stays as it is.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        came.append(number)

    # Others end the process at once, or are ignored, or are of another library.
    before = {one: signal.getsignal(one) for one in signal.valid_signals()}
    before = {one: handler for one, handler in before.items() if callable(handler)}
    try:
        for one in before:
            signal.signal(one, note)
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
        for number in came:
            signal.raise_signal(number)
