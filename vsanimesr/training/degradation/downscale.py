"""Down-scaling by one of three filters, or by a learnable basic operator in its place."""

from dataclasses import dataclass

import msgspec
import numpy as np
import torch.nn.functional as F
from torch import Tensor

from vsanimesr.errors import OptionError
from vsanimesr.training.draws import check_probability, check_weights, choose, happens

LBO = "lbo"
"""The mode of a stage that a learnable basic operator takes over."""


class Modes(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Weights of the filters. None of them averages over more than its own taps."""

    area: float = 1.0
    """The mean of each square."""
    bilinear: float = 1.0
    """At a factor of 2 the same numbers as `area`."""
    bicubic: float = 1.0
    """Of Keys, a = -0.75, over 4x4 pixels."""

    def __post_init__(self) -> None:
        check_weights("downscale: modes", self)


class Downscale(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="op",
    tag="downscale",
):
    """One stage of down-scaling. The paper has two, of a factor of 2 each."""

    factor: int = 2
    modes: Modes = Modes()
    lbo: float = 0.5
    """Probability that the clip's learnable basic operator replaces the filter: its network halves
    the picture itself (the paper's appendix)."""

    def __post_init__(self) -> None:
        check_probability("downscale: lbo", self.lbo)
        if self.factor not in (2, 4):
            raise OptionError(f"downscale: factor = {self.factor}, wanted 2 or 4")
        if self.factor != 2 and self.lbo:
            raise OptionError(
                f"downscale: lbo = {self.lbo} with factor = {self.factor}, wanted lbo = 0: a "
                "learnable basic operator halves the picture"
            )

    def draw(self, random: np.random.Generator, frames: int) -> "DownscaleDraw":
        """What one clip gets."""
        replaced = happens(random, self.lbo)
        mode = choose(random, self.modes)
        return DownscaleDraw(self.factor, LBO if replaced else mode)


@dataclass(frozen=True)
class DownscaleDraw:
    """The down-scaling of one clip."""

    factor: int
    mode: str
    """`area`, `bilinear`, `bicubic`, or `LBO`, whose network the caller has to run instead."""

    def __call__(self, clip: Tensor) -> Tensor:
        """(t, 3, h, w) to (t, 3, h/factor, w/factor), not clamped: bicubic overshoots.

        Equal to torch's `interpolate` but for rounding, which there depends on the number of
        threads. A new pixel's centre always lies half-way between two old ones.
        """
        if self.mode == "area":
            return F.avg_pool2d(clip, self.factor)
        if self.mode == "bilinear":
            skipped = self.factor // 2 - 1
            return F.avg_pool2d(clip[..., skipped:, skipped:], 2, self.factor)
        skipped = self.factor // 2 - 2
        padded = F.pad(clip, (-skipped,) * 4, mode="replicate") if skipped else clip
        return _half_way(_half_way(padded, 2, self.factor), 3, self.factor)


def _half_way(clip: Tensor, axis: int, step: int) -> Tensor:
    """Keys' cubic with a = -0.75 in the middle of every 4 pixels: weights -3, 19, 19, -3 of 32."""
    a, b, c, d = clip.unfold(axis, 4, step).unbind(-1)
    return b.add(c).mul_(19 / 32).sub_(a.add(d).mul_(3 / 32))
