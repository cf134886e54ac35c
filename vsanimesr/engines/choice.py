"""What `backend="auto"` and `precision="auto"` take: the fastest that keeps 50 dB to fp32.

On a CPU that is read off a table of figures. On a GPU the backend follows from the device, and its
engine picks the precision, for it knows what the GPU multiplies.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass

import vsanimesr.engines.vulkan_device as vulkan_device
from vsanimesr.engines.backends import BACKENDS
from vsanimesr.engines.cuda_device import devices
from vsanimesr.engines.processor import KINDS, processor

type Pair = tuple[str, str]
"""Backend and precision."""

FIGURES: Mapping[str, Mapping[Pair, float | None]] = {
    "amx": {
        ("torch", "bf16"): 142,
        ("openvino", "bf16"): 149,
        ("torch", "fp32"): 761,
        ("openvino", "fp32"): 761,
        ("onnx", "fp32"): 794,
        ("ncnn", "fp32"): None,
        ("native", "fp32"): None,
    },
    "avx512_bf16": {
        ("native", "fp32"): 461,
        ("torch", "bf16"): 623,
        ("openvino", "bf16"): 623,
        ("ncnn", "fp32"): 610,
        ("torch", "fp32"): 1210,
        ("openvino", "fp32"): 1240,
        ("onnx", "fp32"): 1249,
    },
    "avx512": {
        ("native", "fp32"): 470,
        ("ncnn", "fp32"): 610,
        ("torch", "fp32"): 1210,
        ("openvino", "fp32"): 1240,
        ("onnx", "fp32"): 1249,
    },
    "avx2": {
        ("native", "fp32"): 648,
        ("ncnn", "fp32"): 1192,
        ("torch", "fp32"): 1734,
        ("openvino", "fp32"): 1810,
        ("onnx", "fp32"): 1894,
    },
    "arm": {
        ("ncnn", "fp32"): None,
        ("native", "fp32"): None,
        ("torch", "fp32"): None,
        ("openvino", "fp32"): None,
        ("onnx", "fp32"): None,
    },
}
"""Milliseconds of a step at 320x180 on a CPU of each kind, all threads together, of one machine
for each kind (docs/performance.md). None: not measured; such pairs come last, in this order."""
KEEPING_50_DB = ("fp32", "bf16")
"""Precisions on a CPU that `auto` may take (docs/architecture.md)."""
TIE = 1.05
"""Times no further apart are equal: fp32 is taken rather than bf16, and then what stands first."""
ON_GPU = {
    "cuda": ("torch", "onnx"),
    "webgpu": ("onnx",),
    "mps": ("torch",),
    "xpu": ("torch",),
}
"""Backends that run on each kind of GPU, the preferred first."""
GPU_PRECISIONS = {
    "cuda": ("auto", "fp32", "tf32", "fp16", "bf16"),
    "webgpu": ("auto", "fp32", "fp16"),
}
"""What keeps `device="auto"` on the GPU; for anything else the CPU is taken."""


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What the choice looks at."""

    processor: str
    """Of `processor.KINDS`."""
    installed: frozenset[str]
    """Of `BACKENDS`."""
    gpu: str = ""
    """What `device="auto"` means: `cuda`, `webgpu`, or empty where there is no such GPU."""


@dataclass(frozen=True)
class Choice:
    """What is taken, and why."""

    backend: str
    precision: str
    """`auto`: the engine picks it by the GPU."""
    why: str


def choose(
    machine: Machine,
    *,
    backend: str = "auto",
    device: str = "auto",
    precision: str = "auto",
    needs: frozenset[str] = frozenset(),
) -> Choice:
    """Choose what the arguments leave open.

    What nothing here can do is left for a backend to refuse: it says what is missing.

    Args:
        machine: What there is.
        backend: `auto` or one of `BACKENDS`.
        device: As `Options.device`.
        precision: As `Options.precision`.
        needs: Options that are asked for and that only some backends have (`Backend.options`).
    """
    if backend == "auto" and "providers" in needs:
        return Choice("onnx", precision, "providers are ONNX Runtime's")
    if "providers" in needs:
        return Choice(backend, precision, "it is named")
    owners = [name for name in BACKENDS if needs <= BACKENDS[name].options]
    wanted = owners if backend == "auto" else [backend]
    allowed = [name for name in wanted if name in machine.installed]
    gpu = device.partition(":")[0]
    if gpu == "auto":
        gpu = machine.gpu if precision in GPU_PRECISIONS.get(machine.gpu, ()) else ""
    if gpu in ON_GPU:
        able = [name for name in ON_GPU[gpu] if name in allowed]
        if able:
            return Choice(able[0], precision, f"runs on the GPU ({gpu})")
        if device != "auto":
            return Choice(_named(backend, ON_GPU[gpu][0]), precision, f"device={device}")
    precisions = KEEPING_50_DB if precision == "auto" else (precision,)
    figures = FIGURES[machine.processor]
    able = [pair for pair in figures if pair[0] in allowed and pair[1] in precisions]
    if not able:
        first = next(iter(allowed), "torch")
        return Choice(_named(backend, first), precision, "nothing installed has it")
    return _fastest({pair: figures[pair] for pair in able}, KINDS[machine.processor])


def _fastest(figures: Mapping[Pair, float | None], kind: str) -> Choice:
    measured = {pair: ms for pair, ms in figures.items() if ms}
    if not measured:
        return Choice(*next(iter(figures)), f"nothing was measured yet on a CPU with {kind}")
    least = min(measured.values())
    near = [pair for pair, ms in measured.items() if ms <= TIE * least]
    taken = min(near, key=lambda pair: pair[1] != "fp32")
    others = sorted((ms, pair) for pair, ms in measured.items() if pair != taken)
    said = ", ".join(f"{' '.join(pair)} {ms:.0f}" for ms, pair in others)
    why = f"{measured[taken]:.0f} ms a step on a CPU with {kind}" + (f"; {said}" if said else "")
    return Choice(*taken, why)


def _named(backend: str, otherwise: str) -> str:
    return otherwise if backend == "auto" else backend


def chosen(
    *,
    backend: str,
    device: str,
    precision: str,
    providers: str = "",
    compile: bool = False,
    strips: int = 0,
) -> Choice:
    """What is taken on this machine for these arguments of `engines.load`."""
    asked = {"providers": bool(providers), "compile": compile, "strips": strips > 1}
    needs = frozenset(option for option, given in asked.items() if given)
    return choose(here(device), backend=backend, device=device, precision=precision, needs=needs)


def precision_on_cpu(backend: str) -> str:
    """What `precision="auto"` means for a backend on this CPU."""
    machine = Machine(processor=processor(), installed=frozenset((backend,)))
    return choose(machine, backend=backend, device="cpu").precision


def here(device: str = "auto") -> Machine:
    """What there is on this machine, as far as `device` leaves it open."""
    installed = frozenset(name for name, backend in BACKENDS.items() if backend.installed)
    gpu = ""
    if device == "auto":
        gpu = "cuda" if devices() else "webgpu" if "onnx" in installed and _webgpu() else ""
    return Machine(processor=processor(), installed=installed, gpu=gpu)


def _webgpu() -> bool:
    try:
        if sys.platform == "linux" and all(it.software for it in vulkan_device.devices()):
            return False  # told without loading a runtime, which takes a second
        from vsanimesr.engines.onnx import webgpu

        return webgpu.gpu()
    except Exception:  # noqa: BLE001 (what a damaged package raises is told when it is asked for)
        return False
