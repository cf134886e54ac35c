"""Source frames compared in the clip's own format, to find held drawings.

The distance of two frames is the mean absolute difference of the worst square of `SQUARE` samples a
side, over all planes, in 8 bit code values. The mean over a whole frame would miss a mouth that
moves, and the worst sample would mistake an encoder's noise for motion; docs/dedup.md has figures.
"""

import contextlib
from collections.abc import Generator, Mapping, Sequence

import numpy as np

from vsanimesr.engines import Plane
from vsanimesr.lru import Lru
from vsanimesr.vs.api import SampleType, VideoFormat

SQUARE = 16
KEPT_PICTURES = 8
"""Last kept frames whose planes are held, one for each part of the clip that is being served."""


class Pictures:
    """The planes of frames at hand: those of the round under way, and of a few last kept frames."""

    def __init__(self, dedup: float, video_format: VideoFormat) -> None:
        """Frames of this format differ when their distance is more than `dedup`."""
        floating = video_format.sample_type == SampleType.FLOAT
        self._threshold = dedup / (255 if floating else 2.0 ** (8 - video_format.bits_per_sample))
        self._round: Mapping[int, Sequence[Plane]] = {}
        self._kept = Lru[int, Sequence[Plane]](KEPT_PICTURES)
        self._last_kept = -1

    @contextlib.contextmanager
    def seen(self, frames: Mapping[int, Sequence[Plane]]) -> Generator[None]:
        """Have these frames at hand inside the context, and the last kept one after it."""
        self._round, self._last_kept = frames, -1
        try:
            yield
            last = frames.get(self._last_kept)
            if last is not None:
                self._kept.put(self._last_kept, [plane.copy() for plane in last])
        finally:
            self._round = {}

    def lasting(self, t: int) -> bool:
        """Whether frame t is at hand outside the round, too."""
        return t in self._kept

    def differs(self, k: int, t: int) -> bool | None:
        """Whether frame t differs from frame k, the last kept one; None when not both are seen."""
        kept, following = (self._round.get(u) or self._kept.get(u) for u in (k, t))
        if kept is None or following is None:
            return None
        answer = not all(map(self._alike, kept, following))
        self._last_kept = t if answer else k
        return answer

    def clear(self) -> None:
        """Forget everything."""
        self._kept.clear()

    def _alike(self, a: Plane, b: Plane) -> bool:
        if np.array_equal(a, b):
            return True
        return self._threshold > 0 and worst_square(a, b) <= self._threshold  # NaN differs


def worst_square(a: Plane, b: Plane) -> float:
    """The largest mean absolute difference of two planes in any square, in units of a sample.

    Squares lie side by side from the top left corner; those at the other edges may be smaller.
    """
    with np.errstate(invalid="ignore"):  # inf - inf
        difference = np.maximum(a, b) - np.minimum(a, b)
    rows, columns = difference.shape
    exact = {1: np.uint16, 2: np.uint32}[difference.itemsize] if a.dtype.kind == "u" else np.float32
    whole = rows // SQUARE
    sums = np.empty((-(-rows // SQUARE), columns), exact)
    squares = difference[: whole * SQUARE].reshape(whole, SQUARE, columns)
    np.sum(squares, axis=1, dtype=exact, out=sums[:whole])
    if rows % SQUARE:
        np.sum(difference[whole * SQUARE :], axis=0, dtype=exact, out=sums[whole])
    wide = np.float64 if a.dtype.kind == "f" else np.uint32
    sums = np.add.reduceat(sums, np.arange(0, columns, SQUARE), axis=1, dtype=wide)
    return float((sums / np.outer(_sides(rows), _sides(columns))).max())


def _sides(length: int) -> np.ndarray:
    """Sides of the squares that `length` samples are cut into."""
    return np.diff([*range(0, length, SQUARE), length])
