"""LPIPS 0.1: how far apart two pictures lie in the features of a network that knows photographs.

Zhang et al., The Unreasonable Effectiveness of Deep Features as a Perceptual Metric, CVPR 2018,
equation 1, with the linear layers that the authors trained on people's choices.
"""

from collections.abc import Iterator
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

from vsanimesr.training.networks import imagenet
from vsanimesr.training.networks.imagenet import Convolutions, Name, Trained

SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
"""Of RGB in [-1, 1]: about ImageNet's mean and deviation (`ScalingLayer` of lpips 0.1)."""
LEAST: dict[Name, int] = {"alexnet": 31, "vgg16": 16}
"""Sides of a picture of which the last features still have a pixel."""
POOLED = (2, 4, 7, 10)
"""Convolutions of VGG16 that a pooling comes before; features are taken there and at the end."""


@torch.no_grad()
def lpips(images: Tensor, originals: Tensor, backbone: Name = "alexnet") -> Tensor:
    """Perceptual distance (n,), float32 on the CPU: 0 of equal pictures, about 1 of unlike ones.

    Args:
        images: (n, 3, h, w), RGB in [0, 1], on any device, where it is computed, too.
        originals: The same shape and device.
        backbone: `alexnet` is the authors' choice for judging, `vgg16` is nearer to what perceptual
            losses see, for 23 times the arithmetic. The weights are fetched on first use.

    Returns:
        The distances; NaN where a side is shorter than `LEAST`.

    Raises:
        WeightsError: The weights cannot be fetched.
    """
    if min(images.shape[2:]) < LEAST[backbone]:
        return torch.full((len(images),), torch.nan)
    network = _network(backbone, images.device)
    features = _alexnet if backbone == "alexnet" else _vgg16
    pairs = zip(
        features(_scaled(images), network.convolutions),
        features(_scaled(originals), network.convolutions),
        network.linear,
        strict=True,
    )
    total = torch.zeros(len(images), device=images.device)
    for made, wanted, weight in pairs:
        square = (_unit(made) - _unit(wanted)).square_()
        total += F.conv2d(square, weight[None, :, None, None]).mean(dim=(1, 2, 3))
    return total.cpu()


@cache
def _network(backbone: Name, device: torch.device) -> Trained:
    found = imagenet.load(backbone)
    return Trained(
        [(weight.to(device), bias.to(device)) for weight, bias in found.convolutions],
        [weight.to(device) for weight in found.linear],
    )


def _scaled(images: Tensor) -> Tensor:
    """From [0, 1] to what the networks were trained on."""
    x = 2 * images.float() - 1
    return (x - x.new_tensor(SHIFT)[:, None, None]) / x.new_tensor(SCALE)[:, None, None]


def _unit(features: Tensor) -> Tensor:
    """Every pixel's channels as a vector of length 1."""
    return features / (torch.linalg.vector_norm(features, dim=1, keepdim=True) + 1e-10)


def _alexnet(x: Tensor, convolutions: Convolutions) -> Iterator[Tensor]:
    """After each activation; of AlexNet as in Krizhevsky, arXiv:1404.5997."""
    strides, paddings = (4, 1, 1, 1, 1), (2, 2, 1, 1, 1)
    for place, (weight, bias) in enumerate(convolutions):
        if place in (1, 2):
            x = F.max_pool2d(x, 3, stride=2)
        x = F.relu_(F.conv2d(x, weight, bias, strides[place], paddings[place]))
        yield x


def _vgg16(x: Tensor, convolutions: Convolutions) -> Iterator[Tensor]:
    """relu1_2, relu2_2, relu3_3, relu4_3, relu5_3 of Simonyan and Zisserman, arXiv:1409.1556."""
    for place, (weight, bias) in enumerate(convolutions):
        if place in POOLED:
            yield x
            x = F.max_pool2d(x, 2)
        x = F.relu_(F.conv2d(x, weight, bias, padding=1))
    yield x
