"""From crisp clips to poor ones: the recipe, what is drawn from it, and its application.

The paper's degradation is, in this order: blur, noise, two stages that each halve the picture by a
filter or by a learnable basic operator (LBO), and H.264. Letters: n clips, t frames, h and w rows
and columns of a crisp frame.
"""

import os
from collections import Counter
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from typing import Literal

import msgspec
import numpy as np
import torch
from torch import Tensor

from vsanimesr.errors import OptionError, TrainingError, VsAnimeSRError
from vsanimesr.models import SCALE
from vsanimesr.training.degradation import legacy
from vsanimesr.training.degradation.blur import Blur, BlurDraw
from vsanimesr.training.degradation.codec import H264, H264Draw, restore
from vsanimesr.training.degradation.downscale import LBO, Downscale, DownscaleDraw, Modes
from vsanimesr.training.degradation.lbo import Lbo
from vsanimesr.training.degradation.noise import Noise, NoiseDraw
from vsanimesr.training.draws import generator

type Operator = (
    Blur
    | Noise
    | Downscale
    | H264
    | legacy.Mpeg2
    | legacy.Comb
    | legacy.ChromaBleed
    | legacy.DotCrawl
    | legacy.Ringing
    | legacy.LineJitter
)
"""A step of a recipe: `draw(random, frames)` gives what one clip gets."""
type Step = (
    BlurDraw
    | NoiseDraw
    | DownscaleDraw
    | H264Draw
    | legacy.Mpeg2Draw
    | legacy.CombDraw
    | legacy.ChromaBleedDraw
    | legacy.DotCrawlDraw
    | legacy.RingingDraw
    | legacy.LineJitterDraw
)
"""What one clip gets of an operator: called on (t, 3, h, w), it gives the poorer clip."""

_FILTER = Downscale(lbo=0)
RECIPES: dict[str, tuple[Operator, ...]] = {
    "paper": (Blur(), Noise(), Downscale(), Downscale(), H264()),
    "basic": (Blur(), Noise(), _FILTER, _FILTER, H264()),
    "released": (
        Blur(axes="released"),
        Noise(gray_field="clip"),
        Downscale(),
        Downscale(),
        H264(channels="bgr", levels="truncate"),
    ),
    "released-basic": (
        Blur(axes="released"),
        Noise(),
        Downscale(factor=4, lbo=0, modes=Modes(area=0.3, bilinear=0.3, bicubic=0.4)),
        H264(channels="bgr", levels="truncate"),
    ),
    "dvd": (Blur(), Noise(), _FILTER, _FILTER, legacy.Comb(probability=0.5), legacy.Mpeg2()),
    "vhs": (
        Blur(),
        _FILTER,
        _FILTER,
        legacy.Ringing(),
        legacy.DotCrawl(probability=0.5),
        legacy.ChromaBleed(),
        legacy.LineJitter(),
        Noise(),
        H264(),
    ),
}
"""Operators by the name of their recipe.

`paper` and `basic` are the paper's, with LBOs and without (its "BasicOP-Only"). `released` and
`released-basic` are what the released code does in its last and its first stage, oddities included.
`dvd` and `vhs` go beyond the paper.
"""


class Recipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The table `[degrade]` of a configuration: a name, or operators in the order they act."""

    ops: (
        Literal["paper", "basic", "released", "released-basic", "dvd", "vhs"] | tuple[Operator, ...]
    ) = "paper"
    """A key of `RECIPES`, or tables, each with its operator's name as `op` and its options."""

    def __post_init__(self) -> None:
        if isinstance(self.ops, str) and self.ops not in RECIPES:
            raise OptionError(f"ops = {self.ops!r}, wanted one of {', '.join(RECIPES)}")
        scale = prod(op.factor for op in self.operators if isinstance(op, Downscale))
        if scale != SCALE:
            raise OptionError(
                f"ops: they make clips {scale} times smaller, wanted {SCALE}: two of "
                '{ op = "downscale" }, or one of factor 4'
            )

    @property
    def operators(self) -> tuple[Operator, ...]:
        """The operators in the order they act."""
        return RECIPES[self.ops] if isinstance(self.ops, str) else self.ops

    @property
    def wants_lbos(self) -> bool:
        """Whether an LBO may have to be run."""
        return any(isinstance(op, Downscale) and op.lbo > 0 for op in self.operators)


@dataclass(frozen=True)
class Draw:
    """Everything that is random about one clip's degradation."""

    seed: int
    lbo: int | None
    """Place in the pool of the clip's LBO, run in every stage that calls for one."""
    steps: tuple[Step | None, ...]
    """In the order of the recipe's operators; None: this clip is spared."""


def draw(recipe: Recipe, seed: int, *, frames: int = 15, lbos: int = 1) -> Draw:
    """Draw what the clip of this seed gets.

    Args:
        recipe: To draw from.
        seed: Of the clip, 0 or more.
        frames: Of the clip.
        lbos: Size of the pool. One LBO is drawn a clip, as the paper does an iteration.

    Raises:
        OptionError: A negative seed.
    """
    seen: Counter[str] = Counter()
    steps: list[Step | None] = []
    for op in recipe.operators:
        name = str(type(op).__struct_config__.tag)
        steps.append(op.draw(generator(seed, name, seen[name]), frames))
        seen[name] += 1
    lbo = int(generator(seed, LBO).integers(lbos)) if lbos else None
    return Draw(seed, lbo, tuple(steps))


class Degrader:
    """Degrades batches of clips; what becomes of a clip depends on it and its seed alone."""

    def __init__(
        self, recipe: Recipe, *, lbos: Sequence[Lbo] = (), workers: int | None = None
    ) -> None:
        """Take a recipe and the pool that it draws LBOs from.

        Args:
            recipe: What to draw from.
            lbos: The pool; moved to the device of the clips.
            workers: Clips encoded at a time, each on its own thread; by default, one a core.

        Raises:
            TrainingError: The recipe calls for LBOs and the pool is empty.
        """
        if recipe.wants_lbos and not lbos:
            raise TrainingError(
                "degrade: the recipe calls for learnable basic operators and there are none; name "
                "their folder, or take the recipe 'basic', or set lbo = 0 in every downscale"
            )
        self.recipe = recipe
        self.lbos = tuple(lbos)
        self._workers = workers or os.cpu_count() or 1

    def __call__(self, gt: Tensor, seeds: Sequence[int]) -> Tensor:
        """Degrade clips. No gradient flows through.

        Args:
            gt: (n, t, 3, h, w) float32 RGB in [0, 1]; h and w multiples of 8 (a codec wants even
                pictures).
            seeds: n numbers, 0 or more.

        Returns:
            (n, t, 3, h/4, w/4) float32 RGB in [0, 1], on the same device.

        Raises:
            TrainingError: Another shape, type or number of seeds; or an operator fails, and the
                message names the seed.
        """
        if gt.ndim != 5 or gt.shape[2] != 3 or gt.dtype != torch.float32 or 0 in gt.shape:
            raise TrainingError(
                f"degrade: {gt.dtype} of shape {tuple(gt.shape)}, wanted float32 (n, t, 3, h, w)"
            )
        if gt.shape[3] % (2 * SCALE) or gt.shape[4] % (2 * SCALE):
            raise TrainingError(
                f"degrade: frames of {gt.shape[4]}x{gt.shape[3]}, wanted width and height to be "
                f"multiples of {2 * SCALE}"
            )
        if len(seeds) != len(gt):
            raise TrainingError(f"degrade: {len(seeds)} seeds for {len(gt)} clips, wanted one each")
        for lbo in self.lbos:
            lbo.to(gt.device)
        frames = gt.shape[1]
        draws = [draw(self.recipe, seed, frames=frames, lbos=len(self.lbos)) for seed in seeds]
        clips = list(gt)
        with (
            torch.no_grad(),
            torch.autocast(gt.device.type, enabled=False),
            ThreadPoolExecutor(self._workers, "codec") as pool,
        ):
            for place in range(len(self.recipe.operators)):
                self._advance(clips, draws, place, pool)
            return torch.stack(clips).clamp_(0, 1)

    def _advance(
        self, clips: list[Tensor], draws: list[Draw], place: int, pool: ThreadPoolExecutor
    ) -> None:
        """Take the clips past one operator; codecs of several clips run at a time."""
        coded: dict[int, Future[np.ndarray]] = {}
        for i, one in enumerate(draws):
            step = one.steps[place]
            with _naming(one.seed):
                if isinstance(step, H264Draw | legacy.Mpeg2Draw):
                    coded[i] = pool.submit(step.prepare(clips[i]))
                elif isinstance(step, DownscaleDraw) and step.mode == LBO:
                    assert one.lbo is not None
                    clips[i] = self.lbos[one.lbo](clips[i])
                elif step:
                    clips[i] = step(clips[i])
        for i, future in coded.items():
            with _naming(draws[i].seed):
                clips[i] = restore(future.result(), clips[i].device)


@contextmanager
def _naming(seed: int) -> Generator[None]:
    try:
        yield
    except VsAnimeSRError as error:
        raise TrainingError(f"degrade: clip of seed {seed}: {error}") from error
