"""The encoder: ffmpeg as a child that reads frames from a pipe."""

from __future__ import annotations

import contextlib
import functools
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

OLDEST = (5, 1)
"""The first ffmpeg that has `-fps_mode`."""
LAST = 8
"""Lines of what ffmpeg said last that are kept, besides the first error."""
_CONSEQUENCE = (
    "Could not open encoder before EOF|Task finished with error|Terminating thread with return"
    "|Nothing was written into output|Error while opening encoder|Conversion failed"
    "|Error opening output file|incorrect parameters such as"
)
"""What ffmpeg itself says because of an error that it told before."""


def find_ffmpeg(encoder: str = "") -> Path:
    """Locate ffmpeg: the one on PATH, unless it cannot do it; else that of imageio-ffmpeg.

    Args:
        encoder: What it must have; empty: any will do.

    Raises:
        EncodeError: None is there, or none of them can do it.
    """
    found = list[str]()
    if there := shutil.which("ffmpeg"):
        found.append(there)
    with contextlib.suppress(ImportError, RuntimeError):  # it raises where it has no binary
        import imageio_ffmpeg

        found.append(imageio_ffmpeg.get_ffmpeg_exe())
    if not found:
        raise EncodeError(
            "upscale: ffmpeg, which encodes the video, is not there; put it on PATH "
            "or install one: pip install imageio-ffmpeg"
        )
    why = list[str]()
    for program in dict.fromkeys(found):
        if not (said := shortcoming(program, encoder)):
            return Path(program)
        why.append(f"{program} {said}")
    raise EncodeError(
        f"upscale: {', '.join(why)}; put another ffmpeg on PATH, or install one: "
        "pip install -U imageio-ffmpeg"
    )


def passed_over(encoder: str) -> str:
    """Words on the ffmpeg on PATH where it is not the one that is used; else nothing.

    Raises:
        EncodeError: As of `find_ffmpeg`.
    """
    used, there = find_ffmpeg(encoder), shutil.which("ffmpeg")
    why = shortcoming(there, encoder) if there else ""
    return f"{there} {why}; {used} is used" if why else ""


@functools.cache
def shortcoming(program: str, encoder: str) -> str:
    """Why an ffmpeg cannot be used, in words that go on from its name; empty: it can."""
    try:
        told = _told(program, "-hide_banner", "-h", f"encoder={encoder or 'rawvideo'}")
        number = re.search(r"^ffmpeg version n?(\d+)\.(\d+)", version(program))
    except OSError as error:
        return f"cannot be started ({error.strerror})"
    if number and (int(number[1]), int(number[2])) < OLDEST:
        return f"is version {number[1]}.{number[2]}, wanted {OLDEST[0]}.{OLDEST[1]} or later"
    return "" if not encoder or re.search(r"^Encoder ", told, re.MULTILINE) else f"has no {encoder}"


def version(program: str) -> str:
    """What an ffmpeg says of itself.

    Raises:
        OSError: It cannot be started.
    """
    return _told(program, "-version")


def _told(*command: str) -> str:
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        stdin=subprocess.DEVNULL,
    ).stdout


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
