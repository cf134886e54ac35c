"""The definition of output frame n, written as plainly as possible, to test everything against.

A state is a nested tuple of the windows that led to it, so two states are equal only if exactly the
same steps were run on the same frames.
"""

from dataclasses import dataclass

from vsanimesr.recurrence import AHEAD, REACH


@dataclass(frozen=True)
class Clip:
    """What matters of a clip: each frame's scene change marks, and its picture as a number."""

    before: tuple[bool, ...]
    after: tuple[bool, ...]
    pictures: tuple[int, ...] = ()

    @property
    def length(self) -> int:
        return len(self.before)

    def starts(self, t: int, honour: bool) -> bool:
        return t == 0 or (honour and (self.before[t] or self.after[t - 1]))


def expected(n: int, clip: Clip, block: int, warmup: int, honour: bool) -> tuple[object, ...]:
    """The state after frame n."""
    scene = max(t for t in range(n + 1) if clip.starts(t, honour))
    first = max(scene, (n - n % block if block else 0) - warmup)
    state: tuple[object, ...] = ()
    for t in range(first, n + 1):
        previous = t if clip.starts(t, honour) else t - 1
        following = t if t == clip.length - 1 or clip.starts(t + 1, honour) else t + 1
        state = (state, previous, t, following)
    return state


def kept(first: int, clip: Clip, honour: bool, dedup: int) -> list[int]:
    """Frames that differ by more than `dedup` from the one kept before, from `first` to a cut."""
    chain = [first]
    for t in range(first + 1, clip.length):
        if clip.starts(t, honour):
            break
        if abs(clip.pictures[t] - clip.pictures[chain[-1]]) > dedup:
            chain.append(t)
    return chain


def expected_held(
    n: int, clip: Clip, block: int, warmup: int, honour: bool, dedup: int
) -> tuple[object, ...]:
    """The state that output n shows when held frames are left out."""
    start = n - n % block if block else 0
    scene = max(t for t in range(n + 1) if clip.starts(t, honour))
    chain = kept(max(scene, start - REACH * warmup), clip, honour, dedup)
    early = [t for t in chain if t < start]
    steps = [t for t in early[-warmup:] * bool(warmup) + chain[len(early) :] if t <= n]
    if not clip.starts(chain[0], honour):
        steps = steps[:1] * max(0, warmup - len(early)) + steps
    state: tuple[object, ...] = ()
    for t in steps:
        i = chain.index(t)
        previous = chain[i - 1] if i else t if clip.starts(t, honour) else t - 1
        following = min((u for u in chain[i + 1 :] if u <= t + AHEAD), default=t)
        state = (state, previous, t, following)
    return state
