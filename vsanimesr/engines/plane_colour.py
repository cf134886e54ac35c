"""Planes of any format to RGB and back in numpy: torch/colour.py's sums, in float32.

For engines whose runtime has no graph or tensors of its own for it. One thread.
"""

from collections.abc import Sequence

import numpy as np

from vsanimesr.colour import Colour, Format, dither_pattern, reading, writing
from vsanimesr.engines.plane_numbers import Line, numbers_of
from vsanimesr.engines.protocol import Plane
from vsanimesr.resample import enlarging, mirrored, shrinking

ROWS, COLUMNS = 0, 1
HUGE = 65504.0
"""Samples beyond it, infinite ones too, are taken for it: no sum can overflow or cancel to NaN."""


def image_of(planes: Sequence[Plane], source: Format, colour: Colour) -> np.ndarray:
    """The image of a frame.

    Args:
        planes: (h, w) each, chroma (h >> sub_h, w >> sub_w), of `source`'s type.
        source: Their format.
        colour: What the samples mean.

    Returns:
        (3, h, w) RGB in [0, 1], float32: what lies outside is clamped, a sample that is NaN counts
        as 0. The channels of GRAY share their memory.

    Raises:
        OptionError: YUV with the matrix of RGB.
    """
    rows, along, down = numbers_of(source, colour, reading, enlarging)
    codes = [np.array(plane, np.float32, order="C") for plane in planes]
    if source.floating:
        for plane in codes:
            np.nan_to_num(plane, copy=False, nan=0, posinf=HUGE, neginf=-HUGE)
            np.clip(plane, -HUGE, HUGE, out=plane)
    codes[1:] = [_enlarged(_enlarged(x, along, COLUMNS), down, ROWS) for x in codes[1:]]
    channels = [np.clip(_sum(codes, *row), 0, 1) for row in rows]
    height, width = channels[0].shape
    return np.broadcast_to(np.stack(channels), (3, height, width))


def planes_of(
    rgb: np.ndarray, target: Format, colour: Colour, planes: Sequence[Plane], *, dither: bool
) -> None:
    """Write an image into the planes of an output frame.

    Args:
        rgb: (3, h, w), nominally in [0, 1], float32.
        target: Format of the planes.
        colour: What their samples are to mean.
        planes: Written: integers are rounded and clamped, floats are not clamped.
        dither: Ordered dithering where there are integers.

    Raises:
        OptionError: YUV or GRAY with the matrix of RGB.
    """
    rows, along, down = numbers_of(target, colour, writing, shrinking)
    for plane, (number, row) in zip(planes, enumerate(rows), strict=True):
        codes = _sum(list(rgb), *row)
        if number:
            codes = _shrunk(_shrunk(codes, down, ROWS), along, COLUMNS)
        if target.floating:
            np.copyto(plane, codes, casting="same_kind")
            continue
        if dither:
            codes = codes + _tiled(dither_pattern().astype(np.float32), codes.shape)
        codes = np.rint(codes)
        np.copyto(plane, np.clip(codes, 0, target.peak, out=codes), casting="unsafe")


def _tiled(pattern: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    repeats = [-(-length // len(pattern)) for length in shape]
    return np.tile(pattern, repeats)[: shape[0], : shape[1]]


def _enlarged(x: np.ndarray, by: Line, axis: int) -> np.ndarray:
    """`x` (rows, columns) made denser along an axis."""
    if by.ratio == 1:
        return x
    length = x.shape[axis]
    padded = x.take(mirrored(length, by.before, by.after), axis)
    parts = [_cut(padded, axis, k, k + length) for k in range(len(by.phases[0]))]
    shape = [by.ratio * n if axis == a else n for a, n in enumerate(x.shape)]
    return np.stack([_sum(parts, taps) for taps in by.phases], axis=axis + 1).reshape(shape)


def _shrunk(x: np.ndarray, by: Line, axis: int) -> np.ndarray:
    """`x` (rows, columns) made sparser along an axis."""
    if by.ratio == 1:
        return x
    (taps,) = by.phases
    length = x.shape[axis]
    padded = x.take(mirrored(length, by.before, by.after), axis)
    last = length - by.ratio + 1  # from the first window's sample to the last's
    return _sum([_cut(padded, axis, k, k + last, by.ratio) for k in range(len(taps))], taps)


def _cut(x: np.ndarray, axis: int, start: int, stop: int, step: int = 1) -> np.ndarray:
    return x[start:stop:step] if axis == ROWS else x[:, start:stop:step]


def _sum(parts: Sequence[np.ndarray], weights: Sequence[float], offset: float = 0) -> np.ndarray:
    """Parts times weights, summed up, and the offset. A part alone may come back as it is."""
    (part, weight), *others = [(p, w) for p, w in zip(parts, weights, strict=True) if w]
    if weight == 1 and not offset and not others:
        return part
    total = part * np.float32(weight)
    for part, weight in others:
        total += part * np.float32(weight)
    if offset:
        total += np.float32(offset)
    return total
