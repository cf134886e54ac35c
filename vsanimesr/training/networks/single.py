"""The network of the ablation, which has one scale (the paper, table 2)."""

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vsanimesr.models import BLOCKS, FEATURES, IMAGE, SCALE, WINDOW
from vsanimesr.network import SLOPE, ResidualBlock

DEPTH = sum(BLOCKS.values()) + 4
"""Residual blocks of the body."""
HIDDEN = 247
"""Channels between its two last convolutions."""


class SingleScaleCell(nn.Module):
    """The learnt part of a network that works at source resolution only: the paper's ablation.

    The paper asks for equal parameters. Four more residual blocks at full resolution and 247
    channels before the last convolution make 1,495,351, which is 25 fewer than the released network
    has; what it gains is that no picture is enlarged within the network.
    """

    def __init__(self) -> None:
        super().__init__()
        outputs = IMAGE + FEATURES
        self.conv_first = nn.Sequential(
            nn.Conv2d(WINDOW + IMAGE + FEATURES, FEATURES, 3, padding=1), nn.LeakyReLU(SLOPE)
        )
        self.body = nn.Sequential(*(ResidualBlock() for _ in range(DEPTH)))
        self.fusion = nn.Sequential(
            nn.Conv2d(FEATURES, HIDDEN, 3, padding=1),
            nn.LeakyReLU(SLOPE),
            nn.Conv2d(HIDDEN, outputs, 3, padding=1),
        )

    def forward(self, window: Tensor, feedback: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """As the cell of the released network: the residual image and the raw next state."""
        dtype = cast(nn.Conv2d, self.conv_first[0]).weight.dtype
        inputs = torch.cat([x.to(dtype) for x in (window, feedback, state)], dim=1)
        out = self.fusion(self.body(self.conv_first(inputs)))
        return out[:, :IMAGE], out[:, IMAGE:]

    def enlarge(self, frame: Tensor) -> Tensor:
        """Enlarge (n, 3, h, w) four times, bilinearly, to a folded image (n, 48, h, w)."""
        large = F.interpolate(frame, scale_factor=SCALE, mode="bilinear", align_corners=False)
        return F.pixel_unshuffle(large, SCALE)
