"""One step computed strip by strip, with the whole frame's result: less memory, no seams.

The recurrence only reads stored whole-frame tensors, so a strip of rows may be computed by itself
as long as it sees all rows that its result depends on: its *halo*. Numbers are rows and columns of
source frames padded to multiples of 4. Pure Python.
"""

from dataclasses import dataclass
from itertools import pairwise

from vsanimesr.errors import OptionError
from vsanimesr.models import ALIGNMENT, IMAGE

AUTO = -1

HALO = 32
"""Rows seen on each side of a strip: a multiple of 4, so that every branch stays aligned. The reach
of a step is less, about 27 rows (tests/test_strips.py feels for it in float64)."""

PICTURE = 6 * IMAGE * 4
"""Bytes a source pixel at the peak of writing: the picture in 32 bits, shuffled, as luma and
chroma, filtered, rounded (engines/torch/colour.py)."""

SHARE = 0.8
"""Part of the memory that is planned with: the rest is for weights, libraries and other users."""

COUNTS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
"""Numbers of strips that `choose` tries."""


@dataclass(frozen=True)
class Strip:
    """Rows start..stop-1 of the result, computed from rows top..bottom-1."""

    start: int
    stop: int
    top: int
    bottom: int


def cut(height: int, count: int) -> tuple[Strip, ...]:
    """Cut a frame into strips.

    Args:
        height: Rows, a multiple of 4.
        count: Strips wanted, 1 or more; fewer when there are not four rows for each.

    Returns:
        Strips that begin at multiples of 4 and cover all rows once, of nearly equal heights.
    """
    rows = height // ALIGNMENT
    count = min(count, rows)
    bounds = [ALIGNMENT * (rows * i // count) for i in range(count + 1)]
    return tuple(
        Strip(start, stop, max(0, start - HALO), min(height, stop + HALO))
        for start, stop in pairwise(bounds)
    )


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What steps of one frame size need of a device's memory, and what it has."""

    width: int
    """Columns, a multiple of 4."""
    height: int
    """Rows, a multiple of 4."""
    working: int
    """Bytes of a source pixel alive at the peak of a step, besides its results."""
    state: int
    """Bytes of a source pixel in a step's results, image and hidden state."""
    kept: int
    """Bytes of kept source frames and states."""
    memory: int
    """Bytes of the device in all, or the limit that was given; never what is free now."""

    def peak(self, count: int) -> int:
        """Bytes of one step in `count` strips, besides what is kept."""
        tallest = max(strip.bottom - strip.top for strip in cut(self.height, count))
        pixels = self.height * self.width
        return max(self.working * tallest * self.width + self.state * pixels, PICTURE * pixels)

    def fits(self, count: int) -> bool:
        """Whether a step in `count` strips fits beside what is kept."""
        return self.kept + self.peak(count) <= SHARE * self.memory

    def choose(self) -> int:
        """The fewest strips whose step fits, or the most there are when none does."""
        return next(filter(self.fits, COUNTS), COUNTS[-1])

    def resolve(self, strips: int) -> int:
        """Number of strips for the option `strips`: -1 chooses, 0 and 1 are the whole frame.

        Raises:
            OptionError: There are fewer than four rows for each.
        """
        if strips == AUTO:
            return self.choose()
        most = self.height // ALIGNMENT
        if strips > most:
            raise OptionError(
                f"strips={strips}, wanted at most {most} for {self.height} rows: four rows for each"
            )
        return max(1, strips)

    def advice(self, count: int) -> str:
        """What to do about memory that ran out with `count` strips."""
        more = [n for n in COUNTS if n > count]
        better = next(filter(self.fits, more), 0)
        if better:
            return f"strips={better} would fit"
        return f"strips={COUNTS[-1]} needs least" if more else "strips cannot help"
