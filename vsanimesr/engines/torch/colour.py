"""Planes of any format to the network's RGB and back, in torch, on the device where they lie.

Everything is a sum of planes times numbers, in float32 whatever the network's precision: without
convolutions and matrix products no setting of cuDNN, oneDNN or TF32 changes a bit, and each element
is computed by itself, however many threads share the work. `torch.compile` can fuse
`image_of` and `planes_of`, which see tensors and plain numbers only.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from vsanimesr.colour import Colour, Format, dither_pattern, reading, writing
from vsanimesr.engines.plane_numbers import Line, Numbers, numbers_of
from vsanimesr.resample import enlarging, shrinking

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
        numbers = numbers_of(self._source, colour, reading, enlarging)
        return image_of([plane.to(self._device) for plane in planes], numbers, self._dtype)


class Writer:
    """The network's images to planes of output frames."""

    def __init__(
        self, target: Format, device: torch.device, *, dither: bool = False, wide: bool = False
    ) -> None:
        """For planes of format `target` on `device`.

        `dither`: ordered, where it has integers; `wide`: int32 instead of uint16.
        """
        self._target = target
        self._pattern = None
        if target.floating:
            self._dtype = torch.float16 if target.bits == 16 else torch.float32
        else:
            self._dtype = torch.uint8 if target.bits == 8 else torch.uint16
            if wide and target.bits > 8:
                self._dtype = torch.int32
            if dither:
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
        numbers = numbers_of(self._target, colour, writing, shrinking)
        peak = None if self._target.floating else self._target.peak
        return planes_of(image, numbers, self._dtype, peak, self._pattern)


def image_of(planes: Sequence[Tensor], numbers: Numbers, dtype: torch.dtype) -> Tensor:
    """What a `Reader` does."""
    codes = [plane.to(torch.float32) for plane in planes]
    along, down = numbers.along, numbers.down
    codes[1:] = [_enlarged(_enlarged(x, along, COLUMNS), down, ROWS) for x in codes[1:]]
    image = torch.stack([_sum(codes, *row) for row in numbers.rows])
    if planes[0].is_floating_point():
        image = image.nan_to_num_(nan=0.0)
    return image.clamp_(0, 1).to(dtype).expand(3, -1, -1)[None]


def planes_of(
    image: Tensor, numbers: Numbers, dtype: torch.dtype, peak: int | None, pattern: Tensor | None
) -> list[Tensor]:
    """What a `Writer` does. `peak`: the highest code of integers; `pattern`: the dither's."""
    rgb = image[0].to(torch.float32).contiguous().unbind()
    codes = [_sum(rgb, *row) for row in numbers.rows]
    along, down = numbers.along, numbers.down
    codes[1:] = [_shrunk(_shrunk(x, down, ROWS), along, COLUMNS) for x in codes[1:]]
    if pattern is not None:
        codes = [x + _tiled(pattern, x.shape) for x in codes]
    if peak is not None:
        codes = [x.round().clamp_(0, peak) for x in codes]
    return [x.to(dtype) for x in codes]


def _tiled(pattern: Tensor, shape: Sequence[int]) -> Tensor:
    repeats = [-(-length // len(pattern)) for length in shape]
    return pattern.repeat(repeats)[: shape[0], : shape[1]]


def _enlarged(x: Tensor, by: Line, axis: int) -> Tensor:
    """`x` (rows, columns) made denser along an axis."""
    if by.ratio == 1:
        return x
    padded = _mirrored(x, by, axis)
    parts = [padded.narrow(axis, k, x.shape[axis]) for k in range(len(by.phases[0]))]
    phases = [_sum(parts, taps) for taps in by.phases]
    return torch.stack(phases, dim=axis + 1).flatten(axis, axis + 1)


def _shrunk(x: Tensor, by: Line, axis: int) -> Tensor:
    """`x` (rows, columns) made sparser along an axis."""
    if by.ratio == 1:
        return x
    (taps,) = by.phases
    padded = _mirrored(x, by, axis)
    length = x.shape[axis] - by.ratio + 1  # from the first window's sample to the last's
    windows = (padded.narrow(axis, k, length) for k in range(len(taps)))
    parts = [w[:: by.ratio] if axis == ROWS else w[:, :: by.ratio] for w in windows]
    return _sum(parts, taps)


def _mirrored(x: Tensor, by: Line, axis: int) -> Tensor:
    """`resample.mirrored`, put together of slices: an index would have to go to the device."""
    last = x.shape[axis] - 1
    before = [x.narrow(axis, min(i, last), 1) for i in reversed(range(by.before))]
    after = [x.narrow(axis, max(last - i, 0), 1) for i in range(by.after)]
    return torch.cat((*before, x, *after), dim=axis)


def _sum(parts: Sequence[Tensor], weights: Sequence[float], offset: float = 0.0) -> Tensor:
    """Parts times weights, summed up, and the offset. A part alone may come back as it is."""
    (part, weight), *others = [(p, w) for p, w in zip(parts, weights, strict=True) if w]
    if weight == 1 and not offset and not others:
        return part
    total = part * weight
    for part, weight in others:
        total.add_(part, alpha=weight)
    return total.add_(offset) if offset else total
