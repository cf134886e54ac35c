"""The network on PyTorch: any CPU, an NVIDIA GPU through CUDA, others as `device.py` says.

Letters: h, w rows and columns of a source frame; H, W the same after padding to multiples of 4.
"""

import contextlib
import logging
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from vsanimesr.colour import Colour
from vsanimesr.engines.lost import reporting_loss
from vsanimesr.engines.memory import advising
from vsanimesr.engines.protocol import Plane, Setup
from vsanimesr.engines.torch.colour import Reader, Writer
from vsanimesr.engines.torch.cpu import FusedStep, fits
from vsanimesr.engines.torch.cuda_graph import GraphedStep
from vsanimesr.engines.torch.device import (
    device_name,
    pick_device,
    pick_precision,
    total_memory,
    wide,
)
from vsanimesr.engines.torch.strips import Step, in_strips
from vsanimesr.engines.torch.transfer import CudaTransfer, HostTransfer, Ready
from vsanimesr.errors import EngineError
from vsanimesr.models import FEATURES, IMAGE, SCALE, WINDOW
from vsanimesr.network import Network
from vsanimesr.strips import AUTO, Budget, cut

DTYPES = {
    "fp32": torch.float32,
    "tf32": torch.float32,
    "fp16": torch.float16,
    "bf16": torch.bfloat16,
}

CHANNELS = 612
"""Channels at source resolution alive at the peak of `Network.step`: 192 into the first fusion, 224
out of it, 112 out of the second, 84 in the three branches."""
FUSED_CHANNELS = 300
"""The same of `FusedStep`, which never has the fusion's channels in full; with its tiles."""
IN_FLIGHT = 4
"""States that requests under way may hold beside the kept ones, for planning memory."""

log = logging.getLogger("vsanimesr")


@dataclass(frozen=True)
class State:
    """What a step leaves behind.

    `image` (1, 48, H, W) is the output before the pixel shuffle, `hidden` (1, 64, H, W). `ready`
    is the device's token of both being there.
    """

    image: torch.Tensor
    hidden: torch.Tensor
    ready: Ready = None


class TorchEngine:
    """Sources are (1, 3, H, W) tensors on the device, padded by replication, channels last.

    The convolutions run in `precision`. Sources and images stay in 32 bits, except with
    fp16, where they are fp16 too: bf16 has 8 bits of mantissa, too few to hold an image. Hidden
    states have the convolutions' type, for the next step reads them in it.
    """

    def __init__(
        self,
        weights: Mapping[str, np.ndarray],
        setup: Setup,
        *,
        compile: bool = False,
        strips: int = AUTO,
        memory: int = 0,
        cache: int = 0,
    ) -> None:
        """Load the network onto the device. Arguments and errors as `engines.load`."""
        self._setup = setup
        self._device = pick_device(setup.device)
        precision = pick_precision(setup.precision, self._device, setup.source.half)
        dtype = DTYPES[precision]
        self._dtype = torch.float16 if precision == "fp16" else torch.float32
        rows, columns = setup.rows, setup.columns
        self._pad = (0, columns - setup.width, 0, rows - setup.height)
        self.source_bytes = 3 * rows * columns * self._dtype.itemsize
        self._hidden_dtype = dtype  # the next step reads it in no other type
        pixel = IMAGE * self._dtype.itemsize + FEATURES * dtype.itemsize
        self.state_bytes = pixel * rows * columns
        fused = self._device.type == "cpu" and fits(dtype) and not compile
        self.budget = Budget(
            width=columns,
            height=rows,
            working=(FUSED_CHANNELS if fused else CHANNELS) * dtype.itemsize,
            state=self.state_bytes // (rows * columns),
            kept=cache + IN_FLIGHT * self.state_bytes,
            memory=memory or total_memory(self._device),
        )
        self._strips = self.budget.resolve(strips)
        self._advice = self._out_of_memory()
        self.description = f"torch {torch.__version__}, {device_name(self._device)}, {precision}"
        on_gpu = self._device.type == "cuda"
        tf32 = precision == "tf32"
        self._transfer = (
            CudaTransfer(self._device, tf32=tf32)
            if on_gpu
            else HostTransfer(wide=wide(self._device))
        )
        self.overlaps = self._transfer.overlaps
        with self._running():
            self._read = Reader(setup.source, self._device, self._dtype)
            self._write = Writer(
                setup.target, self._device, dither=setup.dither, wide=wide(self._device)
            )
            network = Network.from_weights(weights).eval().requires_grad_(False)
            if on_gpu:
                network.widen()
            network = network.to(self._device, dtype).to(memory_format=torch.channels_last)
            step: Step = FusedStep(network) if fused else network.step
            if compile:
                step = torch.compile(step, dynamic=False)
            self._step = in_strips(step, cut(rows, self._strips))
            if compile:
                self._compile()
            if on_gpu:
                self._capture()

    def _compile(self) -> None:
        """Run a step, which compiles it, so that a want of a compiler shows at once."""
        try:
            zero = self._zero_state()
            self._step(self._zeros(WINDOW, self._dtype), zero.image, zero.hidden)
        except Exception as error:
            raise EngineError(
                f"compile=1, but torch cannot compile the step: {str(error).splitlines()[0]}; "
                "install a C++ compiler (and on a GPU Triton), or leave compile=0"
            ) from error

    def _capture(self) -> None:
        with self._transfer.computing():
            try:
                window, zero = self._zeros(WINDOW, self._dtype), self._zero_state()
                self._step = GraphedStep(self._step, window, zero.image, zero.hidden)
            except torch.OutOfMemoryError:
                raise
            except RuntimeError as error:
                log.warning("Upscale: no CUDA graph, so steps are slower to launch: %s", error)

    def upload(self, planes: Sequence[Plane], colour: Colour) -> torch.Tensor:
        """See `Engine.upload`."""
        with self._running(), self._transfer.uploading():
            source = self._read(self._transfer.upload(planes), colour)
            if any(self._pad):
                source = F.pad(source, self._pad, mode="replicate")
            return source.contiguous(memory_format=torch.channels_last)

    def step(
        self,
        previous: torch.Tensor,
        current: torch.Tensor,
        following: torch.Tensor,
        state: State | None,
    ) -> State:
        """See `Engine.step`."""
        with self._running(), self._transfer.computing(previous, current, following):
            state = state or self._zero_state()
            window = torch.cat((previous, current, following), dim=1)
            image, hidden = self._step(window, state.image, state.hidden)
            return State(image, hidden, self._transfer.mark())

    def write(self, state: State, planes: Sequence[Plane], colour: Colour) -> None:
        """See `Engine.write`."""
        with self._running(), self._transfer.downloading(state.ready):
            image = F.pixel_shuffle(state.image, SCALE)
            image = image[:, :, : self._setup.height * SCALE, : self._setup.width * SCALE]
            self._transfer.download(self._write(image, colour), planes)

    def close(self) -> None:
        """See `Engine.close`."""
        del self._step
        self._transfer.close()

    def _zero_state(self) -> State:
        hidden = self._zeros(FEATURES, self._hidden_dtype)
        return State(self._zeros(IMAGE, self._dtype), hidden)

    def _zeros(self, channels: int, dtype: torch.dtype) -> torch.Tensor:
        shape = (1, channels, self.budget.height, self.budget.width)
        zeros = torch.zeros(shape, dtype=dtype, device=self._device)
        return zeros.contiguous(memory_format=torch.channels_last)

    @contextlib.contextmanager
    def _running(self) -> Generator[None]:
        """Inference, whatever a script has set for itself.

        What memory or device fail in becomes an error that says what would help.
        """
        exact = torch.autocast(self._device.type, enabled=False)
        with reporting_loss(), advising(self._advice), torch.inference_mode(), exact:
            try:
                yield
            except torch.OutOfMemoryError:
                if self._device.type == "cuda":
                    torch.cuda.empty_cache()
                raise

    def _out_of_memory(self) -> str:
        what = f"out of memory on {self._device} at {self._setup.width}x{self._setup.height}"
        cures = f"{self.budget.advice(self._strips)}, lower cache="
        cures += ", close other programs that use the device"
        if self._device.type != "cpu":
            what += f" ({total_memory(self._device) / 2**20:.0f} MB in all)"
            if self._dtype == torch.float32:
                cures += ", use precision='fp16'"
            cures += ", use device='cpu'"
        return f"{what}; {cures}, or upscale a smaller clip"
