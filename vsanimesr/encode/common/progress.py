"""How far an encode is: stages, frames, and how long the rest takes."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

STAGES = ("index", "scenes", "check", "chunks", "join")
"""What an encode does, in order; `check` looks again at what an earlier run has made."""


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a stage is."""

    stage: str
    """One of `STAGES`."""
    done: int
    """Frames that are done; chunks, where the stage is `check`; percent, where it is `index`."""
    total: int
    """Of how many; 0: nobody knows."""
    rate: float
    """Frames per second since the stage has begun; 0: not known yet."""

    @property
    def left(self) -> float | None:
        """Seconds that the rest takes at this rate; None: not known."""
        return (self.total - self.done) / self.rate if self.rate and self.total else None


@dataclass(frozen=True)
class Told:
    """Who is told of an encode."""

    report: Callable[[str], None]
    """Each line that the user should read."""
    progress: Callable[[Progress], None]
    """Whatever moves."""


class Pace:
    """One stage; tells whoever wants to know."""

    def __init__(
        self, stage: str, total: int, tell: Callable[[Progress], None], *, done: int = 0
    ) -> None:
        """Begin, with `done` of `total` done by an earlier run."""
        self._stage, self._total, self._tell = stage, total, tell
        self._done, self._before = done, done
        self._begun: tuple[float, int] | None = None
        self._say()

    def moved(self, count: int = 1) -> None:
        """So many more are done."""
        self._done += count
        if self._begun is None:  # what comes before the first (weights, a GPU's kernels) is once
            self._begun = (time.monotonic(), self._done)
        self._say()

    def at(self, done: int, total: int) -> None:
        """So many are done."""
        self._total = total
        self.moved(done - self._done)

    def _say(self) -> None:
        rate = 0.0
        if self._begun:
            seconds, since = time.monotonic() - self._begun[0], self._done - self._begun[1]
            rate = since / seconds if seconds > 0 and since > 0 else 0.0
        done, total = self._done, self._total
        self._tell(Progress(stage=self._stage, done=done, total=total, rate=rate))
