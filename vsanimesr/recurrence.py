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

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Sequence
from dataclasses import dataclass

MAX_REQUEST = 32
"""Most source frames asked for in one round, so that a seek does not fill the host's memory."""
MAX_STEPS = 32
"""Most steps planned at once: an endless run must not become an endless list."""
AHEAD = 8
"""Frames that are searched for the next kept one. Drawings are held for two to four frames, for six
or eight now and then; what is held longer is a still, whose next drawing is of no help."""
REACH = 4
"""Frames of a run's reach for each step of warm-up: on fours the chain still has them all."""

type Window = tuple[int, int, int]
"""Source frames of a step: the one before, its own, the one after."""
type Differs = Callable[[int, int], bool | None]
"""Whether source frames k and t are further apart than the threshold; None: not at hand."""


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
    """What is known of the clip's scene starts.

    Frames that have been seen are kept as stretches, so that neither memory nor time depends on the
    length of the clip, which may be endless (2**31 - 1 frames).
    """

    def __init__(self, length: int, honour: bool) -> None:
        """Nothing seen yet in a clip of `length` frames; `honour` False: there are no scenes."""
        self.length = length
        self.honour = honour
        self._starts = [0]  # ascending, as far as they are known
        self._firsts = [] if honour else [0]  # of the stretches of frames seen, ascending
        self._lasts = [] if honour else [length - 1]

    def observe(self, t: int, cut_before: bool, cut_after: bool) -> None:
        """Record frame t's `_SceneChangePrev` and `_SceneChangeNext`, if they are honoured."""
        if self.seen(t):
            return
        for u, cut in ((t, cut_before), (t + 1, cut_after)):
            if cut and u < self.length and not self._known_start(u):
                insort(self._starts, u)
        i = bisect_right(self._firsts, t)
        joins_last = i > 0 and self._lasts[i - 1] == t - 1
        joins_next = i < len(self._firsts) and self._firsts[i] == t + 1
        if joins_last and joins_next:
            self._lasts[i - 1] = self._lasts.pop(i)
            del self._firsts[i]
        elif joins_last:
            self._lasts[i - 1] = t
        elif joins_next:
            self._firsts[i] = t
        else:
            self._firsts.insert(i, t)
            self._lasts.insert(i, t)

    def seen(self, t: int) -> bool:
        """Whether frame t's properties are known."""
        return self._stretch(t) is not None

    def starts(self, t: int) -> bool | None:
        """Whether a scene starts at t; None when a frame has to be seen to tell."""
        if self._known_start(t):
            return True
        stretch = self._stretch(t)
        return False if stretch and stretch[0] < t else None

    def last_start(self, low: int, n: int) -> int | None:
        """The last frame in low..n where a scene starts; None: none that is known."""
        i = bisect_right(self._starts, n)
        return self._starts[i - 1] if i and self._starts[i - 1] >= low else None

    def last_unknown(self, low: int, n: int) -> int | None:
        """The last frame in low..n of which it cannot be told; None: there is none."""
        t = n
        while t >= low:
            stretch = self._stretch(t)
            if stretch and stretch[0] < t:
                t = stretch[0]
            elif self._known_start(t):
                t -= 1
            else:
                return t
        return None

    def end(self, t: int) -> int:
        """The first frame after t where a scene starts or may start, or the clip's length."""
        stretch = self._stretch(t)
        known = stretch[1] if stretch else t
        i = bisect_right(self._starts, t)
        start = self._starts[i] if i < len(self._starts) else self.length
        return min(known + 1, start, self.length)

    def _known_start(self, t: int) -> bool:
        i = bisect_left(self._starts, t)
        return i < len(self._starts) and self._starts[i] == t

    def _stretch(self, t: int) -> tuple[int, int] | None:
        """First and last frame of the stretch of seen frames around t; None: t is not seen."""
        i = bisect_right(self._firsts, t) - 1
        return (self._firsts[i], self._lasts[i]) if i >= 0 and t <= self._lasts[i] else None


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
        self.any = differs is not None
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
    """Frames to be seen before steps can be planned."""

    frames: tuple[int, ...]
    """These for certain, together: whatever the others are, frame n depends on them."""
    ahead: tuple[int, ...] = ()
    """These next, unless what is seen says otherwise. Nearest first."""


@dataclass(frozen=True)
class Steps:
    """Steps to be run, from zero state or the state after an earlier step."""

    windows: tuple[Window, ...]
    """At most `MAX_STEPS`; if the last one is not yet `shown`, plan again after them."""
    after: int | None
    """The step whose state they start from; None: the zero state."""
    shown: int
    """The step whose state is the output; `after` when there are no steps to be run."""
    since: int
    """First frame of the run: what is shown depends on all from here to n."""
    warm: int | None
    """Last step before the block's start; None: there is none."""
    again: int = 0
    """Times that the first step is run once more."""


def plan(
    n: int,
    run: Run,
    cuts: Cuts,
    latest: Callable[[int, int], int | None],
    holds: Holds | None = None,
) -> Look | Steps:
    """The next thing to do for frame n.

    Args:
        n: Output frame.
        run: The clip's blocks.
        cuts: What is known of scene starts.
        latest: The last step in low..high whose state, for the block of frame n, is at hand.
        holds: What is known of held frames; None: none is held.

    Returns:
        Never more than `warmup + block` steps in all when `block` is not 0. A `Look` names at least
        one frame that has not been seen, or not beside the others.
    """
    if holds is None:
        holds = Holds()
    low = run.earliest(n, holds.reach)
    start = cuts.last_start(low, n)
    unknown = n if not cuts.seen(n) else cuts.last_unknown(low if start is None else start + 1, n)
    if unknown is not None:
        return _look_back(n, unknown, max(0, low - 1) if start is None else start, cuts)
    chain = holds.chain(low if start is None else start, cuts)
    if chain.upto < n:
        return _compare(chain, n, holds)
    kept = chain.kept
    last = bisect_right(kept, n) - 1
    shown = kept[last]
    block_start = bisect_left(kept, run.block_start(n))  # as an index, as the others here
    first = max(0, block_start - run.warmup)
    since, warm = kept[first], kept[block_start - 1] if block_start > first else None
    done = latest(since, shown)
    if done == shown:
        return Steps((), shown, shown, since, warm)
    i = first if done is None else bisect_right(kept, done)
    windows: list[Window] = []
    for step in range(i, min(last + 1, i + MAX_STEPS)):
        window = _window(chain, step, cuts)
        if window is None:
            return _compare(chain, min(shown + AHEAD, cuts.length - 1), holds)
        windows.append(window)
    again = max(0, run.warmup - block_start) if done is None and start is None else 0
    return Steps(tuple(windows), done, shown, since, warm, again)


def _look_back(n: int, unknown: int, first: int, cuts: Cuts) -> Look:
    """Look at what tells whether a scene starts at `unknown`, and at what is needed with it.

    How far back frame n reaches shows only on the way, so nothing before that is asked for: a frame
    of an earlier scene that cannot be had is not to fail this one.
    """
    u = unknown - 1 if cuts.seen(unknown) else unknown
    after = n + 1
    wanted = cuts.seen(n) and after < cuts.length and not cuts.starts(after)
    frames = (u, after) if wanted and not cuts.seen(after) else (u,)
    ahead = range(u - 1, max(first, u - MAX_REQUEST) - 1, -1)
    return Look(frames, tuple(t for t in ahead if not cuts.seen(t)))


def _compare(chain: Chain, to: int, holds: Holds) -> Look:
    """Look at the frame after those that are known, beside the last kept one if any are held."""
    following = chain.upto + 1
    if not holds.any:
        return Look((following,))
    ahead = range(following + 1, min(to, following + MAX_REQUEST) + 1)
    return Look((chain.kept[-1], following), tuple(ahead))


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
