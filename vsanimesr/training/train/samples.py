"""What a run is trained on: sample number i is the same whoever asks for it, when and where.

A sample is what the generator is given and what it shall make of it. Numbers go on through the
whole run: in iteration k, process r of p takes the samples (k * batch + 0, 1, ...) * p + r. So what
an iteration sees depends neither on where a run was resumed nor on how many workers read.
"""

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from vsanimesr.errors import TrainingError
from vsanimesr.training import leaving
from vsanimesr.training.degradation.degrade import Degrader
from vsanimesr.training.degradation.lbo import FACTOR


class Sample(NamedTuple):
    """One sample, or a batch of them. RGB, float32 in [0, 1], or uint8 and 255 times as much."""

    given: Tensor
    """Of the network (t, 3, h, w), the degraded clip; of an operator (3, h, w), the pseudo HR."""
    wanted: Tensor
    """Of the network (t, 3, 4h, 4w), the crisp clip; of an operator (3, h/2, w/2), the frame."""


class Patches(Protocol):
    """As `patches.PatchDataset`."""

    def __getitem__(self, number: int, /) -> Tensor:
        """A crisp clip (t, 3, h, w), uint8, RGB."""
        ...


def seed_of(seed: int, number: int) -> int:
    """Of one sample: no two runs or samples share one, and neighbours are independent."""
    return int(np.random.SeedSequence([seed, number]).generate_state(1, np.uint64)[0] >> 1)


class ClipSamples(Dataset[Sample]):
    """Crisp clips and what the degradation makes of them."""

    def __init__(self, patches: Patches, degrader: Degrader, *, seed: int) -> None:
        self.patches, self.degrader, self.seed = patches, degrader, seed

    def __getitem__(self, number: int) -> Sample:
        wanted = self.patches[number]
        given = self.degrader((wanted.float() / 255)[None], [seed_of(self.seed, number)])[0]
        return Sample(given, wanted)


class PairSamples(Dataset[Sample]):
    """Patches of frames and of their pseudo HR, from folders that `rescale` has filled."""

    def __init__(
        self, roots: tuple[Path, ...], *, patch: int, flips: bool, transpose: bool, seed: int
    ) -> None:
        """Look for the pairs.

        Args:
            roots: Each with `lr/NAME.png` (h, w) and `hr/NAME.png` (2h, 2w).
            patch: Rows and columns of the pseudo HR to take, an even number.
            flips: Mirror half of the patches sideways, half upside down.
            transpose: Swap rows and columns of half of them.
            seed: Of the run.

        Raises:
            TrainingError: A folder has no pairs, or a frame without its pseudo HR.
        """
        self.patch, self.flips, self.transpose, self.seed = patch, flips, transpose, seed
        self.pairs: list[tuple[Path, Path]] = []
        for root in roots:
            small = {path.name: path for path in sorted((root / "lr").glob("*.png"))}
            large = {path.name: path for path in sorted((root / "hr").glob("*.png"))}
            if not small or small.keys() != large.keys():
                odd = sorted(small.keys() ^ large.keys())[:3]
                raise TrainingError(
                    f"{root}: {len(small)} pictures in lr and {len(large)} in hr"
                    f"{f' ({", ".join(odd)} without the other)' if odd else ''}, wanted the same "
                    "names in both; make them with `rescale`"
                )
            self.pairs += [(small[name], large[name]) for name in small]

    def __getitem__(self, number: int) -> Sample:
        random = np.random.default_rng(seed_of(self.seed, number))
        small, large = self.pairs[random.integers(len(self.pairs))]
        frame, pseudo = _read(small), _read(large)
        rows, columns = frame.shape[:2]
        side = self.patch // FACTOR
        if pseudo.shape[:2] != (FACTOR * rows, FACTOR * columns) or min(rows, columns) < side:
            raise TrainingError(
                f"{large}: {pseudo.shape[1]}x{pseudo.shape[0]} for a frame of {columns}x{rows}, "
                f"wanted twice its size, and frames of {side}x{side} or more"
            )
        y, x = (int(random.integers(room - side + 1)) for room in (rows, columns))
        patches = [
            picture[unit * y : unit * (y + side), unit * x : unit * (x + side)]
            for picture, unit in ((pseudo, FACTOR), (frame, 1))
        ]
        sideways, upside_down, swapped = random.random(3) < 0.5
        if self.flips and sideways:
            patches = [patch[:, ::-1] for patch in patches]
        if self.flips and upside_down:
            patches = [patch[::-1] for patch in patches]
        axes = (2, 1, 0) if self.transpose and swapped else (2, 0, 1)
        return Sample(*(torch.from_numpy(np.ascontiguousarray(p.transpose(axes))) for p in patches))


class Numbers(Sampler[list[int]]):
    """The samples of each iteration from `first` on, for one process."""

    def __init__(self, first: int, last: int, *, batch: int, process: int, processes: int) -> None:
        self.iterations = range(first, last)
        self.batch, self.process, self.processes = batch, process, processes

    def __len__(self) -> int:
        return len(self.iterations)

    def __iter__(self) -> Iterator[list[int]]:
        return map(self.of, self.iterations)

    def of(self, iteration: int) -> list[int]:
        """The samples of one iteration."""
        first = iteration * self.batch
        return [i * self.processes + self.process for i in range(first, first + self.batch)]


def load[T](samples: Dataset[T], numbers: Numbers, *, workers: int, pin: bool) -> Iterator[T]:
    """The batches of a run, read ahead by worker processes.

    Args:
        samples: To read from.
        numbers: Of the samples of each batch.
        workers: How many; 0: this process reads when it is asked.
        pin: Put batches into memory that a CUDA device can read by itself.
    """
    loader = DataLoader(
        samples,
        batch_sampler=numbers,
        num_workers=workers,
        pin_memory=pin,
        generator=torch.Generator(),  # or the loader would draw from the run's own
        multiprocessing_context="spawn" if workers else None,  # CUDA and threads survive no fork
    )
    # A job manager ends all processes of a group: readers that went first would be an error of the
    # loader's. They end when this process has saved, and lets go of them.
    with leaving.unheard(signal.SIGTERM):
        return iter(loader)


def _read(path: Path) -> np.ndarray:
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if picture is None:
        raise TrainingError(f"{path}: damaged, or no picture; remove its folder and make it again")
    return picture[..., ::-1]
