"""Strips over time: one row of pixels through many frames, and numbers for what they show.

What stands still draws vertical lines, what moves slanted ones, and what flickers or boils a
texture. The numbers are taken on whole pictures, luma in code values of 255 (BT.709 weights):

- **Flicker**: where the source stands still (`vsanimesr.still`), the mean absolute change of the
  result from one frame to the next.
- **Boiling**: everywhere, the mean absolute distance of a result's pixel from the median of itself
  and the same pixel one frame before and after. Steps and slow changes have none, a value that
  comes and goes has. Thin lines that move have some, too, so compare columns, not clips.

Neither is taken across a scene start.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from vsanimesr.still import Luma, enlarged, luma

if TYPE_CHECKING:
    from collections.abc import Sequence

LENGTH = 60
"""Frames of a strip."""


def rows(detail: np.ndarray, count: int) -> list[int]:
    """The most detailed row in each of `count` equal bands of a source frame.

    Args:
        detail: (h, w), the edges of a frame.
        count: Bands; at most as many as there are rows.
    """
    bands = np.array_split(detail.mean(axis=1, dtype=np.float64), min(count, len(detail)))
    ends = np.cumsum([0, *(len(band) for band in bands)])
    return [int(start + band.argmax()) for start, band in zip(ends, bands, strict=False)]


@dataclass
class Strip:
    """Takes the pictures of one column, frame by frame, and keeps three of them.

    Args:
        at: Rows of the result that are kept.
    """

    at: Sequence[int]
    lines: list[np.ndarray] = field(default_factory=list)
    _before: list[Luma] = field(default_factory=list)
    _flicker: list[np.ndarray] = field(default_factory=list)
    _still: list[np.ndarray] = field(default_factory=list)
    _boiling: list[np.ndarray] = field(default_factory=list)

    def add(self, picture: np.ndarray, stands: np.ndarray | None) -> None:
        """Take the next picture.

        Args:
            picture: (H, W, 3) uint8.
            stands: What `still` says of the source, of any size; None where a scene starts.
        """
        self.lines.append(picture[list(self.at)])
        now = luma(picture)
        if stands is None:
            self._before.clear()
        if self._before and stands is not None:
            mask = enlarged(stands, now.shape)
            change = np.abs(now - self._before[-1])
            self._flicker.append(np.where(mask, change, 0).sum(1, dtype=np.float64))
            self._still.append(mask.sum(1))
        if len(self._before) == 2:
            a, b = self._before
            median = np.maximum(np.minimum(a, now), np.minimum(np.maximum(a, now), b))
            self._boiling.append(np.abs(b - median).mean(1, dtype=np.float64))
        self._before = [*self._before[-1:], now]

    def picture(self, which: int) -> np.ndarray:
        """(frames, W, 3): the row through time, the first frame on top."""
        return np.stack([line[which] for line in self.lines])

    def flicker(self, row: int | None = None) -> float | None:
        """Flicker of the whole picture or of one row; None where nothing stands still."""
        if not self._still:
            return None
        count = np.sum(self._still, axis=0)
        total = np.sum(self._flicker, axis=0)
        if row is not None:
            count, total = count[row], total[row]
        return float(total.sum() / count.sum()) if count.sum() else None

    def boiling(self, row: int | None = None) -> float | None:
        """Boiling of the whole picture or of one row; None of fewer than three frames."""
        if not self._boiling:
            return None
        mean = np.mean(self._boiling, axis=0)
        return float(mean.mean() if row is None else mean[row])

    def share(self) -> float:
        """How much of the source stands still, 0 to 1."""
        return float(np.mean(self._still) / self.lines[0].shape[1]) if self._still else 0.0
