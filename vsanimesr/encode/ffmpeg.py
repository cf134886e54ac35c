"""The encoder: ffmpeg as a child that reads frames from a pipe."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import threading
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vsanimesr.errors import EncodeError, OptionError

if TYPE_CHECKING:
    from collections.abc import Iterable

CRF = {"x265": 18.0, "x264": 16.0}
"""Encoders and their default constant rate factor."""
ENCODERS = tuple(CRF)


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """How the enlarged video is compressed."""

    encoder: str = "x265"
    """`x265` or `x264`."""
    crf: float | None = None
    """Constant rate factor, lower is better; None: as in `CRF`."""
    preset: str = "medium"
    """Speed against size, in the encoder's own words."""
    format: str = "yuv420p10"
    """Pixel format of the result. Ten bits keep gradients from banding, and 4:2:0 is what
    players decode in hardware, whatever the source's chroma was."""
    arguments: tuple[str, ...] = ()
    """ffmpeg's output options for the video, in place of encoder, crf and preset."""

    def __post_init__(self) -> None:
        """Check the encoder.

        Raises:
            OptionError: An unknown encoder.
        """
        if self.encoder not in ENCODERS:
            raise OptionError(f"encoder={self.encoder}, wanted one of {', '.join(ENCODERS)}")

    def options(self, muxer: str) -> list[str]:
        """Options of ffmpeg for the video stream in a container of this format."""
        if self.arguments:
            return list(self.arguments)
        crf = CRF[self.encoder] if self.crf is None else self.crf
        options = [
            *("-c:v:0", f"lib{self.encoder}"),
            *("-preset:v:0", self.preset),
            *("-crf:v:0", f"{crf:g}"),
        ]
        if self.encoder == "x265":
            options += ["-x265-params:v:0", "log-level=error"]  # it ignores ffmpeg's -loglevel
            if muxer in ("mp4", "mov"):
                options += ["-tag:v:0", "hvc1"]  # Apple's players refuse hev1
        return options


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
            )
        except OSError as error:
            raise EncodeError(f"upscale: cannot start {command[0]}: {error}") from error
        self._said: deque[str] = deque(maxlen=8)
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    @property
    def pid(self) -> int:
        """Process id."""
        return self._child.pid

    def write(self, chunks: Iterable[bytes]) -> None:
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
                    self._said.append(text)

    def _verdict(self) -> str:
        self._listener.join(timeout=5)
        code = self._child.returncode
        how = f"with status {code}"
        if code < 0:
            how = f"by signal {signal.Signals(-code).name}"
        elif not code:
            how = "before the last frame"
        said = " | ".join(self._said) or "it said nothing"
        return f"upscale: ffmpeg ended {how}: {said}"
