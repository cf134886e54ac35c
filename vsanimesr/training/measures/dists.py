"""DISTS: distance in structure and texture, which forgives a texture that is drawn anew.

Ding et al., Image Quality Assessment: Unifying Structure and Texture Similarity, IEEE TPAMI 44(5),
2022: VGG16 with L2 pooling (equation 3), compared by means and covariances over the whole picture
(equations 5 to 7). Pictures are taken in their own size; the authors shrank theirs to 256 rows.
"""

import hashlib
from collections.abc import Iterator
from functools import cache
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from vsanimesr import scratch, weights, wheel
from vsanimesr.errors import WeightsError
from vsanimesr.training import foreign, pictures
from vsanimesr.training.networks import imagenet, vgg
from vsanimesr.training.networks.imagenet import Convolutions

REQUIREMENT = "DISTS-pytorch==0.1"
"""The authors' wheel."""
MEMBER = "DISTS_pytorch/weights.pt"
SHA256 = "f5e65c96230b7f6ca995691647d482237e4cab8a50c5c4a5784f219ef0748218"
"""Of the member: alpha and beta, 1475 numbers each; 12 kB."""

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet's RGB in [0, 1]."""
HANN = (0.25, 0.5, 0.25)
"""Hann's window of five, whose ends are 0, as a sum of one: the blur of a pooling."""
SMALL = 1e-6
"""c1 and c2 of equations 5 and 6."""


class Network(NamedTuple):
    """VGG16 and how much each channel counts, which is one in all."""

    convolutions: Convolutions
    alpha: Tensor
    """(1475,) for the means: those of RGB, then of five stages."""
    beta: Tensor
    """(1475,) for the covariances."""


@torch.no_grad()
def dists(images: Tensor, originals: Tensor) -> Tensor:
    """Distance (n,), float32 on the CPU: 0 of equal pictures, up to about 1.

    Args:
        images: (n, 3, h, w), RGB in [0, 1], on any device, where it is computed, too.
        originals: The same shape and device.

    Raises:
        WeightsError: The weights cannot be fetched.
    """
    network = _network(images.device)
    similarity = torch.zeros(len(images), device=images.device)
    place = 0
    for x, y in zip(
        _features(images.float(), network.convolutions),
        _features(originals.float(), network.convolutions),
        strict=True,
    ):
        here = slice(place, place + x.shape[1])
        place += x.shape[1]
        x_mean, y_mean = x.mean(dim=(2, 3)), y.mean(dim=(2, 3))
        x_less, y_less = x - x_mean[:, :, None, None], y - y_mean[:, :, None, None]
        covariance = (x_less * y_less).mean(dim=(2, 3))
        variances = x_less.square_().mean(dim=(2, 3)) + y_less.square_().mean(dim=(2, 3))
        texture = (2 * x_mean * y_mean + SMALL) / (x_mean**2 + y_mean**2 + SMALL)
        structure = (2 * covariance + SMALL) / (variances + SMALL)
        similarity += texture @ network.alpha[here] + structure @ network.beta[here]
    return (1 - similarity).cpu()


def channels() -> tuple[Tensor, Tensor]:
    """How much the mean and the covariance of each channel count: (1475,) twice, float32.

    Raises:
        WeightsError: They cannot be fetched.
    """
    stored = cast("dict[str, Tensor]", foreign.load(_fetch()))  # as its hash says
    return stored["alpha"].flatten(), stored["beta"].flatten()


def _fetch() -> Path:
    """The cached file of the weights, intact; fetched where it is missing or damaged.

    Raises:
        WeightsError: It cannot be fetched; says where to put it.
        TrainingError: It cannot be stored.
    """
    path = weights.cache() / "DISTS_weights.pt"
    if path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == SHA256:
        return path
    placed = sorted(weights.cache().glob("DISTS_pytorch-0.1-*.whl"))
    with scratch.folder() as folder:
        try:
            file = (
                wheel.extract(placed[0], MEMBER, folder)
                if placed
                else wheel.download(REQUIREMENT, MEMBER, folder)
            )
        except WeightsError as error:
            raise WeightsError(
                f"DISTS's weights: cannot be fetched ({error}). Go online, or put {path.name} "
                f"(sha256 {SHA256}) or the wheel of {REQUIREMENT} into {path.parent}"
            ) from error
        content = file.read_bytes()
    if hashlib.sha256(content).hexdigest() != SHA256:
        raise WeightsError(f"{MEMBER}: not the one of {REQUIREMENT}; remove it and fetch it again")
    pictures.write_bytes(path, content)
    return path


@cache
def _network(device: torch.device) -> Network:
    alpha, beta = channels()
    total = alpha.sum() + beta.sum()
    convolutions = imagenet.load("vgg16").convolutions
    return Network(
        [(weight.to(device), bias.to(device)) for weight, bias in convolutions],
        (alpha / total).to(device, torch.float32),
        (beta / total).to(device, torch.float32),
    )


def _features(images: Tensor, convolutions: Convolutions) -> Iterator[Tensor]:
    """The picture itself, then the end of each of VGG16's five stages."""
    yield images
    x = (images - images.new_tensor(MEAN)[:, None, None]) / images.new_tensor(DEVIATION)[
        :, None, None
    ]
    ends = [*accumulate(vgg.STAGES["vgg16"])]
    for place, (weight, bias) in enumerate(convolutions):
        if place in ends:
            yield x
            x = _pool(x)
        x = F.relu_(F.conv2d(x, weight, bias, padding=1))
    yield x


def _pool(x: Tensor) -> Tensor:
    """Equation 3: the root of the blurred square, every other row and column."""
    blur = x.new_tensor(HANN)
    kernel = (blur[:, None] * blur).expand(x.shape[1], 1, 3, 3)
    return (F.conv2d(x.square(), kernel, stride=2, padding=1, groups=x.shape[1]) + 1e-12).sqrt_()
