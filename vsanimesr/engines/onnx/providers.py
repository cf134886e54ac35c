"""Which of ONNX Runtime's execution providers run the network, and how they are set up.

Sources: ONNX Runtime's pages on the CUDA and the TensorRT execution provider.
"""

import hashlib
import importlib.metadata
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from vsanimesr import weights
from vsanimesr.engines.cuda_device import CudaDevice
from vsanimesr.errors import EngineError

NAMES = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "webgpu": "WebGpuExecutionProvider",
}
"""What a user writes, and what the runtime calls it."""
PRECISIONS = {
    "cpu": ("fp32", "fp16"),
    "cuda": ("fp32", "tf32", "fp16"),
    "tensorrt": ("tf32", "fp16"),
    "webgpu": ("fp32", "fp16"),
}
"""What each provider computes in. No option keeps TensorRT from TF32, only the variable below."""
NO_TF32 = "NVIDIA_TF32_OVERRIDE"
"""Variable of the environment; 0 keeps NVIDIA's libraries from TF32."""
INSTALL = {
    "cpu": "pip install 'vapoursynth-animesr[onnx]'",
    "cuda": "pip uninstall onnxruntime, then pip install 'vapoursynth-animesr[onnx-gpu]'",
    "tensorrt": "pip uninstall onnxruntime, then pip install 'vapoursynth-animesr[onnx-gpu]' and "
    "TensorRT",
    "webgpu": "pip install onnxruntime-ep-webgpu, which works beside onnxruntime; or pip uninstall "
    "onnxruntime, then pip install 'vapoursynth-animesr[onnx-webgpu]'",
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
    def device(self) -> str:
        """What the tensors lie on: `cpu`, `cuda` or `webgpu`."""
        return {"tensorrt": "cuda"}.get(self.names[0], self.names[0])


def choose(
    providers: str,
    device: str,
    available: Sequence[str],
    gpus: Sequence[CudaDevice],
    webgpu: Callable[[], bool],
) -> Choice:
    """Choose providers.

    Args:
        providers: Names of `NAMES` between commas, the preferred first; empty: CUDA where `device`,
            runtime and driver have it, else WebGPU where there is a GPU for it, else the CPU.
            TensorRT brings CUDA along, for colours; WebGPU shares its tensors with nobody.
        device: `auto`, `cpu`, `cuda`, `cuda:N` or `webgpu`.
        available: What `onnxruntime.get_available_providers` says.
        gpus: What `cuda_device.devices` says.
        webgpu: What `webgpu.gpu` says: whether there is a GPU for it.

    Raises:
        EngineError: No such provider or device, or it is not there, or they contradict each other.
    """
    kind, index = _device(device)
    names = tuple(name.strip().lower() for name in providers.split(",") if name.strip())
    for name in names:
        if name not in NAMES:
            raise EngineError(f"providers={providers}, wanted names out of {', '.join(NAMES)}")
    if not names:
        names = (kind,)
        if kind == "auto":
            names = ("cpu",)
            if NAMES["cuda"] in available and gpus:
                names = ("cuda",)
            elif NAMES["webgpu"] in available and webgpu():
                names = ("webgpu",)
    if "tensorrt" in names and "cuda" not in names:
        names += ("cuda",)
    names = tuple(dict.fromkeys(name for name in names if name != "cpu")) or ("cpu",)
    choice = Choice(names, index)
    if "webgpu" in names and len(names) > 1:
        raise EngineError(f"providers={providers}: webgpu goes with no other provider of a GPU")
    if kind not in ("auto", choice.device):
        raise EngineError(f"providers={providers} and device={device} contradict each other")
    for name in names:
        if NAMES[name] not in available:
            raise EngineError(
                f"provider {name}: the installed onnxruntime does not have it, only "
                f"{', '.join(short for short, long in NAMES.items() if long in available)}: "
                f"{INSTALL[name]}"
            )
    if choice.device == "cuda" and index >= len(gpus):
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
        # WebGPU adds up fp16 in fp16, and nobody has measured yet what that keeps.
        fast = choice.device == "cuda" and (half or capability >= (7, 0))
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
    if choice.device != "cuda":
        return [(NAMES[choice.device], {})]
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
    kinds = ("auto", "cpu", "cuda", "webgpu")
    if kind not in kinds or (colon and (kind != "cuda" or not index.isdecimal())):
        raise EngineError(f"device={name}, wanted auto, cpu, cuda, cuda:N or webgpu")
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
