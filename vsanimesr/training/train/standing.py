"""Where a run stands: found in its newest checkpoint, and written into the next one."""

from pathlib import Path
from typing import Any

import msgspec
import torch
from lightning_fabric import Fabric

from vsanimesr.errors import TrainingError
from vsanimesr.training import checkpoint, config
from vsanimesr.training.train import recipe
from vsanimesr.training.train.learners import Learners

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


class Standing:
    """Of one run, as one of its processes sees it."""

    def __init__(self, fabric: Fabric, run: Path, record: config.Table, batch: int) -> None:
        """Look for the run's newest checkpoint.

        Args:
            fabric: Launched.
            run: Folder of the run.
            record: The whole recipe.
            batch: Samples of an iteration in each process.

        Raises:
            TrainingError: The run began with another recipe, its checkpoints are damaged, or the
                processes do not find the same one.
        """
        self._fabric, self._run = fabric, run
        self._record, self._samples = record, batch * fabric.world_size
        self._state = checkpoint.latest(run)
        self.done = 0
        """Iterations."""
        if self._state:
            self.done = self._state["iteration"]
            _same_run(run, self._state, record, self._samples)
        if fabric.broadcast(self.done) != self.done:
            raise TrainingError(
                f"{run}: process {fabric.global_rank} finds {self.done} iterations done, the first "
                "process another number; let all machines see the same folder"
            )

    def restore(self, learners: Learners) -> None:
        """Give the learners what the checkpoint has of them, if there is one."""
        if self._state:
            learners.restore(self._state)

    def restore_random(self) -> None:
        """Set the generators of random numbers as the checkpoint has them, if there is one."""
        if self._state:
            states = self._state["random"]
            state = states[self._fabric.global_rank % len(states)]
            checkpoint.restore_random(state, self._fabric.device)

    def save(self, done: int, learners: Learners, *, keep: int) -> Path | None:
        """Write a checkpoint. All processes call it; the first writes, and gives its path.

        Raises:
            TrainingError: It cannot be written, or the generator's weights are not finite.
        """
        randoms = self._gathered(checkpoint.random_state(self._fabric.device))
        if not self._fabric.is_global_zero:
            return None
        self._check_finite(done, learners)
        state: checkpoint.State = {
            "iteration": done,
            "recipe": msgspec.json.encode(self._record).decode(),
            "samples": self._samples,
            "random": randoms,
            **learners.state(),
        }
        return checkpoint.save(self._run, done, state, keep=keep)

    def _check_finite(self, done: int, learners: Learners) -> None:
        for name, value in learners.generator.named_parameters():
            if not value.isfinite().all():
                raise TrainingError(
                    f"{self._run}: after {done} iterations {name} holds NaN or infinite values, "
                    "though no loss did; the last checkpoint is good and stays"
                )

    def _gathered(self, state: checkpoint.State) -> list[checkpoint.State]:
        """The states of all processes, in order, in each of them."""
        states: list[Any] = [state] * self._fabric.world_size
        if self._fabric.world_size > 1:
            torch.distributed.all_gather_object(states, state)
        return states


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
