"""Boiling: what moves in a result where the drawing is held.

In animation a drawing stays for two or three frames, and backgrounds for longer. Of frames t-1 and
t let H be the pixels of the result whose place stands still (`vsanimesr.still`), in the source or,
where there is one, in the original; Y is the result's luma in code values of 255 (BT.709). Then

    boiling(t) = mean of |Y(t) - Y(t-1)| over H

is 0 for a result that holds what is held, whatever moves elsewhere. It has no value where less than
`LEAST` of the picture is held. `vsanimesr compare` shows the same number as flicker.

Less is steadier, but a blurred result is steady, too: read it beside the other columns.
"""

import numpy as np

from vsanimesr import still
from vsanimesr.training.pictures import Picture

LEAST = 0.01
"""Share of the picture below which the mean is that of a few pixels by chance."""


def held(before: Picture, now: Picture, shrink: int = 1) -> np.ndarray:
    """(h / shrink, w / shrink) bool: what stands still in a source or an original.

    Args:
        before: (h, w, 3).
        now: The next frame.
        shrink: 1 for a source, for an original how much larger it is; H has the source's size, so
            that both judge by squares of the same size.
    """
    return still.still(still.luma(before), still.luma(now), shrink)


def boiling(before: Picture, now: Picture, held: np.ndarray) -> float:
    """Mean absolute change where the drawing is held, in code values of 255; NaN without any.

    Args:
        before: (H, W, 3), an enlarged picture.
        now: The one after it.
        held: (h, w) bool, of any smaller or equal size.
    """
    mask = still.enlarged(held, now.shape[:2])
    if mask.mean() < LEAST:
        return float("nan")
    change = np.abs(still.luma(now) - still.luma(before))
    return float(change[mask].mean(dtype=np.float64))
