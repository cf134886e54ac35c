"""The recurrent network in torch, for inference and training alike.

Letters: n clips, t frames, h and w rows and columns of a source frame. An image of (n, 3, 4h, 4w)
is carried *folded*, as pixel_unshuffle makes it: (n, 48, h, w), channel colour * 16 + row * 4 +
column. So a step reads and writes source resolution only; `image_of` gives the picture.
"""

from collections.abc import Mapping
from typing import Self, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vsanimesr.errors import OptionError
from vsanimesr.models import (
    ALIGNMENT,
    BLOCKS,
    FEATURES,
    IMAGE,
    SCALE,
    WINDOW,
    parameter_shapes,
)
from vsanimesr.resample import stencil

SLOPE = 0.1  # of every leaky ReLU


class Network(nn.Module):
    """AnimeSR: one step for a stream of frames, `forward` for whole clips.

    The state dict has the released names (`models.parameter_shapes`). The network may be moved to
    any floating point type and to channels last.
    """

    def __init__(self) -> None:
        super().__init__()
        self.recurrent_cell = Cell()

    @classmethod
    def from_weights(cls, weights: Mapping[str, np.ndarray]) -> Self:
        """Make a float32 network on the CPU that holds a copy of these tensors.

        Args:
            weights: As `weights.load` gives them; of what is there, the parameters are taken.
        """
        with torch.device("meta"):  # no initial values are drawn only to be thrown away
            network = cls()
        network.recurrent_cell.stencil = torch.from_numpy(stencil())
        copies = {name: torch.from_numpy(np.array(weights[name])) for name in parameter_shapes()}
        network.load_state_dict(copies, assign=True)
        return network

    def step(self, window: Tensor, feedback: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Make the next image.

        The convolutions run in the type of the weights. Image and state come back in the type of
        `feedback` and `state`, and the residual is added to the enlarged frame in that of the
        image: with bf16 weights and float32 arguments the image keeps its precision.

        Args:
            window: (n, 9, h, w), previous, current and next frame, RGB in [0, 1] each.
            feedback: (n, 48, h, w), the folded image of the previous step, neither clamped nor
                rounded; zeros at the start.
            state: (n, 64, h, w) of the previous step; zeros at the start.

        Returns:
            The folded image (n, 48, h, w), RGB, nominally in [0, 1] but not clamped: the next
            feedback. And the next state (n, 64, h, w).

        Raises:
            OptionError: h or w is not a multiple of 4.
        """
        height, width = window.shape[-2:]
        if height % ALIGNMENT or width % ALIGNMENT:
            raise OptionError(
                f"network: frames of {width}x{height}, wanted width and height to be multiples of "
                f"{ALIGNMENT}: pad or crop them"
            )
        image, hidden = self.recurrent_cell(window, feedback, state)
        current = window[:, 3:6].to(feedback.dtype)
        image = image.to(feedback.dtype) + self.recurrent_cell.enlarge(current)
        return image, F.leaky_relu(hidden.to(state.dtype), SLOPE)

    def widen(self, multiple: int = 8) -> None:
        """Give the first convolution inputs of zeros up to a multiple: 121 become 128.

        The result is the same. Tensor cores want channels in multiples of 8 (NVIDIA's guide to
        convolutional layers, "Channels in and out"); the state dict no longer has the released
        shapes.
        """
        first = cast(nn.Conv2d, self.recurrent_cell.conv_s1_first[0])
        extra = -first.in_channels % multiple
        first.weight = nn.Parameter(F.pad(first.weight, (0, 0, 0, 0, 0, extra)), False)
        first.in_channels += extra

    def forward(self, frames: Tensor) -> Tensor:
        """Upscale whole clips from the zero state, as the paper does (section 4.3).

        The first and the last frame of a clip stand in for the neighbours they lack.

        Args:
            frames: (n, t, 3, h, w), RGB in [0, 1].

        Returns:
            (n, t, 3, 4h, 4w), RGB, not clamped.

        Raises:
            OptionError: h or w is not a multiple of 4.
        """
        clips, length, _, height, width = frames.shape
        image = frames.new_zeros(clips, IMAGE, height, width)
        state = frames.new_zeros(clips, FEATURES, height, width)
        images: list[Tensor] = []
        for t in range(length):
            neighbours = (max(t - 1, 0), t, min(t + 1, length - 1))
            window = torch.cat([frames[:, i] for i in neighbours], dim=1)
            image, state = self.step(window, image, state)
            images.append(image_of(image))
        return torch.stack(images, dim=1)


class Cell(nn.Module):
    """Everything that is learnt. Three branches at source, half and quarter resolution.

    Convolutions are 3x3 with a border of zeros. The branches are right-aligned: the coarse ones
    have fewer blocks, all of them late, and only the finer branch listens to the coarser.
    """

    def __init__(self) -> None:
        super().__init__()
        outputs = IMAGE + FEATURES
        self.conv_s1_first = _activated(WINDOW + IMAGE + FEATURES, FEATURES)
        self.conv_s2_first = _activated(FEATURES, FEATURES, stride=2)
        self.conv_s4_first = _activated(FEATURES, FEATURES, stride=2)
        self.body_s1_first = nn.ModuleList(ResidualBlock() for _ in range(BLOCKS[1]))
        self.body_s2_first = nn.ModuleList(ResidualBlock() for _ in range(BLOCKS[2]))
        self.body_s4_first = nn.ModuleList(ResidualBlock() for _ in range(BLOCKS[4]))
        self.fusion = nn.Sequential(
            *_activated(len(BLOCKS) * FEATURES, 2 * outputs),
            nn.Conv2d(2 * outputs, outputs, 3, padding=1),
        )
        self.stencil: Tensor
        self.register_buffer("stencil", torch.from_numpy(stencil()), persistent=False)

    def forward(self, window: Tensor, feedback: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """From the arguments of `Network.step` to the residual image and the raw next state."""
        first = cast(nn.Conv2d, self.conv_s1_first[0])
        inputs = [x.to(first.weight.dtype) for x in (window, feedback, state)]
        if extra := first.in_channels - WINDOW - IMAGE - FEATURES:
            nothing = inputs[0].new_zeros(len(window), extra, *window.shape[-2:])
            inputs.append(nothing.contiguous(memory_format=torch.channels_last))
        s1 = self.conv_s1_first(torch.cat(inputs, dim=1))
        s2 = self.conv_s2_first(s1)  # the strided ones read their input before any residual block
        s4 = self.conv_s4_first(s2)
        body1, body2, body4 = self.body_s1_first, self.body_s2_first, self.body_s4_first

        s1 = body1[2](body1[1](body1[0](s1)))
        s2 = body2[0](s2)

        s1 = body1[3](s1 + _up(s2, 2))
        s2 = body2[1](s2)
        s4 = body4[0](s4)

        s1 = body1[4](s1 + _up(s2, 2) + _up(s4, 4))
        s2 = body2[2](s2 + _up(s4, 2))
        s4 = body4[1](s4)

        out = self.fusion(torch.cat((s1, _up(s2, 2), _up(s4, 4)), dim=1))
        return out[:, :IMAGE], out[:, IMAGE:]

    def enlarge(self, frame: Tensor) -> Tensor:
        """Enlarge (n, 3, h, w) four times, bilinearly, to a folded image (n, 48, h, w).

        The same as `pixel_unshuffle(interpolate(frame, scale_factor=4, mode="bilinear"), 4)`,
        without making the large image. In the type of the frame.
        """
        padded = F.pad(frame, (1, 1, 1, 1), mode="replicate")
        with torch.autocast(frame.device.type, enabled=False):  # the image keeps its precision
            return F.conv2d(padded, self.stencil.to(frame.dtype), groups=3)


class ResidualBlock(nn.Module):
    """z + conv(relu(conv(z))), started close to the identity, as in the released code."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(FEATURES, FEATURES, 3, padding=1)
        self.conv2 = nn.Conv2d(FEATURES, FEATURES, 3, padding=1)
        for conv in (self.conv1, self.conv2):
            if conv.weight.is_meta:  # nothing to draw, and torch would load its compiler for it
                continue
            nn.init.kaiming_normal_(conv.weight)
            nn.init.zeros_(cast(Tensor, conv.bias))
            with torch.no_grad():
                conv.weight.mul_(0.1)

    def forward(self, z: Tensor) -> Tensor:
        """(n, 64, h, w) in and out."""
        return z + self.conv2(F.relu(self.conv1(z)))


def image_of(folded: Tensor) -> Tensor:
    """The picture (n, 3, 4h, 4w) of a folded image (n, 48, h, w), RGB."""
    return F.pixel_shuffle(folded, SCALE)


def _activated(inputs: int, outputs: int, *, stride: int = 1) -> nn.Sequential:
    """A convolution and its leaky ReLU. Torch's own initial values are the released code's."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, padding=1), nn.LeakyReLU(SLOPE, inplace=True)
    )


def _up(z: Tensor, scale: int) -> Tensor:
    """Bilinear, pixel centres aligned."""
    return F.interpolate(z, scale_factor=scale, mode="bilinear", align_corners=False)
