"""Gaussian noise, coloured or gray, drawn anew for every frame."""

from dataclasses import dataclass
from typing import Literal

import msgspec
import numpy as np
import torch
from torch import Tensor

from vsanimesr.training.draws import (
    Range,
    check_probability,
    check_range,
    field_seed,
    happens,
    uniform,
)


class Noise(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="op",
    tag="noise",
):
    """Additive; the sum is clamped to [0, 1]. Strength and colour are drawn for every frame."""

    probability: float = 1.0
    """That the clip gets noise at all."""
    sigma: Range = (0.0, 10.0)
    """Standard deviation in steps of 8 bits."""
    gray: float = 0.5
    """Probability that a frame's noise is the same in red, green and blue."""
    gray_field: Literal["frame", "clip"] = "frame"
    """`clip`: all gray frames of a clip share one field, scaled, as in the released code of the
    last stage, where it stands still like dirt on a lens."""

    def __post_init__(self) -> None:
        check_probability("noise: probability", self.probability)
        check_probability("noise: gray", self.gray)
        check_range("noise: sigma", self.sigma, most=255)

    def draw(self, random: np.random.Generator, frames: int) -> "NoiseDraw | None":
        """What one clip gets; None: nothing."""
        if not happens(random, self.probability):
            return None
        seed = field_seed(random)
        drawn = [(uniform(random, self.sigma), happens(random, self.gray)) for _ in range(frames)]
        sigmas, grays = zip(*drawn, strict=True)
        return NoiseDraw(sigmas, grays, self.gray_field == "clip", seed)


@dataclass(frozen=True)
class NoiseDraw:
    """The noise of one clip."""

    sigmas: tuple[float, ...]
    """Of each frame, in steps of 8 bits."""
    grays: tuple[bool, ...]
    """Whether each frame's noise is gray."""
    still: bool
    """Whether the gray frames share one field."""
    seed: int
    """Of the fields. They are drawn on the clip's device: a CPU and a GPU draw other numbers."""

    def __call__(self, clip: Tensor) -> Tensor:
        """(t, 3, h, w) in and out, within [0, 1]."""
        random = torch.Generator(clip.device).manual_seed(self.seed)
        field = torch.randn(clip.shape, generator=random, device=clip.device)
        gray = field[:, :1]
        if self.still:
            gray = torch.randn(clip.shape[-2:], generator=random, device=clip.device)
        is_gray = torch.tensor(self.grays, device=clip.device)[:, None, None, None]
        sigma = torch.tensor(self.sigmas, device=clip.device)[:, None, None, None] / 255
        return torch.where(is_gray, gray, field).mul_(sigma).add_(clip).clamp_(0, 1)
