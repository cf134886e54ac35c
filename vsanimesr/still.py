"""Where a film stands still, by the luma of two frames: what a held drawing, a background does.

A pixel stands still if the mean absolute change of luma in the 5x5 square about it is at most one
code value of 255. So the codec's small changes count as standing still, the edge of what moves does
not. docs/measures.md has how well that tells them apart.
"""

from typing import cast

import numpy as np

STILL = 1.0
"""Mean change of the square, in code values of 255, up to which its middle stands still."""
REACH = 2
"""Pixels from the middle of the square to its sides."""

LUMA = np.array([0.2126, 0.7152, 0.0722], np.float32)  # BT.709

type Luma = np.ndarray[tuple[int, int], np.dtype[np.float32]]
"""(h, w), 0 to 255."""


def luma(picture: np.ndarray) -> Luma:
    """Luma of an (h, w, 3) picture of 8 bit RGB."""
    return np.asarray(picture @ LUMA, np.float32)


def still(before: np.ndarray, now: np.ndarray, shrink: int = 1) -> np.ndarray:
    """(h / shrink, w / shrink) bool: where nothing changes between two frames.

    Args:
        before: (h, w), luma of the frame before, 0 to 255.
        now: The same of the frame.
        shrink: Pixels on a side that count as one, by their mean change; divides both sides.
    """
    change = np.abs(now.astype(np.float64) - before)
    rows, columns = (side // shrink for side in change.shape)
    change = change.reshape(rows, shrink, columns, shrink).mean((1, 3))
    side = 2 * REACH + 1
    padded = np.pad(change, ((REACH + 1, REACH), (REACH + 1, REACH)), mode="edge")
    padded[0], padded[:, 0] = 0, 0  # the integral image's zero row and column
    total = padded.cumsum(0).cumsum(1)
    square = total[side:, side:] - total[:-side, side:] - total[side:, :-side]
    return cast("np.ndarray", (square + total[:-side, :-side]) / side**2 <= STILL + 1e-9)


def enlarged(mask: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """A mask in another size (rows, columns), by the nearest neighbour."""
    down = (np.arange(shape[0]) * mask.shape[0]) // shape[0]
    right = (np.arange(shape[1]) * mask.shape[1]) // shape[1]
    return mask[down[:, None], right]
