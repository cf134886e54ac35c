"""Ends that are asked for, Ctrl-C and SIGTERM: one line and 128 + the signal's number, at any time.

This imports nothing that takes time: it is the first thing of the command.
"""

import os
import signal
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


def at_once() -> None:
    """Until further notice leave at once: while modules are loaded, nothing is half done."""

    def leave(number: int, frame: FrameType | None) -> None:
        os.write(2, b"interrupted\n")
        os._exit(128 + number)

    _set(leave)


@contextmanager
def raised() -> Generator[None]:
    """Have these signals raise KeyboardInterrupt, with their number, inside."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt(number)

    before = _set(interrupt)
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


@contextmanager
def unheard(*more: signal.Signals) -> Generator[None]:
    """Have processes that are begun inside not hear Ctrl-C, which a terminal sends to all.

    From their first moment on: they would print where each of them was. This process hears of it at
    the end.

    Args:
        more: Signals that they shall not hear either.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    from multiprocessing import resource_tracker

    resource_tracker.ensure_running()  # to begin with the first queue, it would unblock them
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, *more})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


type _Handler = Callable[[int, FrameType | None], object] | int | signal.Handlers


def _set(handler: Callable[[int, FrameType | None], None]) -> dict[signal.Signals, _Handler]:
    """Set it for each of the signals that is not to be ignored; gives those of before."""
    before: dict[signal.Signals, _Handler] = {}
    if threading.current_thread() is threading.main_thread():
        for one in SIGNALS:
            found = signal.getsignal(one)
            if found not in (None, signal.SIG_IGN):  # set outside Python, or by nohup
                before[one] = found
                signal.signal(one, handler)
    return before
