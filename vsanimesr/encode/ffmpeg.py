"""The encoder: ffmpeg as a child that reads frames from a pipe."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import threading
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING

from vsanimesr.errors import EncodeError

if TYPE_CHECKING:
    from collections.abc import Buffer, Iterable

LAST = 8
"""Lines of what ffmpeg said last that are kept, besides the first error."""
_CONSEQUENCE = (
    "Could not open encoder before EOF|Task finished with error|Terminating thread with return"
    "|Nothing was written into output|Error while opening encoder|Conversion failed"
    "|Error opening output file|incorrect parameters such as"
)
"""What ffmpeg itself says because of an error that it told before."""


def find_ffmpeg() -> Path:
    """Locate ffmpeg: on PATH, else the one of the imageio-ffmpeg package.

    Raises:
        EncodeError: Neither is there.
    """
    if found := shutil.which("ffmpeg"):
        return Path(found)
    with contextlib.suppress(ImportError, RuntimeError):  # it raises where it has no binary
        import imageio_ffmpeg

        return Path(imageio_ffmpeg.get_ffmpeg_exe())
    raise EncodeError(
        "upscale: ffmpeg, which encodes the video, is not there; put it on PATH "
        "or install one: pip install imageio-ffmpeg"
    )


class Process:
    """A running ffmpeg that takes its input from `write`."""

    def __init__(self, command: list[str]) -> None:
        # Its own session: a Ctrl-C in the terminal is for us; we then end it ourselves.
        try:
            self._child = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                start_new_session=os.name == "posix",
                creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
                # Else SVT-AV1 tells its build and eight warnings each time.
                env=os.environ | {"SVT_LOG": os.environ.get("SVT_LOG", "1")},
            )
        except OSError as error:
            raise EncodeError(f"upscale: cannot start {command[0]}: {error}") from error
        self._first = ""
        self._said: deque[str] = deque(maxlen=LAST)
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    @property
    def pid(self) -> int:
        """Process id."""
        return self._child.pid

    def write(self, chunks: Iterable[Buffer]) -> None:
        """Send bytes; waits while ffmpeg is busy, so that no queue grows on our side.

        Raises:
            EncodeError: ffmpeg is gone.
        """
        assert self._child.stdin
        try:
            for chunk in chunks:
                self._child.stdin.write(chunk)
            self._child.stdin.flush()
        except OSError as error:
            self._child.wait()
            raise EncodeError(self._verdict()) from error

    def finish(self) -> list[str]:
        """End the input, wait, and return what ffmpeg complained about.

        Raises:
            EncodeError: ffmpeg failed.
        """
        assert self._child.stdin
        with contextlib.suppress(OSError):  # a dead reader: its exit status tells more
            self._child.stdin.close()
        if self._child.wait():
            raise EncodeError(self._verdict())
        self._listener.join()
        return list(self._said)

    def kill(self) -> None:
        """End ffmpeg now; harmless when it has ended already."""
        self._child.kill()
        self._child.wait()
        with contextlib.suppress(OSError):
            assert self._child.stdin
            self._child.stdin.close()
        self._listener.join(timeout=5)

    def _listen(self) -> None:
        assert self._child.stderr
        with self._child.stderr as pipe:
            for line in pipe:
                if text := line.decode(errors="replace").strip():
                    if not self._first and not re.search(_CONSEQUENCE, text):
                        self._first = text
                    self._said.append(text)

    def _verdict(self) -> str:
        self._listener.join(timeout=5)
        code = self._child.returncode
        how = f"with status {code}"
        if code < 0:
            how = f"by signal {signal.Signals(-code).name}"
        elif not code:
            how = "before the last frame"
        told = [line for line in self._said if not re.search(_CONSEQUENCE, line)]
        if self._first and self._first not in told:  # the cause, before what followed from it
            told.insert(0, self._first)
        said = " | ".join(told or self._said) or "it said nothing"
        return f"upscale: ffmpeg ended {how}: {said}"
