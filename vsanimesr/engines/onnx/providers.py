"""Which of ONNX Runtime's execution providers run the network, and how they are set up.

Sources: ONNX Runtime's pages on the CUDA and the TensorRT execution provider.
"""

import hashlib
import importlib.metadata
import os
from collections.abc import Sequence
from dataclasses import dataclass

from vsanimesr import weights
from vsanimesr.engines.cuda_device import CudaDevice
from vsanimesr.errors import EngineError

NAMES = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}
"""What a user writes, and what the runtime calls it."""
PRECISIONS = {
    "cpu": ("fp32", "fp16"),
    "cuda": ("fp32", "tf32", "fp16"),
    "tensorrt": ("tf32", "fp16"),
}
"""What each provider computes in. No option keeps TensorRT from TF32, only the variable below."""
NO_TF32 = "NVIDIA_TF32_OVERRIDE"
"""Variable of the environment; 0 keeps NVIDIA's libraries from TF32."""
INSTALL = {
    "cpu": "pip install 'vapoursynth-animesr[onnx]'",
    "cuda": "pip uninstall onnxruntime, then pip install 'vapoursynth-animesr[onnx-gpu]'",
    "tensorrt": "pip uninstall onnxruntime, then pip install 'vapoursynth-animesr[onnx-gpu]' and "
    "TensorRT",
}

type Setting = tuple[str, dict[str, str]]
"""A provider as `InferenceSession` takes it: name and options."""


@dataclass(frozen=True)
class Choice:
    """Providers in the order in which they may take operators, and the device they are on."""

    names: tuple[str, ...]
    """Of `NAMES`."""
    index: int = 0
    """Of the GPU."""

    @property
    def gpu(self) -> bool:
        """Whether a GPU computes."""
        return self.names[0] != "cpu"


def choose(
    providers: str, device: str, available: Sequence[str], gpus: Sequence[CudaDevice]
) -> Choice:
    """Choose providers.

    Args:
        providers: Names of `NAMES` between commas, the preferred first; empty: CUDA where `device`,
            runtime and driver have it, else the CPU. TensorRT brings CUDA along, for colours.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        available: What `onnxruntime.get_available_providers` says.
        gpus: What `cuda_device.devices` says.

    Raises:
        EngineError: No such provider or device, or it is not there, or they contradict each other.
    """
    kind, index = _device(device)
    names = tuple(name.strip().lower() for name in providers.split(",") if name.strip())
    for name in names:
        if name not in NAMES:
            raise EngineError(f"providers={providers}, wanted names out of {', '.join(NAMES)}")
    if not names:
        usable = NAMES["cuda"] in available and index < len(gpus)
        names = ("cuda",) if kind == "cuda" or (kind == "auto" and usable) else ("cpu",)
    if "tensorrt" in names and "cuda" not in names:
        names += ("cuda",)
    names = tuple(dict.fromkeys(name for name in names if name != "cpu")) or ("cpu",)
    choice = Choice(names, index)
    if kind != "auto" and (kind == "cuda") != choice.gpu:
        raise EngineError(f"providers={providers} and device={device} contradict each other")
    for name in names:
        if NAMES[name] not in available:
            raise EngineError(
                f"provider {name}: the installed onnxruntime does not have it, only "
                f"{', '.join(short for short, long in NAMES.items() if long in available)}: "
                f"{INSTALL[name]}"
            )
    if choice.gpu and index >= len(gpus):
        found = f"there are {len(gpus)} CUDA devices, from cuda:0" if gpus else "there is none"
        raise EngineError(f"providers={','.join(names)} want GPU cuda:{index}, but {found}")
    return choice


def pick_precision(name: str, choice: Choice, capability: tuple[int, int], half: bool) -> str:
    """The precision called `name`; `auto` is fp16 on GPUs with tensor cores, else fp32.

    Raises:
        EngineError: The provider does not offer it.
    """
    first = choice.names[0]
    if name == "auto":
        fast = choice.gpu and (half or capability >= (7, 0))
        return "fp16" if fast or first == "tensorrt" else "fp32"
    offered = PRECISIONS[first]
    if first == "tensorrt" and os.environ.get(NO_TF32) == "0":
        offered = ("fp32", "fp16")
    if name not in offered:
        cure = f"use {' or '.join(offered)}"
        if name == "bf16":
            cure += ", or backend=torch or openvino"
        if first == "tensorrt" and name == "fp32":
            cure += f", or set {NO_TF32}=0 in the environment"
        raise EngineError(
            f"precision={name} is not offered by onnxruntime's provider {first}: {cure}"
        )
    return name


def settings(choice: Choice, precision: str) -> list[Setting]:
    """Providers and their options, without TensorRT: what colours run on.

    cuDNN's search for the fastest convolution is off, for it depends on timing.
    """
    if not choice.gpu:
        return [(NAMES["cpu"], {})]
    return [
        (
            NAMES["cuda"],
            {
                "device_id": str(choice.index),
                "use_tf32": str(int(precision == "tf32")),
                "cudnn_conv_algo_search": "HEURISTIC",
                "arena_extend_strategy": "kSameAsRequested",
            },
        )
    ]


def step_settings(
    choice: Choice, precision: str, graph: bytes, size: tuple[int, int], gpu: CudaDevice | None
) -> list[Setting]:
    """Providers and their options for the step; TensorRT keeps its engine in the user's cache.

    TensorRT does choose by timing, once for each engine: the cache keeps results the same.

    Raises:
        EngineError: The cache's folder cannot be made.
    """
    rest = settings(choice, precision)
    if choice.names[0] != "tensorrt":
        return rest
    facts = [hashlib.sha256(graph).hexdigest(), size, precision, *_versions()]
    facts += [gpu.name, gpu.capability] if gpu else []
    key = hashlib.sha256(repr(facts).encode()).hexdigest()
    folder = weights.cache() / "tensorrt" / key
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EngineError(
            f"{folder}: TensorRT's engine cannot be kept there ({error}); name another folder in "
            "the environment variable VSANIMESR_CACHE"
        ) from error
    options = {
        "device_id": str(choice.index),
        "trt_fp16_enable": str(precision == "fp16"),
        "trt_engine_cache_enable": "True",
        "trt_engine_cache_path": str(folder),
    }
    return [(NAMES["tensorrt"], options), *rest]


def _device(name: str) -> tuple[str, int]:
    kind, colon, index = name.partition(":")
    if kind not in ("auto", "cpu", "cuda") or (colon and (kind != "cuda" or not index.isdecimal())):
        raise EngineError(f"device={name}, wanted auto, cpu, cuda or cuda:N")
    return kind, int(index or 0)


def _versions() -> list[str]:
    """Of everything an engine depends on, as far as it is installed by wheels."""
    names = ("onnxruntime-gpu", "tensorrt", "tensorrt-cu12", "tensorrt-cu13")
    found: list[str] = []
    for name in names:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
