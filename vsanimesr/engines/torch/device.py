"""Devices of torch by the names that a user writes, and what to compute in on each.

CPUs, and NVIDIA's GPUs through CUDA, are what this package is made for. AMD's come through ROCm,
which calls itself cuda; Intel's are xpu, Apple's mps. On those nobody has promised the same bytes
in every run, nor measured what fp16 keeps there: nothing chooses `xpu` or `mps` but their names.
"""

import logging
from dataclasses import dataclass

import psutil
import torch

from vsanimesr.engines.choice import precision_on_cpu
from vsanimesr.errors import EngineError

log = logging.getLogger("vsanimesr")


@dataclass(frozen=True)
class Kind:
    """A kind of device."""

    title: str
    wanted: str
    """What has to be there."""
    numbered: bool = True
    """There may be several."""


KINDS = {
    "cuda": Kind("CUDA", "see `vsanimesr doctor`"),
    "xpu": Kind("an Intel GPU", "it wants torch's build for Intel GPUs (xpu) and their driver"),
    "mps": Kind("Metal", "it wants macOS on Apple silicon", numbered=False),
}
"""Besides the CPU."""


def pick_device(name: str) -> torch.device:
    """The device called `name`; `auto` is CUDA's first, or the CPU.

    Raises:
        EngineError: No such device.
    """
    if name == "auto":
        return torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")
    if name == "cpu":
        return torch.device("cpu")
    kind, colon, index = name.partition(":")
    known = KINDS.get(kind)
    if known is None or (colon and not (known.numbered and index.isdecimal())):
        wanted = "wanted auto, cpu, cuda, cuda:N, mps, xpu or xpu:N"
        if kind == "webgpu":
            wanted = "but backend=torch has none: use backend=onnx"
        raise EngineError(f"device={name}, {wanted}")
    count = _count(kind)
    if not count:
        raise EngineError(f"device={name}, but {known.title} cannot be used here: {known.wanted}")
    if int(index or 0) >= count:
        what = "CUDA devices" if kind == "cuda" else f"{kind} devices"
        raise EngineError(f"device={name}, but there are {count} {what}, from {kind}:0")
    return torch.device(kind, int(index or 0))


def pick_precision(name: str, device: torch.device, half: bool) -> str:
    """The fastest precision that keeps 50 dB to fp32 on the device, unless one is named.

    Measured in docs/architecture.md: fp16 keeps 60 dB and more on real clips, bf16 convolutions
    with image and state in 32 bits 52 and more. GPUs have run fp16 on tensor cores since compute
    capability 7.0. CPUs gain from bf16 only where they multiply it directly. A type that the CPU
    has no arithmetic for gives way to fp32, with a warning.

    Raises:
        EngineError: tf32 on another device than CUDA's.
    """
    if device.type == "cuda":
        if name != "auto":
            return name
        fast = torch.cuda.get_device_capability(device) >= (7, 0)
        return "fp16" if half or fast else "fp32"
    if name == "tf32":
        raise EngineError(
            f"precision=tf32 is a mode of NVIDIA GPUs, and the device is {device.type}: use fp32"
        )
    if name != "auto":
        if device.type != "cpu" or multiplies(name):
            return name
        log.warning(
            "Upscale: precision=%s, but this CPU has no arithmetic for it: fp32 is computed "
            "instead, which is exact and far faster here. Set precision='fp32' or leave it out",
            name,
        )
        return "fp32"
    if device.type != "cpu":
        return "fp32"
    return precision_on_cpu("torch") if torch.backends.mkldnn.is_available() else "fp32"


def multiplies(precision: str) -> bool:
    """Whether this CPU convolves in `precision` other than in oneDNN's reference kernels.

    Those are there for every type, to test its others, and a hundred times as slow.
    """
    if precision == "fp32":
        return True
    supported = getattr(torch.ops.mkldnn, f"_is_mkldnn_{precision}_supported", None)
    return torch.backends.mkldnn.is_available() and supported is not None and bool(supported())


def wide(device: torch.device) -> bool:
    """Whether unsigned integers of 16 bits go there in 32: CPU and CUDA alone surely cast them."""
    return device.type not in ("cpu", "cuda")


def device_name(device: torch.device) -> str:
    """For people."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return torch.xpu.get_device_name(device) if device.type == "xpu" else device.type


def total_memory(device: torch.device) -> int:
    """Bytes that the device has, used or not."""
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    if device.type == "xpu":
        return torch.xpu.get_device_properties(device).total_memory
    if device.type == "mps":
        return torch.mps.recommended_max_memory()
    return psutil.virtual_memory().total


def _count(kind: str) -> int:
    if kind == "mps":
        return int(torch.backends.mps.is_available())
    module = torch.cuda if kind == "cuda" else torch.xpu
    return module.device_count() if module.is_available() else 0
