"""What runs the network: one file a runtime, behind one small protocol.

Engines know nothing of VapourSynth, scenes or requests. An engine is made for one frame size; it
must give the same bytes for the same arguments, whatever ran before and in whichever thread.
"""

import importlib.util
import os
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from vsanimesr.colour import RGBS, Format
from vsanimesr.engines.cuda_device import devices
from vsanimesr.engines.protocol import Engine, Plane
from vsanimesr.errors import EngineError
from vsanimesr.strips import AUTO

__all__ = ["Engine", "Plane", "load", "pick_backend"]

NEEDS = {
    "torch": ("torch",),
    "onnx": ("onnxruntime", "onnx"),
    "openvino": ("openvino", "onnx"),
}
"""Backends, and the packages that each needs; the first one is its runtime."""


def load(
    backend: str,
    weights: Mapping[str, np.ndarray],
    *,
    width: int,
    height: int,
    source: Format = RGBS,
    target: Format = RGBS,
    device: str,
    precision: str,
    dither: bool = False,
    providers: str = "",
    compile: bool = False,
    strips: int = AUTO,
    memory: int = 0,
    cache: int = 0,
) -> Engine[Any, Any]:
    """Make an engine.

    Args:
        backend: `auto`, `torch`, `onnx` or `openvino`.
        weights: The network's tensors by their released names, float32.
        width: Columns of a source frame, 1 or more.
        height: Rows of a source frame, 1 or more.
        source: Format of the planes that are uploaded.
        target: Format of the planes that are written.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        precision: `auto`, `fp32`, `tf32`, `fp16` or `bf16`.
        dither: Ordered dithering where integers are written.
        providers: Of ONNX Runtime, such as `cuda` or `tensorrt,cuda`; empty: the best at hand.
        compile: Have torch compile the step.
        strips: Strips of a step; -1 chooses by memory, 0 is the whole frame. Torch only.
        memory: Bytes of the device that strips are chosen for; 0: all it has.
        cache: Bytes that the caller will keep in sources and states.

    Raises:
        EngineError: The runtime, the device or the precision is not to be had, or an option that
            the backend does not have.
    """
    name = pick_backend(device, precision, providers) if backend == "auto" else backend
    if name not in NEEDS:
        raise EngineError(f"backend={name}, wanted one of auto, {', '.join(NEEDS)}")
    _refuse("providers", providers, {"onnx"}, name)
    _refuse("compile", compile, {"torch"}, name)
    _refuse("strips", strips > 1, {"torch"}, name)
    make = partial(
        _engine(name),
        weights,
        width=width,
        height=height,
        source=source,
        target=target,
        device=device,
        precision=precision,
        dither=dither,
    )
    if name == "torch":
        return make(compile=compile, strips=strips, memory=memory, cache=cache)
    return make(providers=providers) if name == "onnx" else make()


def pick_backend(device: str, precision: str, providers: str) -> str:
    """The fastest backend that is installed and offers these: docs/performance.md.

    torch, then OpenVINO where a CPU will do, then ONNX Runtime, which is also taken when its
    providers are named. torch when nothing is installed, so that its absence is told.
    """
    if providers:
        return "onnx"
    here = [name for name, packages in NEEDS.items() if all(map(_installed, packages))]
    gpu = device.startswith("cuda") or (device == "auto" and bool(devices()))
    if gpu or precision not in ("auto", "fp32", "bf16"):
        here = [name for name in here if name != "openvino"]
    return next((name for name in ("torch", "openvino", "onnx") if name in here), "torch")


def _installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def _refuse(option: str, given: object, owners: set[str], name: str) -> None:
    if given and name not in owners:
        raise EngineError(
            f"{option}= is an option of backend={' and '.join(owners)}, and the backend is {name}"
        )


def _engine(name: str) -> Callable[..., Engine[Any, Any]]:
    """The class of a backend's engines.

    Raises:
        EngineError: Its packages are missing.
    """
    try:
        if name == "onnx":
            from vsanimesr.engines.onnx_engine import OnnxEngine

            return OnnxEngine
        if name == "openvino":
            from vsanimesr.engines.openvino_engine import OpenVinoEngine

            return OpenVinoEngine
        # Read when torch is loaded: threads that wait sleep, where they would spin and take their
        # time from decoders and encoders. Several times as fast beside them (docs/performance.md).
        os.environ.setdefault("OMP_WAIT_POLICY", "passive")
        from vsanimesr.engines.torch_engine import TorchEngine
    except ModuleNotFoundError as error:
        if error.name not in NEEDS[name]:
            raise
        raise EngineError(
            f"backend={name}, but {error.name} is not installed: "
            f"pip install 'vapoursynth-animesr[{name}]'"
        ) from error
    return TorchEngine
