"""From a recipe to a run: the generator, its samples and its losses, handed to the loop."""

import logging
import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric, seed_everything
from lightning_fabric.strategies.ddp import DDPStrategy
from torch import nn
from torch.utils.data import Dataset

from vsanimesr.engines.processor import processor
from vsanimesr.errors import TrainingError
from vsanimesr.training import checkpoint, config
from vsanimesr.training.clips import ClipStore
from vsanimesr.training.degradation.degrade import Degrader, Recipe
from vsanimesr.training.degradation.lbo import Lbo, load_pool
from vsanimesr.training.networks import trained, vgg
from vsanimesr.training.train import loop, recipe
from vsanimesr.training.train.losses import Perceptual
from vsanimesr.training.train.on_device import CrispSamples, OnDevice
from vsanimesr.training.train.patches import PatchDataset
from vsanimesr.training.train.samples import ClipSamples, PairSamples, Sample
from vsanimesr.weights import compare

MULTIPLY_BF16 = ("amx", "avx512_bf16")
"""Kinds of processors (`engines.processor.KINDS`) on which bf16 is faster than fp32."""

log = logging.getLogger("vsanimesr")


def run(stage: recipe.Stage, folder: Path, device: str) -> None:
    """Train one stage, or go on with it.

    Args:
        stage: The recipe.
        folder: Of the run.
        device: "cpu" or "cuda".

    Raises:
        TrainingError: Data, weights or device cannot be used, or the training cannot go on.
    """
    settings, losses = stage.train, stage.losses
    if settings.precision == "fp16" and device == "cpu":
        raise TrainingError('train.precision = "fp16" on the CPU, wanted "bf16" or "fp32"')
    if settings.precision == "bf16" and device == "cpu" and processor() not in MULTIPLY_BF16:
        log.warning(
            'train.precision = "bf16", which this processor does not multiply by itself; training '
            'is faster here with "fp32", by a recipe of its own'
        )
    if settings.deterministic:
        torch.use_deterministic_algorithms(True, warn_only=True)
        torch.backends.cudnn.benchmark = False
    fabric = processes(device)
    seed_everything(settings.seed, verbose=False)
    if isinstance(stage, recipe.NetworkStage):
        generator: nn.Module = trained.new(stage.network.scales, feedback=stage.network.feedback)
        samples, prepare = clip_samples(stage.data, stage.degrade, settings.seed, fabric.device)
    else:
        generator = Lbo()
        samples, prepare = pair_samples(stage.data, settings.seed), None
    if stage.start:
        begin(generator, stage.start)
    perceptual = None
    if losses.perceptual and losses.perceptual.weight:
        backbone = losses.perceptual.backbone
        convolutions = vgg.load(backbone, losses.perceptual.file)
        perceptual = Perceptual(convolutions, vgg.STAGES[backbone])
    loop.train(
        fabric,
        generator,
        samples,
        folder,
        settings=settings,
        losses=losses,
        optimizer=stage.optimizer,
        perceptual=perceptual,
        prepare=prepare,
        workers=stage.data.workers,
        record=config.plain(stage),
    )


def processes(device: str) -> Fabric:
    """Join the processes that `torchrun` has started, on one machine or several, or be the only.

    Args:
        device: "cpu" or "cuda"; one CUDA device a process.

    Raises:
        TrainingError: There is no CUDA device.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise TrainingError("device cuda: torch finds none; check the driver, or give --device cpu")
    world, local = (int(os.environ.get(name, "1")) for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"))
    strategy = DDPStrategy(process_group_backend="nccl" if device == "cuda" else "gloo")
    fabric = Fabric(
        accelerator=device,
        devices=local,
        num_nodes=world // local,
        strategy=strategy if "WORLD_SIZE" in os.environ else "auto",
    )
    fabric.launch()
    return fabric


def begin(generator: nn.Module, start: recipe.Start) -> None:
    """Give a generator the weights to begin with.

    Raises:
        TrainingError: They cannot be read, or are of another network.
    """
    wanted = {name: tuple(value.shape) for name, value in generator.state_dict().items()}
    check = partial(compare, wanted=wanted)
    generator.load_state_dict(checkpoint.weights(start.weights, start.use, check))


def clip_samples(
    data: recipe.Clips, degrade: Recipe, seed: int, device: torch.device
) -> tuple[Dataset[Any], Callable[[Any], Sample] | None]:
    """The samples of the network, and what is left to be done on the device with batches of them.

    Raises:
        TrainingError: The store of clips or an operator of the pool cannot be used.
    """
    patches = PatchDataset(
        ClipStore(data.root),
        split="train",
        frames=data.frames,
        patch=data.patch,
        intervals=data.intervals,
        reverse=data.reverse,
        flips=data.flips,
        transpose=data.transpose,
        seed=seed,
    )
    lbos = pool(data.lbos, data.lbo_weights) if degrade.wants_lbos else []
    if data.degrade_on == "device":
        return CrispSamples(patches, seed=seed), OnDevice(Degrader(degrade, lbos=lbos), device)
    return ClipSamples(patches, Degrader(degrade, lbos=lbos, workers=1), seed=seed), None


def pair_samples(data: recipe.Pairs, seed: int) -> Dataset[Sample]:
    """The samples of an operator.

    Raises:
        TrainingError: There are no pairs.
    """
    return PairSamples(
        data.roots, patch=data.patch, flips=data.flips, transpose=data.transpose, seed=seed
    )


def pool(places: Sequence[Path], use: recipe.Which) -> list[Lbo]:
    """The learnable basic operators of these files, checkpoints, runs, or folders of files.

    Raises:
        TrainingError: One cannot be read, or is none.
        WeightsError: The same, of a folder of files.
    """
    found: list[Lbo] = []
    for place in places:
        if place.is_dir() and not (place / checkpoint.FOLDER).is_dir():
            found += load_pool(place)
        else:
            lbo = Lbo()
            begin(lbo, recipe.Start(weights=place, use=use))
            found.append(lbo.requires_grad_(False).eval())
    return found
