"""Patches drawn from stored clips: sample number i is the same whoever asks for it."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from vsanimesr.errors import TrainingError
from vsanimesr.training.clips import ClipStore


class PatchDataset(Dataset[Tensor]):
    """Patches of clips: sample number i is the same whoever asks for it, in whatever order.

    As the released code's data sets, but for the draws' independence of workers: frames at one
    distance of `intervals`, backwards with probability `reverse`, one place for all frames, and
    mirrored and transposed with probability 1/2 each.
    """

    def __init__(
        self,
        store: ClipStore,
        *,
        split: str = "train",
        frames: int = 15,
        patch: int = 256,
        intervals: Sequence[int] = (1, 2, 3),
        reverse: float = 0.5,
        flips: bool = True,
        transpose: bool = True,
        seed: int = 0,
    ) -> None:
        """Draw from the clips of a split.

        Raises:
            TrainingError: There are none, or one is too small or too short for a patch.
        """
        self.store, self.length, self.patch = store, frames, patch
        self.intervals, self.reverse = tuple(intervals), reverse
        self.flips, self.transpose, self.seed = flips, transpose, seed
        self.names = store.names(split)
        if not self.names:
            raise TrainingError(f"{store.root} has no clips to {split}: make some with `dataset`")
        for name in self.names:
            if min(store.size(name)) < patch or not self._fitting(name):
                width, height = store.size(name)
                raise TrainingError(
                    f"{store.root}: the clip {name} has {store.frames(name)} frames of "
                    f"{width}x{height}, wanted {frames} of {patch}x{patch} or more"
                )

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, number: int) -> Tensor:
        """Sample `number` (0 or more; it may pass `len`, for a next epoch): (t, 3, p, p), uint8."""
        epoch, position = divmod(number, len(self.names))
        order = np.random.default_rng([self.seed, epoch, 0]).permutation(len(self.names))
        name = self.names[order[position]]
        random = np.random.default_rng([self.seed, number, 1])
        interval = int(random.choice(self._fitting(name)))
        room = self.store.frames(name) - (self.length - 1) * interval
        first = int(random.integers(room))
        indices = [first + interval * k for k in range(self.length)]
        width, height = self.store.size(name)
        x, y = (int(random.integers(side - self.patch + 1)) for side in (width, height))
        backwards, sideways, upside_down, swapped = random.random(4)
        if backwards < self.reverse:
            indices.reverse()
        clip = self.store.read(name, indices, (x, y, self.patch, self.patch))
        if self.flips and sideways < 0.5:
            clip = clip[:, :, ::-1]
        if self.flips and upside_down < 0.5:
            clip = clip[:, ::-1]
        axes = (0, 3, 2, 1) if self.transpose and swapped < 0.5 else (0, 3, 1, 2)
        return torch.from_numpy(np.ascontiguousarray(clip.transpose(axes)))

    def _fitting(self, name: str) -> list[int]:
        """The distances between frames at which the clip is long enough."""
        span = self.store.frames(name) - 1
        return [i for i in self.intervals if (self.length - 1) * i <= span]
