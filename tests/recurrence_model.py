"""The definition of output frame n, written as plainly as possible, to test everything against.

A state is a nested tuple of the windows that led to it, so two states are equal only if exactly the
same steps were run on the same frames.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Clip:
    """What matters of a clip: its length and each frame's scene change marks."""

    before: tuple[bool, ...]
    after: tuple[bool, ...]

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
