"""Gaussian blur, isotropic or anisotropic: the first operator of the paper's degradation."""

from dataclasses import dataclass
from typing import Literal

import msgspec
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from vsanimesr.errors import OptionError, TrainingError
from vsanimesr.training.draws import Range, check_probability, check_range, happens, uniform

NOTHING = 1e-30
"""Weights this much smaller than the centre's are taken for 0. As subnormal numbers, which narrow
kernels have many of, they would change no picture and take a CPU up to ten times as long."""


class Blur(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="op",
    tag="blur",
):
    """One kernel for all frames of a clip. Sigmas are in pixels of the sharp clip.

    Ranges and probabilities are the paper's; the size of the kernel, which it does not state, is
    that of the released code.
    """

    probability: float = 1.0
    size: int = 21
    """Rows and columns of the kernel, odd."""
    anisotropic: float = 0.3
    """Probability of an anisotropic kernel."""
    sigma: Range = (0.2, 4.0)
    """Of isotropic kernels."""
    anisotropic_sigma: Range = (0.8, 3.0)
    """Of anisotropic kernels, each axis drawn by itself."""
    axes: Literal["paper", "released"] = "paper"
    """`released`: anisotropic kernels take one axis from `sigma` and the other from
    `anisotropic_sigma`, as the released code does."""

    def __post_init__(self) -> None:
        check_probability("blur: probability", self.probability)
        check_probability("blur: anisotropic", self.anisotropic)
        for name, values in (
            ("sigma", self.sigma),
            ("anisotropic_sigma", self.anisotropic_sigma),
        ):
            check_range(f"blur: {name}", values, least=0.01, most=100)
        if self.size < 1 or self.size % 2 == 0:
            raise OptionError(f"blur: size = {self.size}, wanted an odd number")

    def draw(self, random: np.random.Generator, frames: int) -> "BlurDraw | None":
        """What one clip gets; None: nothing."""
        if not happens(random, self.probability):
            return None
        if not happens(random, self.anisotropic):
            sigma = uniform(random, self.sigma)
            return BlurDraw(sigma, sigma, 0.0, self.size)
        first = self.anisotropic_sigma if self.axes == "paper" else self.sigma
        sigma_x, sigma_y = uniform(random, first), uniform(random, self.anisotropic_sigma)
        return BlurDraw(sigma_x, sigma_y, uniform(random, (-np.pi, np.pi)), self.size)


@dataclass(frozen=True)
class BlurDraw:
    """The blur of one clip."""

    sigma_x: float
    """Pixels, along the first axis of the kernel."""
    sigma_y: float
    angle: float
    """Of the first axis, in radians, from x (to the right) towards y (down)."""
    size: int

    def __call__(self, clip: Tensor) -> Tensor:
        """(t, 3, h, w) in and out. The border is mirrored about its outermost pixels.

        Raises:
            TrainingError: Frames too small to be mirrored.
        """
        t, _, h, w = clip.shape
        reach = self.size // 2
        if min(h, w) <= reach:
            raise TrainingError(f"blur: frames of {w}x{h}, wanted more than {reach} each way")
        weight = torch.from_numpy(kernel(self.sigma_x, self.sigma_y, self.angle, self.size))
        weight = weight.to(clip).expand(3 * t, 1, -1, -1)
        padded = F.pad(clip, (reach,) * 4, mode="reflect").flatten(0, 1)  # (3t, h+, w+)
        return F.conv2d(padded[None], weight, groups=3 * t).reshape(clip.shape)


def kernel(sigma_x: float, sigma_y: float, angle: float, size: int) -> np.ndarray:
    """A Gaussian density sampled at pixel centres, (size, size) float64, of sum 1.

    Args:
        sigma_x: Standard deviation along the first axis, in pixels.
        sigma_y: Along the second.
        angle: Of the first axis, in radians, from x towards y.
        size: Rows and columns.
    """
    place = np.arange(size) - size // 2
    x, y = place[None, :], place[:, None]
    along = x * np.cos(angle) + y * np.sin(angle)
    across = y * np.cos(angle) - x * np.sin(angle)
    density = np.exp(-0.5 * ((along / sigma_x) ** 2 + (across / sigma_y) ** 2))
    density[density < NOTHING] = 0
    return density / density.sum()
