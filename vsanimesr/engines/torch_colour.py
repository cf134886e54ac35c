"""Planes of any format to the network's RGB and back, in torch, on the device where they lie.

Everything is a sum of planes times numbers, in float32 whatever the network's precision: without
convolutions and matrix products no setting of cuDNN, oneDNN or TF32 changes a bit, and each element
is computed by itself, however many threads share the work. `torch.compile` can fuse it.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache

import torch
from torch import Tensor

from vsanimesr.colour import (
    Affine,
    ChromaLocation,
    Colour,
    Family,
    Format,
    dither_pattern,
    reading,
    writing,
)
from vsanimesr.resample import SITES, Filter, enlarging, mirrored, shrinking

ROWS, COLUMNS = 0, 1


class Reader:
    """Planes of source frames to images for the network."""

    def __init__(self, source: Format, device: torch.device, dtype: torch.dtype) -> None:
        """For planes of format `source`, to images of `dtype` on `device`."""
        self._source, self._device, self._dtype = source, device, dtype

    def __call__(self, planes: Sequence[Tensor], colour: Colour) -> Tensor:
        """The image of a frame.

        Args:
            planes: (h, w) each, chroma (h >> sub_h, w >> sub_w); uint8, uint16, float16 or float32.
            colour: What the samples mean.

        Returns:
            (1, 3, h, w) RGB in [0, 1]: what lies outside is clamped, NaN becomes 0. The channels of
            GRAY share their memory.

        Raises:
            OptionError: YUV with the matrix of RGB.
        """
        codes = [plane.to(self._device, torch.float32) for plane in planes]
        if self._source.family == Family.YUV:
            along, down = _filters(self._source, colour.chroma, enlarging)
            codes[1:] = (_enlarged(_enlarged(x, along, COLUMNS), down, ROWS) for x in codes[1:])
        rows = _rows(self._source, colour, reading)
        image = torch.stack([_sum(codes, *row) for row in rows])
        if self._source.floating:
            image = image.nan_to_num_(nan=0.0)
        return image.clamp_(0, 1).to(self._dtype).expand(3, -1, -1)[None]


class Writer:
    """The network's images to planes of output frames."""

    def __init__(self, target: Format, device: torch.device, *, dither: bool = False) -> None:
        """For planes of format `target` on `device`; `dither`: ordered, where it has integers."""
        self._target = target
        if target.floating:
            self._dtype = torch.float16 if target.bits == 16 else torch.float32
        else:
            self._dtype = torch.uint8 if target.bits == 8 else torch.uint16
        self._pattern = None
        if dither and not target.floating:
            self._pattern = torch.from_numpy(dither_pattern()).to(device, torch.float32)

    def __call__(self, image: Tensor, colour: Colour) -> list[Tensor]:
        """The planes of an image.

        Args:
            image: (1, 3, h, w) RGB, nominally in [0, 1], of any float type; h and w multiples of
                2**sub_h and 2**sub_w.
            colour: What the samples are to mean.

        Returns:
            (h, w) each, chroma (h >> sub_h, w >> sub_w): uint8 or uint16, rounded and clamped, or
            float16 or float32, not clamped. They may share the image's memory.

        Raises:
            OptionError: YUV or GRAY with the matrix of RGB.
        """
        rgb = image[0].to(torch.float32).contiguous().unbind()
        codes = [_sum(rgb, *row) for row in _rows(self._target, colour, writing)]
        if self._target.family == Family.YUV:
            along, down = _filters(self._target, colour.chroma, shrinking)
            codes[1:] = (_shrunk(_shrunk(x, down, ROWS), along, COLUMNS) for x in codes[1:])
        return [self._stored(x) for x in codes]

    def _stored(self, codes: Tensor) -> Tensor:
        if self._target.floating:
            return codes.to(self._dtype)
        if self._pattern is not None:
            codes = codes + _tiled(self._pattern, codes.shape)
        return codes.round().clamp_(0, self._target.peak).to(self._dtype)


def _tiled(pattern: Tensor, shape: Sequence[int]) -> Tensor:
    repeats = [-(-length // len(pattern)) for length in shape]
    return pattern.repeat(repeats)[: shape[0], : shape[1]]


def _enlarged(x: Tensor, by: Filter, axis: int) -> Tensor:
    """`x` (rows, columns) made denser along an axis."""
    ratio, reach = by.taps.shape
    if ratio == 1:
        return x
    length = x.shape[axis]
    padded = _mirrored(x, by, axis)
    parts = [padded.narrow(axis, k, length) for k in range(reach)]
    phases = [_sum(parts, taps) for taps in by.taps.tolist()]
    return torch.stack(phases, dim=axis + 1).flatten(axis, axis + 1)


def _shrunk(x: Tensor, by: Filter, axis: int) -> Tensor:
    """`x` (rows, columns) made sparser along an axis."""
    reach = len(by.taps)
    ratio = reach - by.before - by.after
    if ratio == 1:
        return x
    length = x.shape[axis] - ratio + 1  # from one sample's window to the last's
    padded = _mirrored(x, by, axis)
    step = (
        (slice(None, None, ratio), slice(None)) if axis == ROWS else (..., slice(None, None, ratio))
    )
    parts = [padded.narrow(axis, k, length)[step] for k in range(reach)]
    return _sum(parts, by.taps.tolist())


def _mirrored(x: Tensor, by: Filter, axis: int) -> Tensor:
    """`x` with what the filter wants on both sides, of slices: an index would go to the device."""
    length = x.shape[axis]
    index = mirrored(length, by.before, by.after)
    before, after = index[: by.before].tolist(), index[by.before + length :].tolist()
    edges = [[x.narrow(axis, i, 1) for i in side] for side in (before, after)]
    return torch.cat((*edges[0], x, *edges[1]), dim=axis)


def _sum(parts: Sequence[Tensor], weights: Sequence[float], offset: float = 0.0) -> Tensor:
    """Parts times weights, summed up, and the offset. A part alone may come back as it is."""
    (part, weight), *others = ((p, w) for p, w in zip(parts, weights, strict=True) if w)
    if weight == 1 and not offset and not others:
        return part
    total = part * weight
    for part, weight in others:
        total.add_(part, alpha=weight)
    return total.add_(offset) if offset else total


@lru_cache(maxsize=64)
def _rows(
    of: Format, colour: Colour, make: Callable[[Format, Colour], Affine]
) -> list[tuple[list[float], float]]:
    """Weights and offset of each output channel; of GRAY's equal channels one."""
    affine = make(of, colour)
    rows = list(zip(affine.matrix.tolist(), affine.offset.tolist(), strict=True))
    return rows[: of.planes]


@lru_cache(maxsize=64)
def _filters(
    of: Format, location: ChromaLocation, make: Callable[[int, float], Filter]
) -> tuple[Filter, Filter]:
    """The chroma filters along the columns and down the rows."""
    x, y = SITES[location]
    return make(1 << of.sub_w, x), make(1 << of.sub_h, y)
