"""Planes between VapourSynth's memory and torch's: at once on a CPU, in streams on a GPU.

On a GPU three streams work side by side, so that one frame goes up and another comes down while a
third is computed. Order between them is kept by events and by `record_stream` (CUDA semantics in
torch's documentation): what was made on one stream is waited for by the next.
"""

import contextlib
import threading
from collections.abc import Generator, Sequence
from contextlib import AbstractContextManager

import numpy as np
import torch
from torch import Tensor

from vsanimesr.engines.protocol import Plane
from vsanimesr.engines.torch import settings

type Ready = torch.cuda.Event | None
"""When an image is there; None: at once."""


class HostTransfer:
    """Copies that wait: the device is the CPU, or one whose streams are not used."""

    overlaps = False

    def __init__(self, *, wide: bool = False) -> None:
        """`wide`: see `device.wide`."""
        self._wide = wide

    def upload(self, planes: Sequence[Plane]) -> list[Tensor]:
        """Copies of planes (rows, columns), in their own types, or wider."""
        widened = {np.dtype(np.uint16): np.dtype(np.int32)} if self._wide else {}
        return [torch.from_numpy(np.array(x, widened.get(x.dtype, x.dtype))) for x in planes]

    def download(self, tensors: Sequence[Tensor], planes: Sequence[Plane]) -> None:
        """Copy tensors (rows, columns) into planes of the same types, or narrower."""
        for tensor, plane in zip(tensors, planes, strict=True):
            np.copyto(plane, tensor.cpu().numpy(), casting="unsafe" if self._wide else "same_kind")

    def uploading(self) -> AbstractContextManager[None]:
        """Around what is done to a source frame."""
        return contextlib.nullcontext()

    def computing(self, *sources: Tensor) -> AbstractContextManager[None]:
        """Around a step that reads `sources`."""
        return settings.onednn

    def downloading(self, ready: Ready) -> AbstractContextManager[None]:
        """Around what is done to an image after `mark` gave `ready`."""
        return contextlib.nullcontext()

    def mark(self) -> Ready:
        """A token of all steps so far being done."""
        return None

    def close(self) -> None:
        """Wait until nothing runs."""


class CudaTransfer:
    """Three streams of a GPU, and pinned memory out of torch's cache of it."""

    overlaps = True
    _flags = threading.Lock()
    """cuDNN's flags are the process's: one step is enqueued at a time, whatever node it is of."""

    def __init__(self, device: torch.device, *, tf32: bool) -> None:
        """Make the streams on `device`; `tf32`: steps in 32 bits may round to TF32."""
        self._device, self._tf32 = device, tf32
        self._up, self._compute, self._down = (torch.cuda.Stream(device) for _ in range(3))

    def upload(self, planes: Sequence[Plane]) -> list[Tensor]:
        """See `HostTransfer.upload`; only enqueued. Inside `uploading`."""
        moved: list[Tensor] = []
        for plane in planes:
            dtype = torch.from_numpy(np.empty(0, plane.dtype)).dtype
            pinned = torch.empty(plane.shape, dtype=dtype, device="cpu", pin_memory=True)
            np.copyto(pinned.numpy(), plane)
            moved.append(pinned.to(self._device, non_blocking=True))
        return moved

    def download(self, tensors: Sequence[Tensor], planes: Sequence[Plane]) -> None:
        """See `HostTransfer.download`; waits for this image only. Inside `downloading`."""
        pinned = [
            torch.empty(t.shape, dtype=t.dtype, device="cpu", pin_memory=True) for t in tensors
        ]
        for there, here in zip(tensors, pinned, strict=True):
            here.copy_(there, non_blocking=True)
        arrived = torch.cuda.Event()
        arrived.record(self._down)
        arrived.synchronize()
        for here, plane in zip(pinned, planes, strict=True):
            np.copyto(plane, here.numpy())

    def uploading(self) -> AbstractContextManager[None]:
        """See `HostTransfer.uploading`."""
        return torch.cuda.stream(self._up)

    @contextlib.contextmanager
    def computing(self, *sources: Tensor) -> Generator[None]:
        """See `HostTransfer.computing`; the step waits for all uploads so far."""
        self._compute.wait_stream(self._up)
        for source in sources:
            source.record_stream(self._compute)  # it may be dropped before the step has run
        with (
            self._flags,
            settings.cudnn(tf32=self._tf32),
            torch.cuda.stream(self._compute),
        ):
            yield

    @contextlib.contextmanager
    def downloading(self, ready: Ready) -> Generator[None]:
        """See `HostTransfer.downloading`."""
        if ready is not None:
            self._down.wait_event(ready)
        with torch.cuda.stream(self._down):
            yield

    def mark(self) -> Ready:
        """See `HostTransfer.mark`. Inside `computing`."""
        event = torch.cuda.Event()
        event.record(self._compute)
        return event

    def close(self) -> None:
        """See `HostTransfer.close`."""
        torch.cuda.synchronize(self._device)
        torch.cuda.empty_cache()
