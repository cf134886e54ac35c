"""The training loop, for the network and for the operators, with discriminators and without."""

import copy
import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any, cast

import msgspec
import torch
import torch.nn.functional as F
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.optim import Adam
from torch.utils.data import Dataset
from tqdm import tqdm

from vsanimesr.errors import TrainingError
from vsanimesr.network import Network
from vsanimesr.training import checkpoint, config
from vsanimesr.training.networks.discriminator import MultiScaleDiscriminator
from vsanimesr.training.networks.trained import train_steps
from vsanimesr.training.train import recipe
from vsanimesr.training.train.interrupts import deferred
from vsanimesr.training.train.journal import Journal
from vsanimesr.training.train.losses import (
    Perceptual,
    gan_of_discriminator,
    gan_of_generator,
    sharpen,
)
from vsanimesr.training.train.on_device import ahead
from vsanimesr.training.train.samples import Numbers, Sample, load

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
FREE = (
    "data.root",
    "data.roots",
    "data.lbos",
    "data.workers",
    "losses.perceptual.file",
    "start",
    "train.batch",  # the samples of all processes together must stay, and are compared apart
    "train.checkpointing",
    "train.compile",
    "train.iterations",
    "train.keep",
    "train.log_every",
    "train.save_every",
    "train.tensorboard",
)
"""Keys of a recipe that may differ when a run goes on: they do not change what is trained."""

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
    device, processes, gan = fabric.device, fabric.world_size, losses.gan
    autocast = torch.autocast(device.type, DTYPES[settings.precision], settings.precision != "fp32")
    # Networks, their optimisers, and the running average of the generator.
    generator.to(device)
    average = copy.deepcopy(generator).requires_grad_(False)
    adam = _adam(generator, optimizer, optimizer.lr)
    discriminator = adam_d = None
    if gan:
        discriminator = MultiScaleDiscriminator(gan.scales).to(device)
        adam_d = _adam(discriminator, optimizer, gan.lr)
    if perceptual:
        perceptual.to(device)
    scaler = torch.GradScaler(device.type, enabled=settings.precision == "fp16")

    # Where the run stands.
    done = 0
    state = checkpoint.latest(run)
    if state:
        done = state["iteration"]
        _same_run(run, state, record, settings.batch * processes)
        generator.load_state_dict(state[checkpoint.PARAMS])
        average.load_state_dict(state[checkpoint.EMA])
        adam.load_state_dict(state["adam"])
        if discriminator and adam_d:
            discriminator.load_state_dict(state["discriminator"])
            adam_d.load_state_dict(state["adam_of_discriminator"])
        scaler.load_state_dict(state["scaler"])
    if fabric.broadcast(done) != done:
        raise TrainingError(
            f"{run}: process {fabric.global_rank} finds {done} iterations done, the first process "
            "another number; let all machines see the same folder"
        )
    if done >= settings.iterations:
        log.info("%s: all %d iterations are done", run, done)
        return

    # What spreads them over processes, and the samples.
    if isinstance(generator, Network):
        train_steps(generator, checkpointing=settings.checkpointing, compiled=settings.compile)
    generate = fabric.setup_module(generator)
    judge = fabric.setup_module(discriminator) if discriminator else None
    numbers = Numbers(
        done,
        settings.iterations,
        batch=settings.batch,
        process=fabric.global_rank,
        processes=processes,
    )
    loaded = load(samples, numbers, workers=workers, pin=device.type == "cuda")
    batches = ahead(loaded, prepare) if prepare else cast(Iterator[Sample], loaded)
    if state:
        random = state["random"]
        checkpoint.restore_random(random[fabric.global_rank % len(random)], device)

    leads = fabric.is_global_zero
    journal = Journal(run, iteration=done, tensorboard=settings.tensorboard) if leads else None
    bar = tqdm(total=settings.iterations, initial=done, disable=None if leads else True)
    with deferred(enabled=processes == 1) as interrupted, journal or nullcontext(), bar:
        if journal:
            journal.write("start", done, processes=processes, device=str(device), recipe=record)
        sums: dict[str, float] = {}
        waited, logged, since = 0.0, done, time.perf_counter()
        for iteration in range(done, settings.iterations):
            for group in [*adam.param_groups, *(adam_d.param_groups if adam_d else ())]:
                group["lr"] = group["initial_lr"] * recipe.rate(optimizer, iteration)

            # The samples of this iteration.
            asked = time.perf_counter()
            sample = next(batches)
            waited += time.perf_counter() - asked
            given, wanted = (_images(one, device) for one in sample)
            target = sharpen(_frames(wanted)) if losses.target == "usm" else _frames(wanted)
            wanted = _frames(wanted)

            # The generator: the discriminators judge, but learn nothing.
            if discriminator:
                discriminator.requires_grad_(False)
            parts: dict[str, Tensor] = {}
            with autocast:
                made = _frames(generate(given)).float()
                parts["l1"] = losses.l1 * F.l1_loss(made, target)
                if losses.mse:
                    parts["mse"] = losses.mse * F.mse_loss(made, target)
                if losses.perceptual and perceptual:
                    parts["perceptual"] = losses.perceptual.weight * perceptual(made, wanted)
                if gan and discriminator:
                    parts["gan"] = gan.weight * gan_of_generator(discriminator(made))
            values = _finite(parts, run, numbers.of(iteration), iteration, sample)
            adam.zero_grad()
            fabric.backward(scaler.scale(torch.stack(list(parts.values())).sum()))
            scaler.step(adam)

            # The discriminators: real and made in one pass.
            if judge and discriminator and adam_d:
                discriminator.requires_grad_(True)
                with autocast:
                    judged = judge(torch.cat([wanted, made.detach()]))
                    real, false = zip(*(maps.chunk(2) for maps in judged), strict=True)
                    learnt = gan_of_discriminator(real, false)
                values |= _finite(
                    {"discriminator": learnt}, run, numbers.of(iteration), iteration, sample
                )
                adam_d.zero_grad()
                fabric.backward(scaler.scale(learnt))
                scaler.step(adam_d)
            scaler.update()

            # The running average of the generator.
            with torch.no_grad():
                pairs = zip(average.parameters(), generator.parameters(), strict=True)
                for slow, fast in pairs:
                    slow.lerp_(fast, 1 - settings.ema)

            # Accounts and checkpoints, by the number of iterations that are done now.
            done = iteration + 1
            bar.update()
            for name, value in values.items():
                sums[name] = sums.get(name, 0.0) + value
            if done % settings.log_every == 0 or done == settings.iterations:
                means = torch.tensor(list(sums.values())) / (done - logged)
                means = cast(Tensor, fabric.all_reduce(means, reduce_op="mean"))
                shown = dict(zip(sums, means.tolist(), strict=True))
                now = time.perf_counter()
                bar.set_postfix({name: f"{value:.4f}" for name, value in shown.items()})
                if journal:
                    journal.write(
                        "step",
                        done,
                        losses=shown,
                        lr=adam.param_groups[0]["lr"],
                        seconds=now - since,
                        iterations_per_second=(done - logged) / (now - since),
                        waiting=waited / (now - since),
                    )
                sums, waited, logged, since = {}, 0.0, done, now
            leaving = interrupted()
            if done % settings.save_every == 0 or done == settings.iterations or leaving:
                randoms = _gather(checkpoint.random_state(device), processes)
                if journal:
                    _finite_weights(generator, run, done)
                    saved: checkpoint.State = {
                        "iteration": done,
                        "recipe": msgspec.json.encode(record).decode(),
                        "samples": settings.batch * processes,
                        checkpoint.PARAMS: generator.state_dict(),
                        checkpoint.EMA: average.state_dict(),
                        "adam": adam.state_dict(),
                        "scaler": scaler.state_dict(),
                        "random": randoms,
                    }
                    if discriminator and adam_d:
                        saved["discriminator"] = discriminator.state_dict()
                        saved["adam_of_discriminator"] = adam_d.state_dict()
                    path = checkpoint.save(run, done, saved, keep=settings.keep)
                    journal.write("save", done, file=path.name)
            if leaving:
                log.info("%s: saved after %d iterations; the same command goes on", run, done)
                raise KeyboardInterrupt
        if journal:
            journal.write("end", done)
        fabric.barrier()  # no process leaves before the checkpoint is there


def _adam(module: nn.Module, options: recipe.Optimizer, lr: float) -> Adam:
    groups: list[dict[str, Any]] = [{"params": list(module.parameters()), "initial_lr": lr}]
    return Adam(groups, lr=lr, betas=options.betas)


def _images(images: Tensor, device: torch.device) -> Tensor:
    """To the device, as float32 in [0, 1]."""
    images = images.to(device, non_blocking=True)
    return images.float() / 255 if images.dtype == torch.uint8 else images


def _frames(images: Tensor) -> Tensor:
    """Pictures (n, 3, h, w) of clips (n, t, 3, h, w), or what are pictures already."""
    return images.flatten(0, -4)


def _finite(
    parts: Mapping[str, Tensor], run: Path, samples: list[int], iteration: int, batch: Sample
) -> dict[str, float]:
    """The losses as numbers; if one is none, keep the batch for a look and stop.

    Raises:
        TrainingError: A loss is NaN or infinite.
    """
    values = torch.stack(list(parts.values())).tolist()  # waits for the device
    named = dict(zip(parts, values, strict=True))
    if not all(map(math.isfinite, values)):
        path = run / f"not_finite_{iteration:08d}_{samples[0]}.pt"
        path.parent.mkdir(parents=True, exist_ok=True)
        found = {"iteration": iteration, "samples": samples, "losses": named}
        torch.save({**found, "given": batch.given.cpu(), "wanted": batch.wanted.cpu()}, path)
        raise TrainingError(
            f"iteration {iteration}: losses {named}, wanted finite ones; the batch is in {path}. "
            "The checkpoints hold finite weights: look at the batch and at the losses before, then "
            "go on with a lower learning rate or precision bf16 or fp32 in a new run that starts "
            "from one at which they had not begun to grow"
        )
    return named


def _finite_weights(generator: nn.Module, run: Path, done: int) -> None:
    for name, value in generator.named_parameters():
        if not value.isfinite().all():
            raise TrainingError(
                f"{run}: after {done} iterations {name} holds NaN or infinite values, though no "
                "loss did; the last checkpoint is good and stays"
            )


def _same_run(run: Path, state: checkpoint.State, record: config.Table, samples: int) -> None:
    """Check that a run goes on as it began.

    Raises:
        TrainingError: Another recipe, or another number of samples in an iteration.
    """
    before = config.completed(msgspec.json.decode(state["recipe"]), recipe.Stage)
    now = msgspec.json.decode(msgspec.json.encode(record))
    changed = [
        f"{path} = {new!r}, not {old!r}"
        for path, old, new in config.differences(before, now)
        if not any(path == free or path.startswith(f"{free}.") for free in FREE)
    ]
    if state["samples"] != samples:
        changed.append(f"{samples} samples an iteration over all processes, not {state['samples']}")
    if changed:
        raise TrainingError(
            f"{run}: this run began with another recipe: {'; '.join(changed)}. Set that back, or "
            "name a new folder, with the run as its [start]"
        )


def _gather(state: checkpoint.State, processes: int) -> list[checkpoint.State]:
    """The states of all processes, in order, in each of them."""
    states: list[Any] = [state] * processes
    if processes > 1:
        torch.distributed.all_gather_object(states, state)
    return states
