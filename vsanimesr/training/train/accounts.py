"""The means of what a run has done since it last said so."""

import time
from typing import cast

import msgspec
import torch
from lightning_fabric import Fabric
from torch import Tensor


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """Facts of a `step` of the journal (`journal`)."""

    losses: dict[str, float]
    seconds: float
    iterations_per_second: float
    waiting: float


class Accounts:
    """Sums of losses and of time spent waiting, from one line of the journal to the next."""

    def __init__(self, fabric: Fabric) -> None:
        self._fabric = fabric
        self._start()

    def _start(self) -> None:
        self._sums: dict[str, float] = {}
        self._iterations, self._waited, self._since = 0, 0.0, time.perf_counter()

    def add(self, losses: dict[str, float], waited: float) -> None:
        """Take one iteration: its losses, and the seconds it waited for its samples."""
        for name, value in losses.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
        self._iterations += 1
        self._waited += waited

    def close(self) -> Said:
        """What was done since the last time, the losses over all processes; then begin anew."""
        means = torch.tensor(list(self._sums.values())) / self._iterations
        means = cast(Tensor, self._fabric.all_reduce(means, reduce_op="mean"))
        seconds = time.perf_counter() - self._since
        said = Said(
            losses=dict(zip(self._sums, means.tolist(), strict=True)),
            seconds=seconds,
            iterations_per_second=self._iterations / seconds,
            waiting=self._waited / seconds,
        )
        self._start()
        return said
