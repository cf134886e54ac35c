"""What the stages minimise. Pictures are (n, 3, h, w), RGB, nominally in [0, 1]."""

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vsanimesr.training.networks.vgg import Convolutions

MEAN = (0.485, 0.456, 0.406)  # of ImageNet, RGB
DEVIATION = (0.229, 0.224, 0.225)
LAYERS = (0.1, 0.1, 1.0, 1.0, 1.0)
"""Weight of the last convolution before each pooling and at the end: the released code's."""

USM_RADIUS = 51  # the released code's 50, made odd
USM_SIGMA = 0.3 * ((USM_RADIUS - 1) / 2 - 1) + 0.8  # what OpenCV takes for that size: 8
USM_WEIGHT = 0.3
USM_THRESHOLD = 10 / 255


class Perceptual(nn.Module):
    """L1 distance of VGG features, taken before the ReLU, the mean of each layer by its weight.

    The layers are conv1_2, conv2_2, conv3_4, conv4_4 and conv5_4 of VGG19, as in the released code;
    of VGG16, the last of each stage as well: conv1_2, conv2_2, conv3_3, conv4_3 and conv5_3.
    """

    def __init__(self, convolutions: Convolutions, stages: Sequence[int]) -> None:
        """Take the backbone.

        Args:
            convolutions: As `vgg.load` gives them.
            stages: How many there are between poolings (`vgg.STAGES`).
        """
        super().__init__()
        self.stages = tuple(stages)
        assert sum(self.stages) == len(convolutions)
        for place, (weight, bias) in enumerate(convolutions):
            self.register_buffer(f"weight{place}", weight, persistent=False)
            self.register_buffer(f"bias{place}", bias, persistent=False)
        shape = (3, 1, 1)
        self.register_buffer("mean", torch.tensor(MEAN).reshape(shape), persistent=False)
        self.register_buffer("deviation", torch.tensor(DEVIATION).reshape(shape), persistent=False)

    def forward(self, made: Tensor, wanted: Tensor) -> Tensor:
        """The distance. Gradients flow to `made` only.

        Args:
            made: (n, 3, h, w), not clamped; h and w of 16 or more.
            wanted: The same shape.
        """
        layers = zip(LAYERS, self.features(made), self.features(wanted.detach()), strict=True)
        total = made.new_zeros(())
        for weight, found, target in layers:
            # What l1_loss does, which would keep both, and so the features of all layers, till the
            # way back.
            total = total + weight * (found.to(made.dtype) - target.to(made.dtype)).abs().mean()
        return total

    def features(self, images: Tensor) -> Iterator[Tensor]:
        """Output of the last convolution of each stage, before its ReLU."""
        z = (images - self.get_buffer("mean")) / self.get_buffer("deviation")
        place = 0
        for stage, convolutions in enumerate(self.stages):
            z = F.relu(F.max_pool2d(z, 2)) if stage else z  # the same in the other order, of more
            for i in range(convolutions):
                weight, bias = (self.get_buffer(f"{name}{place}") for name in ("weight", "bias"))
                z = F.conv2d(F.relu(z) if i else z, weight, bias, padding=1)
                place += 1
            yield z


def gan_of_generator(made: Sequence[Tensor]) -> Tensor:
    """Least squares: what is made shall be judged real. The mean of the scales.

    Args:
        made: What the discriminators say of what was made, a map for each scale.
    """
    return torch.stack([F.mse_loss(z, torch.ones_like(z)) for z in map(Tensor.float, made)]).mean()


def gan_of_discriminator(real: Sequence[Tensor], made: Sequence[Tensor]) -> Tensor:
    """Least squares: real is 1, made is 0. The mean of the scales; the sum of both, not halved.

    Args:
        real: What the discriminators say of crisp pictures, a map for each scale.
        made: What they say of what the generator made.
    """
    of_made = [F.mse_loss(z, torch.zeros_like(z)) for z in map(Tensor.float, made)]
    return gan_of_generator(real) + torch.stack(of_made).mean()


def sharpen(images: Tensor) -> Tensor:
    """Unsharp masking where there is detail: the target of the released code's first stage.

    Args:
        images: (n, 3, h, w) in [0, 1]; h and w of 26 or more.

    Returns:
        The same shape, in [0, 1].
    """
    detail = images - _blur(images)
    mask = _blur((detail.abs() > USM_THRESHOLD).to(images.dtype))
    return torch.lerp(images, (images + USM_WEIGHT * detail).clamp(0, 1), mask)


def _blur(images: Tensor) -> Tensor:
    """A Gaussian, with the picture mirrored at its edges."""
    reach = USM_RADIUS // 2
    x = torch.arange(-reach, reach + 1, device=images.device, dtype=torch.float64)
    line = torch.exp(-(x**2) / (2 * USM_SIGMA**2))
    line = (line / line.sum()).to(images.dtype)
    z = F.pad(images, [reach] * 4, mode="reflect")
    channels = images.shape[1]
    z = F.conv2d(z, line.expand(channels, 1, 1, -1), groups=channels)
    return F.conv2d(z, line[:, None].expand(channels, 1, -1, 1), groups=channels)
