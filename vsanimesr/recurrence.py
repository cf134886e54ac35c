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

Held frames (`Holds`) are left out. A run of a clip with holds is a run of its **kept** frames:

- Its chain starts at the scene start, or `REACH` * `warmup` frames before the block where that is
  later. This first frame is kept; after it, each frame that differs from the *last kept* one. (A
  chain of neighbours that hardly differ, a slow fade, would drift away from what is shown.) No
  output therefore shows a source frame further away from its own than the threshold.
- The last `warmup` frames kept before the block's start are its warm-up. If there are fewer, and no
  scene start is the reason (a still), the first step is run again until there are.
- The window of a kept frame t is the frame kept before it, t, and the frame kept after it; t itself
  where that is across a scene start, outside the clip, or more than `AHEAD` frames away: until
  then t is what is to be seen. The first of a chain inside a scene takes the frame before it.
- Output n is the image of the state after the last kept frame that is not after n.

Frame properties and pictures are known only once a frame has been seen, so a plan is either "look
at these frames first" or "run these steps".
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass

MAX_REQUEST = 32
"""Most source frames asked for in one round, so that a seek does not fill the host's memory."""
AHEAD = 8
"""Frames that are searched for the next kept one. Drawings are held for two to four frames, for six
or eight now and then; what is held longer is a still, whose next drawing is of no help."""
REACH = 4
"""Frames of a run's reach for each step of warm-up: on fours the chain still has them all."""

type Window = tuple[int, int, int]
"""Source frames of a step: the one before, its own, the one after."""
type Differs = Callable[[int, int], bool | None]
"""Whether source frames k and t are further apart than the threshold; None: not at hand."""

_SEEN, _CUT_BEFORE, _CUT_AFTER = 1, 2, 4
_UNKNOWN, _GOES_ON, _STARTS = 0, 1, 2


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

    def earliest(self, n: int, reach: int = 1) -> int:
        """First frame of n's run when no scene starts later; `reach` frames a warm-up step."""
        return max(0, self.block_start(n) - self.warmup * reach)


class Cuts:
    """What is known of the clip's scene starts: two bytes a frame, filled as frames are seen."""

    def __init__(self, length: int, honour: bool) -> None:
        """Nothing seen yet in a clip of `length` frames; `honour` False: there are no scenes."""
        self.length = length
        self._flags = bytearray(length) if honour else bytearray([_SEEN]) * length
        self._starts = bytearray([_UNKNOWN if honour else _GOES_ON]) * length
        self._starts[0] = _STARTS

    def observe(self, t: int, cut_before: bool, cut_after: bool) -> None:
        """Record frame t's `_SceneChangePrev` and `_SceneChangeNext`, if they are honoured."""
        if self._flags[t] & _SEEN:
            return
        self._flags[t] = _SEEN | _CUT_BEFORE * cut_before | _CUT_AFTER * cut_after
        for u in range(max(t, 1), min(t + 2, self.length)):
            before, here = self._flags[u - 1], self._flags[u]
            if here & _CUT_BEFORE or before & _CUT_AFTER:
                self._starts[u] = _STARTS
            elif here & before & _SEEN:
                self._starts[u] = _GOES_ON

    def seen(self, t: int) -> bool:
        """Whether frame t's properties are known."""
        return bool(self._flags[t] & _SEEN)

    def starts(self, t: int) -> bool | None:
        """Whether a scene starts at t; None when a frame has to be seen to tell."""
        known = self._starts[t]
        return None if known == _UNKNOWN else known == _STARTS

    def last_start(self, low: int, n: int) -> int | None:
        """The last frame in low..n where a scene starts; None: none that is known."""
        found = self._starts.rfind(_STARTS, low, n + 1)
        return None if found < 0 else found

    def last_unknown(self, low: int, n: int) -> int | None:
        """The last frame in low..n of which it cannot be told; None: there is none."""
        found = self._starts.rfind(_UNKNOWN, low, n + 1)
        return None if found < 0 else found

    def end(self, t: int) -> int:
        """The first frame after t where a scene starts or may start, or the clip's length."""
        unknown = self._starts.find(_UNKNOWN, t + 1)
        known = self._starts.find(_STARTS, t + 1, unknown if unknown >= 0 else self.length)
        return known if known >= 0 else unknown if unknown >= 0 else self.length

    def window(self, t: int) -> Window:
        """The window of step t where no frame is held. Frames t-1, t, t+1 must have been seen.

        Raises:
            LookupError: A scene start at t or t+1 cannot be told yet.
        """
        first = self.starts(t)
        last = t + 1 == self.length or self.starts(t + 1)
        if first is None or last is None:
            raise LookupError(f"scene starts around frame {t} are not known yet")
        return (t if first else t - 1, t, t if last else t + 1)


@dataclass(frozen=True)
class Chain:
    """Kept frames of one scene from some frame on."""

    kept: Sequence[int]
    """Kept frames as far as they are known, ascending; the first is the chain's start."""
    upto: int
    """Last frame known to be kept or held."""


class Holds:
    """What is known of held frames: a chain of kept frames for each start."""

    def __init__(self, differs: Differs | None = None) -> None:
        """By this comparison; None: no frame is held."""
        self._differs = differs
        self._kept: dict[int, list[int]] = {}
        self._upto: dict[int, int] = {}
        self.reach = REACH if differs else 1

    def chain(self, start: int, cuts: Cuts) -> Chain:
        """The chain from `start`, as far as marks and the pictures at hand tell."""
        if self._differs is None:
            end = cuts.end(start)
            return Chain(range(start, end), end - 1)
        kept = self._kept.setdefault(start, [start])
        upto = self._upto.get(start, start)
        end = cuts.end(upto)
        while upto + 1 < end and (differs := self._differs(kept[-1], upto + 1)) is not None:
            upto += 1
            if differs:
                kept.append(upto)
        self._upto[start] = upto
        return Chain(kept, upto)


@dataclass(frozen=True)
class Look:
    """These frames have to be seen, together, before steps can be planned."""

    frames: tuple[int, ...]


@dataclass(frozen=True)
class Steps:
    """Steps to be run, from zero state or the state after an earlier step."""

    windows: tuple[Window, ...]
    after: int | None
    """The step whose state they start from; None: the zero state."""
    shown: int
    """The step whose state is the output, the last of these; `after` when there are none."""
    again: int = 0
    """Times that the first step is run once more."""


def plan(
    n: int, run: Run, cuts: Cuts, has_state: Callable[[int], bool], holds: Holds | None = None
) -> Look | Steps:
    """The next thing to do for frame n.

    Args:
        n: Output frame.
        run: The clip's blocks.
        cuts: What is known of scene starts.
        has_state: Whether the state after step t, for the block of frame n, is at hand.
        holds: What is known of held frames; None: none is held.

    Returns:
        Never more than `warmup + block` steps when `block` is not 0. A `Look` names at most
        `MAX_REQUEST` frames, at least one of which has not been seen, or not beside the others.
    """
    if holds is None:
        holds = Holds()
    low = run.earliest(n, holds.reach)
    start, unknown = cuts.last_start(low, n), cuts.last_unknown(low, n)
    if unknown is not None and (start is None or unknown > start):
        first = max(0, low - 1 if start is None else start, unknown - MAX_REQUEST + 1)
        return Look(tuple(t for t in range(first, unknown + 1) if not cuts.seen(t)))
    chain = holds.chain(low if start is None else start, cuts)
    if chain.upto < n:
        return _compare(chain, n)
    kept = chain.kept
    last = bisect_right(kept, n) - 1
    shown = kept[last]
    if has_state(shown):
        return Steps((), shown, shown)
    warmup = bisect_left(kept, run.block_start(n))  # kept frames before the block
    first = max(0, warmup - run.warmup)
    i = last
    while i > first and not has_state(kept[i - 1]):
        i -= 1
    windows = [_window(chain, step, cuts) for step in range(i, last + 1)]
    if windows[-1] is None:
        return _compare(chain, min(shown + AHEAD, cuts.length - 1))
    again = max(0, run.warmup - warmup) if i == first and start is None else 0
    known = tuple(window for window in windows if window is not None)
    return Steps(known, kept[i - 1] if i > first else None, shown, again)


def _compare(chain: Chain, to: int) -> Look:
    """Look at the chain's last kept frame and those that are to be compared with it."""
    first = chain.upto + 1
    return Look((chain.kept[-1], *range(first, min(to + 1, first + MAX_REQUEST - 1))))


def _window(chain: Chain, i: int, cuts: Cuts) -> Window | None:
    """The window of the chain's i-th step; None when the frames after it have to be seen."""
    kept = chain.kept
    t = kept[i]
    before = kept[i - 1] if i else t if cuts.starts(t) else t - 1
    if i + 1 < len(kept):
        return (before, t, kept[i + 1] if kept[i + 1] <= t + AHEAD else t)
    end = chain.upto + 1
    if chain.upto >= t + AHEAD or end == cuts.length or cuts.starts(end):
        return (before, t, t)
    return None
