"""The network on PyTorch: any CPU, or an NVIDIA GPU through CUDA.

Letters: h, w rows and columns of a source frame; H, W the same after padding to multiples of 4.
"""

import contextlib
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from vsanimesr.engines.protocol import Plane
from vsanimesr.errors import EngineError
from vsanimesr.models import ALIGNMENT, FEATURES, IMAGE, SCALE
from vsanimesr.network import Network

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


@dataclass(frozen=True)
class State:
    """What a step leaves behind.

    `image` (1, 48, H, W) is the output before the pixel shuffle, `hidden` (1, 64, H, W).
    """

    image: torch.Tensor
    hidden: torch.Tensor


class TorchEngine:
    """Sources are (1, 3, H, W) tensors on the device, padded by replication, channels last.

    The convolutions run in `precision`. Sources, images and hidden states stay in 32 bits, except
    with fp16, where they are fp16 too: bf16 has 8 bits of mantissa, too few to hold an image.
    """

    def __init__(
        self,
        weights: Mapping[str, np.ndarray],
        *,
        width: int,
        height: int,
        device: str,
        precision: str,
        half: bool,
    ) -> None:
        """Load the network onto the device. Arguments and errors as `engines.load`."""
        self._device = pick_device(device)
        precision = pick_precision(precision, self._device, half)
        self._dtype = torch.float16 if precision == "fp16" else torch.float32
        self._height, self._width = height, width
        self._pad = (0, -width % ALIGNMENT, 0, -height % ALIGNMENT)
        padded = (width + self._pad[1]) * (height + self._pad[3])
        self.source_bytes = 3 * padded * self._dtype.itemsize
        self.state_bytes = (IMAGE + FEATURES) * padded * self._dtype.itemsize
        self.description = f"torch {torch.__version__}, {_device_name(self._device)}, {precision}"
        with self._running():
            network = Network.from_weights(weights).eval().requires_grad_(False)
            self._network = network.to(self._device, DTYPES[precision]).to(
                memory_format=torch.channels_last
            )
            shape = (1, IMAGE + FEATURES, height + self._pad[3], width + self._pad[1])
            zero = torch.zeros((), dtype=self._dtype, device=self._device).expand(shape)
            self._zero = State(zero[:, :IMAGE], zero[:, IMAGE:])

    def upload(self, planes: Sequence[Plane]) -> torch.Tensor:
        """See `Engine.upload`; a NaN becomes 0, for it would spread through the recurrence."""
        with self._running():
            rgb = np.stack(planes, axis=-1)  # (h, w, 3): a channels_last tensor as it lies
            source = torch.from_numpy(rgb).permute(2, 0, 1)[None].to(self._device, self._dtype)
            source = source.nan_to_num(nan=0.0).clamp_(0, 1)
            return F.pad(source, self._pad, mode="replicate")

    def step(
        self,
        previous: torch.Tensor,
        current: torch.Tensor,
        following: torch.Tensor,
        state: State | None,
    ) -> State:
        """See `Engine.step`."""
        state = state or self._zero
        with self._running():
            window = torch.cat((previous, current, following), dim=1)
            return State(*self._network.step(window, state.image, state.hidden))

    def write(self, state: State, planes: Sequence[Plane]) -> None:
        """See `Engine.write`."""
        with self._running():
            image = F.pixel_shuffle(state.image, SCALE)[0]
            image = image[:, : self._height * SCALE, : self._width * SCALE].cpu()
            for channel, plane in zip(image, planes, strict=True):
                torch.from_numpy(plane).copy_(channel)

    def close(self) -> None:
        """See `Engine.close`."""
        del self._network, self._zero
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

    @contextlib.contextmanager
    def _running(self) -> Generator[None]:
        """Inference on this device with kernels that give the same bytes every time.

        No autotuning (its choice depends on timing) and no TF32 (fp32 means fp32).
        """
        try:
            with (
                torch.inference_mode(),
                torch.backends.cudnn.flags(
                    enabled=True, benchmark=False, deterministic=True, allow_tf32=False
                ),
            ):
                yield
        except torch.OutOfMemoryError as error:
            torch.cuda.empty_cache()
            raise EngineError(self._out_of_memory()) from error
        except RuntimeError as error:
            if "allocate memory" not in str(error):
                raise
            raise EngineError(self._out_of_memory()) from error

    def _out_of_memory(self) -> str:
        what = f"out of memory on {self._device} at {self._width}x{self._height}"
        cures = "lower cache=, close other programs that use the device"
        if self._device.type == "cuda":
            total = torch.cuda.get_device_properties(self._device).total_memory / 2**20
            what += f" ({total:.0f} MB in all)"
            if self._dtype == torch.float32:
                cures += ", use precision='fp16'"
            cures += ", use device='cpu'"
        return f"{what}; {cures}, or upscale a smaller clip"


def pick_device(name: str) -> torch.device:
    """The device called `name`: `auto`, `cpu`, `cuda` or `cuda:N`.

    Raises:
        EngineError: No such device.
    """
    if name == "auto":
        return torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")
    kind, _, index = name.partition(":")
    if name == "cpu":
        return torch.device("cpu")
    if kind != "cuda" or (index and not index.isdecimal()) or name.endswith(":"):
        raise EngineError(f"device={name}, wanted auto, cpu, cuda or cuda:N")
    if not torch.cuda.is_available():
        raise EngineError(f"device={name}, but CUDA cannot be used here: see `vsanimesr doctor`")
    if int(index or 0) >= torch.cuda.device_count():
        raise EngineError(
            f"device={name}, but there are {torch.cuda.device_count()} CUDA devices, from cuda:0"
        )
    return torch.device("cuda", int(index or 0))


def pick_precision(name: str, device: torch.device, half: bool) -> str:
    """The fastest precision that keeps 50 dB to fp32 on the device, unless one is named.

    Measured in docs/architecture.md: fp16 keeps 60 dB and more on real clips, bf16 convolutions
    with image and state in 32 bits 52 and more. GPUs have run fp16 on tensor cores since compute
    capability 7.0. CPUs gain from bf16 only where they multiply it directly; fp16 is slow on them.
    """
    if device.type == "cuda":
        if name != "auto":
            return name
        fast = torch.cuda.get_device_capability(device) >= (7, 0)
        return "fp16" if half or fast else "fp32"
    if name == "auto":
        capabilities = torch.cpu.get_capabilities()
        fast = capabilities.get("amx_bf16") or capabilities.get("avx512_bf16")
        return "bf16" if fast and torch.backends.mkldnn.is_available() else "fp32"
    return name


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
