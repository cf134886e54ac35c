"""Where a run stands: found in its newest checkpoint, and written into the next one."""

from pathlib import Path
from typing import Any, NoReturn, cast

import msgspec
import torch
from lightning_fabric import Fabric

from vsanimesr.errors import TrainingError, brief
from vsanimesr.training import checkpoint, config
from vsanimesr.training.train import parts, recipe
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
            TrainingError: The run began with another recipe, its checkpoints are damaged or no
                run's, or the processes do not find the same one.
        """
        self._fabric, self._run = fabric, run
        self._record, self._samples = record, batch * fabric.world_size
        self._state = checkpoint.latest(run)
        self.done = 0
        """Iterations."""
        if self._state is not None:
            self._check({"iteration": 0, "samples": 0, "recipe": ""})
            self.done = self._state["iteration"]
            if self.done < 0:
                self._refuse(f"iteration {self.done}")
            if not isinstance(self._state.get("random"), list) or not self._state["random"]:
                self._refuse("no list of states as random")
            try:
                before = msgspec.json.decode(self._state["recipe"], type=config.Table)
            except msgspec.DecodeError as error:
                self._refuse(f"recipe: {brief(error)}", error)
            _same_run(run, self._state, before, record, self._samples)
        if fabric.broadcast(self.done) != self.done:
            raise TrainingError(
                f"{run}: process {fabric.global_rank} finds {self.done} iterations done, the first "
                "process another number; let all machines see the same folder"
            )

    def restore(self, learners: Learners) -> None:
        """Give the learners what the checkpoint has of them, if there is one.

        Raises:
            TrainingError: It lacks a part, or has another in its place.
        """
        if self._state is not None:
            self._check(learners.pattern())
            learners.restore(self._state)

    def restore_random(self) -> None:
        """Set the generators of random numbers as the checkpoint has them, if there is one.

        Raises:
            TrainingError: It has no state of them.
        """
        if self._state is not None:
            states = self._state["random"]
            now = checkpoint.random_state(self._fabric.device)
            for number, one in enumerate(states):
                # of python's the last is a number or none; of CUDA there is none after a CPU's run
                cuda = cast(Any, one).get("cuda") if isinstance(one, dict) else None
                pattern = now | {"python": (*now["python"][:2], None), "cuda": cuda}
                self._compare(one, pattern, f"random[{number}]")
            state = states[self._fabric.global_rank % len(states)]
            try:
                checkpoint.restore_random(state, self._fabric.device)
            except (ValueError, TypeError, RuntimeError) as error:  # numbers out of range
                self._refuse(f"random: {brief(error)}", error)

    def _check(self, wanted: checkpoint.State) -> None:
        """Raise TrainingError unless the checkpoint has these parts."""
        assert self._state
        for name, part in wanted.items():
            if name not in self._state:
                self._refuse(f"no {name}")
            self._compare(self._state[name], part, name)

    def _compare(self, found: object, wanted: object, name: str) -> None:
        for difference in parts.differences(found, wanted, name):
            self._refuse(difference)

    def _refuse(self, problem: str, cause: Exception | None = None) -> NoReturn:
        raise TrainingError(
            f"{self._run}: its newest checkpoint is not one to go on from: {problem}; move it away "
            "to go on from the one before, or name a new folder, with its weights as [start]"
        ) from cause

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


def _same_run(
    run: Path, state: checkpoint.State, before: config.Table, record: config.Table, samples: int
) -> None:
    """Check that a run goes on as it began.

    Raises:
        TrainingError: Another recipe, or another number of samples in an iteration.
    """
    before = config.completed(before, recipe.Stage)
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
