"""How an encode is shown: a bar, a line now and then, or events for programs."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Any, Protocol, TextIO

from vsanimesr.encode.common.names import shown

if TYPE_CHECKING:
    from pathlib import Path

    from vsanimesr.encode.common.progress import Progress
    from vsanimesr.encode.result import Result

EVERY = 30.0
"""Seconds between lines where nobody looks at a terminal."""


class Display(Protocol):
    """Shows what happens to one file after the other."""

    def begin(self, source: Path, output: Path) -> None:
        """A file is begun."""
        ...

    def say(self, text: str) -> None:
        """Something the user should read."""
        ...

    def move(self, progress: Progress) -> None:
        """Something has moved."""
        ...

    def end(self, result: Result) -> None:
        """A file is done."""
        ...

    def skip(self, output: Path) -> None:
        """A file was done before."""
        ...

    def fail(self, source: Path, text: str) -> None:
        """A file of several failed."""
        ...

    def close(self) -> None:
        """Nothing more comes."""
        ...


class Text:
    """For people: results to `out`, all else to `err`, with a bar where that is a terminal."""

    def __init__(self, out: TextIO, err: TextIO) -> None:
        self._out, self._err = out, err
        self._bar: Any = None
        self._stage, self._said = "", time.monotonic()

    def begin(self, source: Path, output: Path) -> None:
        """See `Display`."""
        self._stage = ""

    def say(self, text: str) -> None:
        """See `Display`."""
        if self._bar is not None:
            self._bar.clear()
        with contextlib.suppress(OSError):  # nobody reads any more: as below
            self._err.write(f"vsanimesr: {text}\n")
            self._err.flush()

    def move(self, progress: Progress) -> None:
        """See `Display`."""
        if self._err.isatty():
            self._draw(progress)
        elif time.monotonic() - self._said >= EVERY:
            self._said = time.monotonic()
            self.say(line(progress))

    def end(self, result: Result) -> None:
        """See `Display`."""
        self.close()
        self._print(f"{shown(result.output)}: {summary(result)}")

    def skip(self, output: Path) -> None:
        """See `Display`."""
        self._print(f"{shown(output)}: done before")

    def fail(self, source: Path, text: str) -> None:
        """See `Display`."""
        self.close()
        self.say(f"{shown(source)}: {text}")

    def close(self) -> None:
        """See `Display`."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _print(self, text: str) -> None:
        with contextlib.suppress(OSError):  # nobody reads any more: the file is whole all the same
            self._out.write(f"{text}\n")
            self._out.flush()

    def _draw(self, progress: Progress) -> None:
        if self._bar is None or progress.stage != self._stage:
            from tqdm import tqdm

            self.close()
            self._stage = progress.stage
            self._bar = tqdm(
                initial=progress.done,
                total=progress.total or None,
                desc=progress.stage,
                unit="",
                file=self._err,
                dynamic_ncols=True,
                leave=False,
                bar_format="{desc} {percentage:3.0f}% |{bar}| {n_fmt}/{total_fmt}{postfix}",
            )
        rest = "" if progress.left is None else f", {clock(progress.left)} left"
        self._bar.set_postfix_str(f"{progress.rate:.2f}/s{rest}" if progress.rate else "", False)
        self._bar.update(progress.done - self._bar.n)


def line(progress: Progress) -> str:
    """A stage in words."""
    of = f" of {progress.total}" if progress.total else ""
    words = [f"{progress.stage}: {progress.done}{of}"]
    words += [f"{progress.rate:.2f} a second"] if progress.rate else []
    words += [f"{clock(progress.left)} left"] if progress.left is not None else []
    return ", ".join(words)


def summary(result: Result) -> str:
    """What became of a file, in words."""
    words = [f"{result.frames} frame{'s' * (result.frames != 1)} in {clock(result.seconds)}"]
    if result.rendered and result.seconds:
        words.append(f"{result.rendered / result.seconds:.2f} frames/s")
    if result.resumed:
        words.append(f"{result.resumed} of {result.chunks} chunks from before")
    return ", ".join([*words, f"{result.size / 1e6:.1f} MB"])


def clock(seconds: float) -> str:
    """Hours, minutes and seconds."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute}:{second:02d}"
