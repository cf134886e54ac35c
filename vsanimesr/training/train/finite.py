"""Losses that are numbers, or an end with the batch that was at fault."""

import math
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from vsanimesr.errors import TrainingError
from vsanimesr.training.train.samples import Sample


class Finite:
    """Of one iteration."""

    def __init__(self, run: Path, iteration: int, numbers: list[int], batch: Sample) -> None:
        """Take what is to be kept of the iteration.

        Args:
            run: Folder of the run.
            iteration: The first is 0.
            numbers: Of the samples.
            batch: The samples.
        """
        self._run, self._iteration, self._numbers, self._batch = run, iteration, numbers, batch

    def values(self, losses: Mapping[str, Tensor]) -> dict[str, float]:
        """The losses as numbers; waits for the device.

        Raises:
            TrainingError: One is NaN or infinite. The batch is kept for a look.
        """
        values = torch.stack(list(losses.values())).tolist()
        named = dict(zip(losses, values, strict=True))
        if not all(map(math.isfinite, values)):
            raise TrainingError(
                f"iteration {self._iteration}: losses {named}, wanted finite ones; the batch is in "
                f"{self._kept(named)}. The checkpoints hold finite weights: look at the batch and "
                "at the losses before, then go on with a lower learning rate or precision bf16 or "
                "fp32 in a new run that starts from one at which they had not begun to grow"
            )
        return named

    def _kept(self, losses: dict[str, float]) -> Path:
        path = self._run / f"not_finite_{self._iteration:08d}_{self._numbers[0]}.pt"
        path.parent.mkdir(parents=True, exist_ok=True)
        found = {"iteration": self._iteration, "samples": self._numbers, "losses": losses}
        given, wanted = (images.cpu() for images in self._batch)
        torch.save({**found, "given": given, "wanted": wanted}, path)
        return path
