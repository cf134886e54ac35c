"""What has to be computed, from which source frames, to serve output frame n. Pure Python.

Definitions (t, n: frame numbers; everything is a function of the clip and the options alone):

- A **scene start** is frame 0, a frame with `_SceneChangePrev=1`, or the frame after one with
  `_SceneChangeNext=1`. The state there is zero.
- A **block** starts at every multiple of `block` (0: one endless block). The steps that serve the
  frames of one block are its **run**: `warmup` steps before the block's start (not before frame 0
  or a scene start), from zero state, then one step a frame. The state after step t therefore
  depends on the block it is computed for; states are named by the pair (block start, t).
- The **window** of step t is t-1, t, t+1; a neighbour outside the clip or across a scene start is
  replaced by t itself. Windows do cross block starts.

Frame properties are known only once a frame has been seen, so a plan is either "look at these
frames first" or "run these steps".
"""

from collections.abc import Callable
from dataclasses import dataclass

MAX_REQUEST = 32
"""Most source frames asked for in one round, so that a seek does not fill the host's memory."""

_SEEN, _CUT_BEFORE, _CUT_AFTER = 1, 2, 4


@dataclass(frozen=True, kw_only=True)
class Run:
    """Where recurrence starts, for a clip and its options."""

    length: int
    """Frames of the clip."""
    block: int
    """Frames of a block; 0: the whole clip is one block."""
    warmup: int
    """Steps run before a block's first frame."""

    def block_start(self, n: int) -> int:
        """First frame of the block that frame n lies in."""
        return n - n % self.block if self.block else 0

    def earliest(self, n: int) -> int:
        """First step of frame n's run when no scene starts in between."""
        return max(0, self.block_start(n) - self.warmup)


class Cuts:
    """What is known of the clip's scene starts: one byte a frame, filled as frames are seen."""

    def __init__(self, length: int, honour: bool) -> None:
        """Nothing seen yet in a clip of `length` frames; `honour` False: there are no scenes."""
        self._length = length
        self._flags = bytearray(length) if honour else bytearray([_SEEN]) * length

    def observe(self, t: int, cut_before: bool, cut_after: bool) -> None:
        """Record frame t's `_SceneChangePrev` and `_SceneChangeNext`, if they are honoured."""
        if not self._flags[t] & _SEEN:
            self._flags[t] = _SEEN | _CUT_BEFORE * cut_before | _CUT_AFTER * cut_after

    def seen(self, t: int) -> bool:
        """Whether frame t's properties are known."""
        return bool(self._flags[t] & _SEEN)

    def starts(self, t: int) -> bool | None:
        """Whether a scene starts at t; None when a frame has to be seen to tell."""
        if t == 0:
            return True
        before, here = self._flags[t - 1], self._flags[t]
        if here & _CUT_BEFORE or before & _CUT_AFTER:
            return True
        return False if here & before & _SEEN else None

    def window(self, t: int) -> tuple[int, int, int]:
        """The three source frames of step t. Frames t-1, t, t+1 must have been seen.

        Raises:
            LookupError: A scene start at t or t+1 cannot be told yet.
        """
        first = self.starts(t)
        last = t + 1 == self._length or self.starts(t + 1)
        if first is None or last is None:
            raise LookupError(f"scene starts around frame {t} are not known yet")
        return (t if first else t - 1, t, t if last else t + 1)


@dataclass(frozen=True)
class Look:
    """The properties of these frames have to be seen before steps can be planned."""

    frames: tuple[int, ...]


@dataclass(frozen=True)
class Steps:
    """Run steps first..n, from zero state (`fresh`) or from the state after step first-1."""

    first: int
    fresh: bool


def plan(n: int, run: Run, cuts: Cuts, has_state: Callable[[int], bool]) -> Look | Steps:
    """The next thing to do for frame n.

    Args:
        n: Output frame.
        run: The clip's blocks.
        cuts: What is known of scene starts.
        has_state: Whether the state after step t, for the block of frame n, is at hand.

    Returns:
        `Steps` with `first` = n + 1 when the state after n is itself at hand: nothing to run.
        Never more than `warmup + block` steps when `block` is not 0. A `Look` names at least one
        frame that has not been seen, at most `MAX_REQUEST`.
    """
    if has_state(n):
        return Steps(n + 1, fresh=False)
    earliest = run.earliest(n)
    t = n
    while True:
        starts = cuts.starts(t)
        if starts is None:  # at `earliest`, too: the window of its step hangs on it
            return Look(_unseen(t, earliest, cuts, has_state))
        if starts or t == earliest:
            return Steps(t, fresh=True)
        if has_state(t - 1):
            return Steps(t, fresh=False)
        t -= 1


def _unseen(t: int, earliest: int, cuts: Cuts, has_state: Callable[[int], bool]) -> tuple[int, ...]:
    """Unseen frames that tell whether a scene starts at t, and below, as far as it matters."""
    low = t - 1  # whether a scene starts at t is written on t-1 and t
    while low > max(earliest - 1, 0) and not has_state(low) and t - low < MAX_REQUEST - 1:
        low -= 1
    return tuple(u for u in range(low, t + 1) if not cuts.seen(u))
