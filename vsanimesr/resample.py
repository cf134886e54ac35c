"""Filters between chroma at its own density and at luma's: those of `resize.Bicubic`.

Along one axis a chroma sample stands for `ratio` (1, 2 or 4) luma samples, and lies at `site` among
them: 0 at the first, 0.5 in their middle, 1 at the last. So chroma sample j lies at luma sample
ratio * j + site * (ratio - 1). Columns and rows are filtered one after the other.

A filter reads beyond the plane's edges, where the plane is mirrored with the edge sample repeated
(`mirrored`). It is the same at every place, so filtering is a convolution of the mirrored plane.
"""

from dataclasses import dataclass

import numpy as np

from vsanimesr.colour import Array, ChromaLocation
from vsanimesr.models import SCALE

SITES = {
    ChromaLocation.LEFT: (0.0, 0.5),
    ChromaLocation.CENTER: (0.5, 0.5),
    ChromaLocation.TOP_LEFT: (0.0, 0.0),
    ChromaLocation.TOP: (0.5, 0.0),
    ChromaLocation.BOTTOM_LEFT: (0.0, 1.0),
    ChromaLocation.BOTTOM: (0.5, 1.0),
}
"""Site along the columns and along the rows; looked at only along an axis that is subsampled."""

SUPPORT = 2  # samples on either side that the bicubic kernel reaches


@dataclass(frozen=True)
class Filter:
    """Samples to add in front of and behind a line of samples, and what to weigh them with."""

    before: int
    after: int
    taps: Array
    """For `enlarging` (ratio, n), for `shrinking` (n,)."""


def enlarging(ratio: int, site: float) -> Filter:
    """The filter that makes a chroma line as dense as luma.

    With `padded` the mirrored line, sample ratio * i + p of the result is the sum over k of
    taps[p, k] * padded[i + k].
    """
    place = (np.arange(ratio) - site * (ratio - 1)) / ratio  # of luma samples, in chroma samples
    before = SUPPORT - 1 - int(np.floor(place[0]))
    after = SUPPORT + int(np.floor(place[-1]))
    offsets = np.arange(-before, after + 1)
    return _trimmed(before, after, _kernel(place[:, None] - offsets))


def shrinking(ratio: int, site: float) -> Filter:
    """The filter that makes a line as dense as luma into a chroma line.

    With `padded` the mirrored line, sample j of the result is the sum over k of
    taps[k] * padded[ratio * j + k]. The kernel is widened by the ratio.
    """
    place = site * (ratio - 1)  # of the first chroma sample, in luma samples
    before = SUPPORT * ratio - int(np.floor(place))
    after = SUPPORT * ratio + int(np.ceil(place))
    offsets = np.arange(-before, after + 1)
    found = _trimmed(before, after, _kernel((place - offsets) / ratio)[None])
    return Filter(found.before, found.after - (ratio - 1), found.taps[0])


def mirrored(length: int, before: int, after: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Indices of a line of `length` samples that extend it by its mirror image on both sides.

    The edge sample is repeated: … 1 0 | 0 1 2 | 2 1 …. Where the image ends, because the line is
    shorter than what is to be added, its last sample goes on: … 1 1 0 | 0 1 | 1 0 0 …, as zimg
    does it.
    """
    index = np.arange(-before, length + after)
    image = np.where(index < 0, -1 - index, 2 * length - 1 - index)
    inside = (index >= 0) & (index < length)
    return np.where(inside, index, np.clip(image, 0, length - 1))


def stencil() -> np.ndarray:
    """Kernels (48, 1, 3, 3) of the network's bilinear enlargement of a frame to a folded image.

    One for each colour and phase, float32. The four new pixels in an old one lie -3/8, -1/8, 1/8,
    3/8 from its centre, between it and the neighbour on that side. All weights are multiples of
    1/64, so exact in bf16 too.
    """
    line = np.array([[3, 5, 0], [1, 7, 0], [0, 7, 1], [0, 5, 3]], np.float32) / 8  # (phase, tap)
    square = np.einsum("ai,bj->abij", line, line)  # (row, column, tap row, tap column)
    return np.tile(square.reshape(SCALE**2, 1, 3, 3), (3, 1, 1, 1))


def _trimmed(before: int, after: int, taps: Array) -> Filter:
    """`taps` (lines, before + 1 + after) made to sum to 1, without the ends that weigh nothing."""
    (heavy,) = np.nonzero(np.any(taps != 0, axis=0))
    first, last = int(heavy[0]), int(heavy[-1])
    taps = taps[:, first : last + 1]
    return Filter(before - first, last - before, taps / taps.sum(axis=1, keepdims=True))


def _kernel(x: Array) -> Array:
    """The cubic of Mitchell and Netravali (1988) with b = 0, c = 1/2, `resize.Bicubic`'s default.

    Also known as Catmull-Rom, or Keys' with a = -1/2.
    """
    x = np.abs(x)
    near = 1 + x**2 * (-2.5 + 1.5 * x)
    far = 2 + x * (-4 + x * (2.5 - 0.5 * x))
    return np.where(x < 1, near, np.where(x < SUPPORT, far, 0.0))
