"""The discriminators of the GAN stage (the paper, section 4.1)."""

from itertools import pairwise
from typing import cast

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

CHANNELS = (3, 64, 128, 256, 512)
"""Of a discriminator's input and between its convolutions."""
SLOPE = 0.2  # of the leaky ReLUs


class MultiScaleDiscriminator(nn.Module):
    """A PatchGAN for every scale, each with weights of its own (the paper, section 4.1).

    Scale 0 sees the picture, each other one that of the scale before at half the size: bilinear
    with aligned corners, as in the released code.
    """

    def __init__(self, scales: int = 3) -> None:
        super().__init__()
        self.scales = nn.ModuleList(_patch_gan() for _ in range(scales))

    def forward(self, images: Tensor) -> list[Tensor]:
        """Judge pictures.

        Args:
            images: (n, 3, h, w), RGB, nominally in [0, 1]; at the last scale at least 24 a side.

        Returns:
            For each scale (n, 1, rows, columns): how real each patch of 70x70 looks, 1 for real
            and 0 for made. 30, 14 and 6 a side for pictures of 256.
        """
        judged: list[Tensor] = []
        for scale, critic in enumerate(self.scales):
            if scale:
                half = [side // 2 for side in images.shape[-2:]]
                images = F.interpolate(images, half, mode="bilinear", align_corners=True)
            judged.append(critic(images))
        return judged


def _patch_gan() -> nn.Sequential:
    """Five 4x4 convolutions, three of stride 2: each output sees 70x70 (pix2pix, section 3.2.2).

    Spectral normalisation on every one, no other.
    """
    layers: list[nn.Module] = []
    for number, (inputs, outputs) in enumerate(pairwise(CHANNELS)):
        stride = 2 if number < 3 else 1
        convolution = nn.Conv2d(inputs, outputs, 4, stride, padding=1)
        layers += [_normalised(convolution), nn.LeakyReLU(SLOPE)]
    layers.append(_normalised(nn.Conv2d(CHANNELS[-1], 1, 4, padding=1)))
    return nn.Sequential(*layers)


def _normalised(convolution: nn.Conv2d) -> nn.Conv2d:
    """Divide the weight by its largest singular value, followed by a power iteration a use."""
    return cast(nn.Conv2d, spectral_norm(convolution))
