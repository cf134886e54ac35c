"""The training loop, for the network and for the operators, with discriminators and without."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import cast

import msgspec
import torch
import torch.nn.functional as F
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.utils.data import Dataset
from tqdm import tqdm

from vsanimesr.network import Network
from vsanimesr.training import config
from vsanimesr.training.networks import layout
from vsanimesr.training.networks.trained import train_steps
from vsanimesr.training.train import recipe
from vsanimesr.training.train.accounts import Accounts
from vsanimesr.training.train.finite import Finite
from vsanimesr.training.train.interrupts import deferred
from vsanimesr.training.train.journal import Journal
from vsanimesr.training.train.learners import Learners
from vsanimesr.training.train.losses import (
    Perceptual,
    gan_of_discriminator,
    gan_of_generator,
    sharpen,
)
from vsanimesr.training.train.on_device import ahead
from vsanimesr.training.train.samples import Numbers, Sample, load
from vsanimesr.training.train.standing import Standing

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}

log = logging.getLogger("vsanimesr")


def train[T](
    fabric: Fabric,
    generator: Network | nn.Module,
    samples: Dataset[T],
    run: Path,
    *,
    settings: recipe.Train,
    losses: recipe.Losses,
    optimizer: recipe.Optimizer,
    perceptual: Perceptual | None = None,
    prepare: Callable[[T], Sample] | None = None,
    workers: int = 0,
    record: config.Table,
) -> None:
    """Train a generator, from where its run stands.

    Args:
        fabric: Launched; its device, and its processes.
        generator: From `Sample.given` to `Sample.wanted`, with its first weights: the same in all
            processes. Trained in place.
        samples: By number: `Sample`s, or what `prepare` makes them of.
        run: Folder of the run. If it has checkpoints, the run goes on from the newest.
        settings: How long and how.
        losses: What is minimised, by weights.
        optimizer: Adam's options.
        perceptual: The perceptual loss, where `losses` wants one.
        prepare: What is left to do with a batch of `samples`, one ahead on a thread of its own.
        workers: Processes that read samples ahead, of each process that trains.
        record: The whole recipe, for the checkpoints and the journal.

    Raises:
        TrainingError: The run was begun with another recipe, a loss is not finite, or a checkpoint
            or the journal cannot be written.
        KeyboardInterrupt: SIGINT or SIGTERM came. A single process first finishes its iteration and
            saves; of several, all stop at once, as they cannot know of one another's.
    """
    device, processes = fabric.device, fabric.world_size
    autocast = torch.autocast(device.type, DTYPES[settings.precision], settings.precision != "fp32")

    # What learns, and where it stands.
    learners = Learners(generator, optimizer, settings, losses.gan, device)
    adam, scaler, critics = learners.adam, learners.scaler, learners.critics
    if perceptual:
        layout.place(perceptual, device)
    standing = Standing(fabric, run, record, settings.batch)
    standing.restore(learners)
    if standing.done > settings.iterations:
        log.info(
            "%s: %d iterations are done and train.iterations is %d: nothing is left to train, and "
            "nothing is undone; to go on set it higher, to have fewer begin in a new folder",
            *(run, standing.done, settings.iterations),
        )
        return
    if standing.done == settings.iterations:
        log.info("%s: all %d iterations are done", run, standing.done)
        return

    # What spreads it over processes, and the samples.
    if isinstance(generator, Network):
        train_steps(generator, checkpointing=settings.checkpointing, compiled=settings.compile)
    generate = fabric.setup_module(generator)
    judge = fabric.setup_module(critics.network) if critics else None
    numbers = Numbers(
        standing.done,
        settings.iterations,
        batch=settings.batch,
        process=fabric.global_rank,
        processes=processes,
    )
    loaded = load(samples, numbers, workers=workers, pin=device.type == "cuda")
    batches = ahead(loaded, prepare) if prepare else cast(Iterator[Sample], loaded)
    standing.restore_random()

    leads, done = fabric.is_global_zero, standing.done
    journal = Journal(run, iteration=done, tensorboard=settings.tensorboard) if leads else None
    bar = tqdm(total=settings.iterations, initial=done, disable=None if leads else True)
    with deferred(enabled=processes == 1) as interrupted, journal or nullcontext(), bar:
        if journal:
            journal.write("start", done, processes=processes, device=str(device), recipe=record)
        accounts = Accounts(fabric)
        for iteration in range(done, settings.iterations):
            learners.begin(iteration)

            # The samples of this iteration.
            asked = time.perf_counter()
            sample = next(batches)
            waited = time.perf_counter() - asked
            finite = Finite(run, iteration, numbers.of(iteration), sample)
            given, wanted = (_images(one, device) for one in sample)
            wanted = _frames(wanted)
            target = sharpen(wanted) if losses.target == "usm" else wanted

            # The generator: the discriminators judge, but learn nothing.
            parts: dict[str, Tensor] = {}
            with autocast:
                made = _frames(generate(given)).float()
                parts["l1"] = losses.l1 * F.l1_loss(made, target)
                if losses.mse:
                    parts["mse"] = losses.mse * F.mse_loss(made, target)
                if losses.perceptual and perceptual:
                    parts["perceptual"] = losses.perceptual.weight * perceptual(made, wanted)
                if losses.gan and critics:
                    critics.network.requires_grad_(False)
                    parts["gan"] = losses.gan.weight * gan_of_generator(critics.network(made))
            values = finite.values(parts)
            adam.zero_grad()
            fabric.backward(scaler.scale(torch.stack(list(parts.values())).sum()))
            scaler.step(adam)

            # The discriminators: real and made in one pass.
            if judge and critics:
                critics.network.requires_grad_(True)
                with autocast:
                    judged = judge(torch.cat([wanted, made.detach()]))
                    real, false = zip(*(maps.chunk(2) for maps in judged), strict=True)
                    learnt = gan_of_discriminator(real, false)
                values |= finite.values({"discriminator": learnt})
                critics.adam.zero_grad()
                fabric.backward(scaler.scale(learnt))
                scaler.step(critics.adam)
            scaler.update()
            learners.follow()

            # Accounts and checkpoints, by the number of iterations that are done now.
            done = iteration + 1
            bar.update()
            accounts.add(values, waited)
            if done % settings.log_every == 0 or done == settings.iterations:
                said = accounts.close()
                bar.set_postfix({name: f"{loss:.4f}" for name, loss in said.losses.items()})
                if journal:
                    rate = adam.param_groups[0]["lr"]
                    journal.write("step", done, lr=rate, **msgspec.structs.asdict(said))
            leaving = interrupted()
            if done % settings.save_every == 0 or done == settings.iterations or leaving:
                path = standing.save(done, learners, keep=settings.keep)
                if journal and path:
                    journal.write("save", done, file=path.name)
            if leaving:
                log.info("%s: saved after %d iterations; the same command goes on", run, done)
                raise KeyboardInterrupt(leaving)
        if journal:
            journal.write("end", done)
        fabric.barrier()  # no process leaves before the checkpoint is there


def _images(images: Tensor, device: torch.device) -> Tensor:
    """To the device, as float32 in [0, 1]."""
    images = images.to(device, non_blocking=True)
    return images.float() / 255 if images.dtype == torch.uint8 else images


def _frames(images: Tensor) -> Tensor:
    """Pictures (n, 3, h, w) of clips (n, t, 3, h, w), or what are pictures already."""
    return images.flatten(0, -4)
