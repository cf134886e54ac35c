"""The recipes of training stages: every choice a stage has, as structs that `config.load` fills.

The defaults are the paper's (section 4.1 and appendix); where it says nothing, the released code's.
"""

import math
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from vsanimesr.errors import OptionError
from vsanimesr.models import ALIGNMENT, SCALE
from vsanimesr.training.degradation import degrade as degradation
from vsanimesr.training.degradation.lbo import FACTOR

CRITIC_SIDE = 24
"""Rows and columns that a discriminator needs at least (`networks.discriminator`)."""

MOST_VALUES = 2**32
"""Of the crisp patches of an iteration, in each process: 360 times as many as the paper's."""

# Bounds are far from what anybody trains with: what lies beyond them is a slip, and would be found
# out only when memory is full or a loss is no number.
type Iterations = Annotated[int, Meta(ge=1, le=99_999_999)]
"""A checkpoint's name has eight digits."""
type Weight = Annotated[float, Meta(ge=0, le=1e6)]
type Rate = Annotated[float, Meta(gt=0, le=1)]
type Probability = Annotated[float, Meta(ge=0, le=1)]
type Share = Annotated[float, Meta(ge=0, lt=1)]
"""How much of a running average stays."""
type Frames = Annotated[int, Meta(ge=1, le=1000)]
type Side = Annotated[int, Meta(ge=1, le=16_384)]
"""Rows and columns."""
type Batch = Annotated[int, Meta(ge=1, le=4096)]
type Workers = Annotated[int, Meta(ge=0, le=256)]
type Which = Literal["params", "ema"]
"""The trained weights, or their running average."""


class Clips(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[data]` of the network: what a sample of a store of crisp clips is (`clips.ClipStore`)."""

    root: Path
    frames: Frames = 15
    patch: Side = 256
    """Rows and columns of a crisp patch."""
    intervals: Annotated[tuple[Frames, ...], Meta(min_length=1)] = (1, 2, 3)
    """Steps from frame to frame, one drawn for each sample."""
    reverse: Probability = 0.5
    """Of the reverse order in time."""
    flips: bool = True
    transpose: bool = True
    lbos: tuple[Path, ...] = ()
    """The pool of learnable basic operators: weights, checkpoints, runs, or folders of weights."""
    lbo_weights: Which = "params"
    workers: Workers = 4
    """Processes that read and degrade; 0: the training process itself does."""
    degrade_on: Literal["workers", "device"] = "workers"
    """`device`: workers only read, the training process degrades whole batches where it trains,
    and compresses them on the CPU. The same samples on a CPU, other noise on a GPU."""

    def __post_init__(self) -> None:
        _multiple("patch", self.patch, SCALE * ALIGNMENT)


class Pairs(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[data]` of an operator: folders of pairs, as `rescale` writes them (`pairs`)."""

    roots: Annotated[tuple[Path, ...], Meta(min_length=1)]
    patch: Side = 256
    """Rows and columns of the pseudo-HR patch."""
    flips: bool = True
    transpose: bool = True
    workers: Workers = 4

    def __post_init__(self) -> None:
        _multiple("patch", self.patch, FACTOR)


class Shape(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[network]`."""

    scales: Literal["multi", "single"] = "multi"
    """The released network, or all of its blocks at full resolution (the paper's ablation)."""
    feedback: bool = True
    """Whether the network is given the last image that it made, beside its last state; without, it
    is VQD-SR's form of it, whose weights the filter takes as well."""

    def __post_init__(self) -> None:
        if self.scales == "single" and not self.feedback:
            raise OptionError(
                'network.feedback = false with network.scales = "single", wanted one of them alone'
            )


class Optimizer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[optimizer]`: Adam."""

    lr: Rate
    betas: tuple[Share, Share] = (0.9, 0.99)
    milestones: tuple[Annotated[int, Meta(ge=0, le=99_999_999)], ...] = ()
    """Iterations from which on the rate is that of before times `gamma`."""
    gamma: Rate = 0.5


class Perceptual(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[losses.perceptual]`."""

    weight: Weight = 1.0
    backbone: Literal["vgg19", "vgg16"] = "vgg19"
    """The paper's, whose weights you bring; or the one that can be fetched."""
    file: Path | None = None
    """Torchvision's weights of the backbone; by default those in the user's cache (`vgg.load`)."""


class Gan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[losses.gan]`: the least-squares loss, and the discriminators that are trained for it."""

    weight: Weight = 1.0
    scales: Annotated[int, Meta(ge=1, le=8)] = 3
    lr: Rate = 1e-4
    """Of the discriminators' Adam, whose other options are the generator's."""


class Losses(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[losses]`: what the generator minimises, each loss by its weight; none where it is 0."""

    l1: Weight = 1.0
    mse: Weight = 0.0
    target: Literal["plain", "usm"] = "plain"
    """The crisp clip itself as in the paper, or sharpened as in the released code's first stage."""
    perceptual: Perceptual | None = None
    gan: Gan | None = None

    def __post_init__(self) -> None:
        others = [one.weight for one in (self.perceptual, self.gan) if one]
        if not any((self.l1, self.mse, *others)):
            raise OptionError(
                "every weight is 0, wanted one above it: there would be nothing to learn from"
            )


class Train(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[train]`."""

    iterations: Iterations
    batch: Batch
    """Samples of an iteration in each process."""
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    """Of convolutions; weights, images and losses stay fp32."""
    checkpointing: bool = False
    """Keep the input of each frame's step only, and compute the step again on the way back."""
    compile: bool = False
    ema: Share = 0.999
    """How much of the running average stays in an iteration; 0: it is the weights themselves."""
    seed: Annotated[int, Meta(ge=0, lt=2**32)] = 0
    """Numpy's generators take no greater one."""
    deterministic: bool = False
    """Ask the device for deterministic kernels, where it has them. A CPU's are."""
    log_every: Iterations = 100
    save_every: Iterations = 5000
    keep: Iterations = 3
    """Checkpoints kept, the newest ones."""
    tensorboard: bool = True


class Start(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[start]`: the weights to begin with, in place of random ones."""

    weights: Path
    """A `.safetensors` or `.pth` file, a checkpoint, or a run, of which the last one is taken."""
    use: Which = "params"
    """Which weights of a checkpoint. The running average starts from the same."""


class NetworkStage(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="trains",
    tag="network",
):
    """A stage that trains the network on degraded clips."""

    data: Clips
    degrade: degradation.Recipe
    network: Shape = Shape()
    optimizer: Optimizer
    losses: Losses = Losses()
    train: Train
    start: Start | None = None

    def __post_init__(self) -> None:
        if self.degrade.wants_lbos and not self.data.lbos:
            raise OptionError(
                "data.lbos: empty, and the degradation calls for learnable basic operators; name "
                'their files or runs, or set degrade.ops = "basic"'
            )
        _room(self.data.patch, self.losses.gan)
        _memory(self.train.batch, self.data.frames, self.data.patch)


class LboStage(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="trains",
    tag="lbo",
):
    """A stage that trains a learnable basic operator on pairs: from the pseudo HR to the frame."""

    data: Pairs
    optimizer: Optimizer
    losses: Losses = Losses()
    train: Train
    start: Start | None = None

    def __post_init__(self) -> None:
        _room(self.data.patch // FACTOR, self.losses.gan)
        _memory(self.train.batch, 1, self.data.patch)


type Stage = NetworkStage | LboStage


def rate(optimizer: Optimizer, iteration: int) -> float:
    """The generator's learning rate in an iteration, the first being 0, over that of the start."""
    return math.pow(optimizer.gamma, sum(iteration >= one for one in optimizer.milestones))


def _multiple(name: str, value: int, unit: int) -> None:
    if value % unit:
        raise OptionError(f"{name} = {value}, wanted a multiple of {unit}")


def _room(side: int, gan: Gan | None) -> None:
    """Check that the smallest scale of a result has what five 4x4 convolutions need."""
    least = CRITIC_SIDE * 2 ** (gan.scales - 1) if gan else 0
    if side < least:
        raise OptionError(
            f"data.patch makes results of {side}x{side}, wanted {least} or more for the "
            "discriminators; take larger patches, or fewer losses.gan.scales"
        )


def _memory(batch: int, frames: int, side: int) -> None:
    values = batch * frames * 3 * side**2
    if values > MOST_VALUES:
        raise OptionError(
            f"train.batch = {batch} of {frames} frames of {side}x{side}: {values:,} values in an "
            f"iteration, wanted at most {MOST_VALUES:,}; take a smaller data.patch or train.batch"
        )
