"""What happens, as lines of JSON for programs that drive the command."""

from __future__ import annotations

import contextlib
import json
import os
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from pathlib import Path

    from vsanimesr.encode.common.progress import Progress
    from vsanimesr.encode.result import Result


class Events:
    """For programs: a line of JSON for each event."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._file = ""
        self._last: tuple[str, float] = ("", 0.0)

    def begin(self, source: Path, output: Path) -> None:
        """See `Display`."""
        self._file = _unicode(source)
        self._write("begin", output=_unicode(output))

    def say(self, text: str) -> None:
        """See `Display`."""
        self._write("note", text=text)

    def move(self, progress: Progress) -> None:
        """See `Display`; twice a second, and at both ends of a stage."""
        stage, said = self._last
        now, whole = time.monotonic(), progress.done == progress.total
        if stage != progress.stage or now - said >= 0.5 or whole:
            self._last = (progress.stage, now)
            self._write("progress", **asdict(progress), left=progress.left)

    def end(self, result: Result) -> None:
        """See `Display`."""
        self._write("done", **(asdict(result) | {"output": _unicode(result.output)}))

    def skip(self, output: Path) -> None:
        """See `Display`."""
        self._write("skipped", output=_unicode(output))

    def fail(self, source: Path, text: str) -> None:
        """See `Display`."""
        self._write("failed", text=text)

    def close(self) -> None:
        """See `Display`."""

    def _write(self, event: str, **about: object) -> None:
        with contextlib.suppress(OSError):  # nobody reads any more: the film is made all the same
            self._out.write(json.dumps({"event": event, "file": self._file, **about}) + "\n")
            self._out.flush()


def _unicode(path: Path) -> str:
    """A name in JSON, whatever the locale; bytes that are not UTF-8 become lone surrogates."""
    return os.fsencode(path).decode("utf-8", "surrogateescape")
