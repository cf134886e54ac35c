"""Degradation on the device that trains: workers only read, and one batch is degraded ahead.

Sample number i is that of `samples.ClipSamples`: on a CPU bit for bit. A CUDA device draws other
noise from the same seeds and rounds otherwise, so there it is a sample of its own.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.data import Dataset

from vsanimesr.training.degradation.degrade import Degrader
from vsanimesr.training.train.samples import Patches, Sample, seed_of


class Crisp(NamedTuple):
    """A crisp clip, (t, 3, h, w) uint8 RGB, and the seed of its degradation; or a batch of them."""

    clip: Tensor
    seed: int | Tensor


class CrispSamples(Dataset[Crisp]):
    """Crisp clips that are yet to be degraded."""

    def __init__(self, patches: Patches, *, seed: int) -> None:
        self.patches, self.seed = patches, seed

    def __getitem__(self, number: int) -> Crisp:
        return Crisp(self.patches[number], seed_of(self.seed, number))


class OnDevice:
    """Degrades batches on one device, on CUDA beside what else it does."""

    def __init__(self, degrader: Degrader, device: torch.device) -> None:
        self.degrader, self.device = degrader, device
        self.stream = torch.cuda.Stream(device) if device.type == "cuda" else None

    def __call__(self, batch: Crisp) -> Sample:
        """From crisp clips on the CPU to samples on the device, ready for its default stream."""
        with torch.cuda.stream(self.stream) if self.stream else nullcontext():
            wanted = batch.clip.to(self.device, non_blocking=True)
            given = self.degrader(wanted.float() / 255, torch.as_tensor(batch.seed).tolist())
        if self.stream:
            self.stream.synchronize()
            for images in (given, wanted):  # memory is used anew once the trainer is done with it
                images.record_stream(torch.cuda.default_stream(self.device))
        return Sample(given, wanted)


def ahead[T](batches: Iterator[T], prepare: Callable[[T], Sample]) -> Iterator[Sample]:
    """What `prepare` makes of the batches, of the next one while the caller works with one.

    Args:
        batches: Read on the thread of the caller.
        prepare: Called in their order on a thread of its own; what it raises is raised here.
    """
    with ThreadPoolExecutor(1, "prepare") as pool:
        coming: Future[Sample] | None = None
        for batch in batches:
            ready, coming = coming, pool.submit(prepare, batch)
            if ready:
                yield ready.result()
        if coming:
            yield coming.result()
