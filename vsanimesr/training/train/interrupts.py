"""Ctrl-C and the end that a job manager asks for, put off until a run can be left."""

import signal
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def deferred(*, enabled: bool = True) -> Generator[Callable[[], int]]:
    """Keep the first of these signals from interrupting; a second one acts as it always does.

    Args:
        enabled: If not, or outside the main thread, which alone gets signals, all stays as it is.

    Yields:
        The number of the one that has come, or 0.
    """
    came = 0
    before: dict[signal.Signals, signal._HANDLER] = {}  # pyright: ignore[reportPrivateUsage]

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal came
        came = number
        restore()

    def restore() -> None:
        for one, handler in before.items():
            signal.signal(one, handler)

    if enabled and threading.current_thread() is threading.main_thread():
        for one in SIGNALS:
            handler = signal.getsignal(one)
            if handler not in (None, signal.SIG_IGN):  # set outside Python, or to be ignored
                before[one] = handler
                signal.signal(one, note)
    try:
        yield lambda: came
    finally:
        restore()
