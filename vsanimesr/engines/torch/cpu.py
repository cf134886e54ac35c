"""`Network.step` on a CPU with oneDNN: fewer passes over memory, the same arithmetic.

- Activations and the additions of the residual blocks happen while a convolution writes its result
  (oneDNN's post-ops), so no pass over memory is made for them.
- The two convolutions of the fusion, half of all arithmetic, run tile by tile: what lies between
  them stays in the cache, and is never there in full. Tiles overlap by the convolutions' reach, so
  the result is that of the whole frame, whatever the tiles.

Nothing is tuned at run time: the same size takes the same path, whatever ran before.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vsanimesr.models import IMAGE
from vsanimesr.network import SLOPE, Network, ResidualBlock

TILE = (256, 112)
"""Most rows and columns of a tile of the fusion. Measured: see docs/performance.md."""
REACH = 2
"""Of the fusion's two 3x3 convolutions, in pixels."""
RELU = ("relu", [], "")
LEAKY_RELU = ("leaky_relu", [SLOPE], "")
NOTHING = ("none", [], "")

type Activation = tuple[str, list[float], str]
"""Name, numbers and algorithm, as oneDNN's operations in torch take them."""


def fits(dtype: torch.dtype) -> bool:
    """Whether this torch on this CPU can run a `FusedStep` of the type."""
    operations = torch.ops.mkldnn
    if not torch.backends.mkldnn.is_available() or not hasattr(
        operations, "_convolution_pointwise_"
    ):
        return False
    if dtype == torch.bfloat16:
        return bool(operations._is_mkldnn_bf16_supported())
    return dtype == torch.float32


class FusedStep:
    """A network's step, for images of any size. Holds copies of the weights, channels last."""

    def __init__(self, network: Network) -> None:
        """Prepare the weights of `network`: all float32 or all bfloat16, on the CPU."""
        cell = network.recurrent_cell
        self._first = _Convolution.of(_conv(cell.conv_s1_first[0]), LEAKY_RELU)
        self._half = _Convolution.of(_conv(cell.conv_s2_first[0]), LEAKY_RELU)
        self._quarter = _Convolution.of(_conv(cell.conv_s4_first[0]), LEAKY_RELU)
        self._body1 = [_Block(block) for block in cell.body_s1_first]
        self._body2 = [_Block(block) for block in cell.body_s2_first]
        self._body4 = [_Block(block) for block in cell.body_s4_first]
        self._fusion1 = _Convolution.of(_conv(cell.fusion[0]), LEAKY_RELU)
        self._fusion2 = _Convolution.of(_conv(cell.fusion[2]), NOTHING)
        # Dense, zero across colours: oneDNN can then add it to the image in the same pass.
        colours = torch.eye(3, dtype=torch.float32, device="cpu").repeat_interleave(
            IMAGE // 3, dim=0
        )[:, :, None, None]
        stencil = colours * cell.stencil.float()
        self._enlarge = _Convolution(_last(stencil), None, 1, (0, 0), NOTHING)

    @torch.inference_mode()
    def __call__(self, window: Tensor, feedback: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """As `Network.step`; `window` and `feedback` float32. Fast where all are channels last.

        The state may also have the type of the weights, with no loss: it is made in that type, and
        read in that type by the next step.
        """
        dtype = self._first.weight.dtype
        first, second, fourth = self._body1, self._body2, self._body4

        s1 = self._first(torch.cat([x.to(dtype) for x in (window, feedback, state)], dim=1))
        s2 = self._half(s1)
        s4 = self._quarter(s2)

        s1 = first[2](first[1](first[0](s1)))
        s2 = second[0](s2)

        s1 = first[3](s1.add_(_up(s2, 2)))
        s2 = second[1](s2)
        s4 = fourth[0](s4)

        s1 = first[4](s1.add_(_up(s2, 2)).add_(_up(s4, 4)))
        s2 = second[2](s2.add_(_up(s4, 2)))
        s4 = fourth[1](s4)

        last = torch.channels_last
        image, hidden = (torch.empty_like(x, memory_format=last) for x in (feedback, state))
        self._fuse((s1, _up(s2, 2), _up(s4, 4)), image, hidden)
        current = F.pad(window[:, 3:6].float(), (1, 1, 1, 1), mode="replicate")
        return self._enlarge.added_to(image, _last(current)), hidden

    def _fuse(self, branches: tuple[Tensor, ...], image: Tensor, hidden: Tensor) -> None:
        """Write the residual image and the next state, tile by tile."""
        for rows in _tiles(image.shape[-2], TILE[0]):
            for columns in _tiles(image.shape[-1], TILE[1]):
                part = torch.cat([x[..., rows.around, columns.around] for x in branches], dim=1)
                part = self._fusion2(self._fusion1(part))[..., rows.inside, columns.inside]
                image[..., rows.tile, columns.tile] = part[:, :IMAGE]
                hidden[..., rows.tile, columns.tile] = F.leaky_relu(part[:, IMAGE:], SLOPE)


@dataclass(frozen=True)
class _Convolution:
    """A convolution with what follows it, in one oneDNN call."""

    weight: Tensor
    bias: Tensor | None
    stride: int
    padding: tuple[int, int]
    activation: Activation

    @classmethod
    def of(cls, conv: nn.Conv2d, activation: Activation) -> Self:
        return cls(_last(conv.weight.detach()), conv.bias, conv.stride[0], (1, 1), activation)

    def __call__(self, x: Tensor) -> Tensor:
        return torch.ops.mkldnn._convolution_pointwise(x, *self._numbers(), *self.activation)

    def added_to(self, other: Tensor, x: Tensor) -> Tensor:
        """Add the convolution of `x` to `other`, in place."""
        return torch.ops.mkldnn._convolution_pointwise_.binary(
            other, x, *self._numbers(), "add", 1.0, None, [], None
        )

    def _numbers(self) -> tuple[Any, ...]:
        strides, dilations, groups = [self.stride] * 2, [1, 1], 1
        return self.weight, self.bias, list(self.padding), strides, dilations, groups


class _Block:
    """A residual block, in place: z + conv(relu(conv(z)))."""

    def __init__(self, block: nn.Module) -> None:
        block = cast(ResidualBlock, block)
        self._conv1 = _Convolution.of(block.conv1, RELU)
        self._conv2 = _Convolution.of(block.conv2, NOTHING)

    def __call__(self, z: Tensor) -> Tensor:
        return self._conv2.added_to(z, self._conv1(z))


@dataclass(frozen=True)
class _Tile:
    """One direction of a tile: where it is written, what it reads, and itself in what it reads."""

    tile: slice
    around: slice
    inside: slice


def _tiles(length: int, most: int) -> Iterator[_Tile]:
    """Cut `length` into equal parts of at most `most`."""
    count = -(-length // most)
    edges = [i * length // count for i in range(count + 1)]
    for start, stop in itertools.pairwise(edges):
        before, after = max(start - REACH, 0), min(stop + REACH, length)
        yield _Tile(slice(start, stop), slice(before, after), slice(start - before, stop - before))


def _conv(module: nn.Module) -> nn.Conv2d:
    return cast(nn.Conv2d, module)


def _last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)


def _up(z: Tensor, scale: int) -> Tensor:
    return F.interpolate(z, scale_factor=scale, mode="bilinear", align_corners=False)
