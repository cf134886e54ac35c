"""ONNX Runtime's WebGPU provider: where it comes from, and whether a GPU is there for it.

It is built into the package `onnxruntime-webgpu`, or a plug-in, `onnxruntime-ep-webgpu`, for any
onnxruntime. Either way it runs on Dawn: Direct3D 12 on Windows, Metal on macOS, Vulkan on Linux.
"""

import importlib.util
import sys
from functools import cache

import onnxruntime as ort

import vsanimesr.engines.vulkan_device as vulkan_device
from vsanimesr.engines.onnx.providers import NAMES
from vsanimesr.engines.onnx.session import Place, has_half, try_out
from vsanimesr.errors import EngineError

PLUGIN = "onnxruntime_ep_webgpu"
"""Import name of the plug-in."""


def register(*, wanted: bool = False) -> None:
    """Make the plug-in's provider known to the runtime, where it is installed.

    Raises:
        EngineError: It is `wanted`, and the runtime does not take it, or it has no GPU.
    """
    if NAMES["webgpu"] in ort.get_available_providers() or not plugged():
        return
    try:
        _register()
    except EngineError:
        if wanted:
            raise
    if wanted and NAMES["webgpu"] not in ort.get_available_providers():
        raise EngineError(f"onnxruntime-ep-webgpu finds no GPU here; {why_none()}")


def plugged() -> bool:
    """Whether the plug-in is installed."""
    return importlib.util.find_spec(PLUGIN) is not None


@cache
def _register() -> None:
    plugin = importlib.import_module(PLUGIN)
    try:
        ort.register_execution_provider_library(PLUGIN, plugin.get_library_path())
    except Exception as error:
        raise EngineError(
            f"onnxruntime {ort.__version__} does not take the plug-in onnxruntime-ep-webgpu "
            f"({error}): pip install --upgrade onnxruntime onnxruntime-ep-webgpu"
        ) from error


def gpu() -> bool:
    """Whether WebGPU has a real GPU here, not one that is the processor in disguise.

    The runtime lists hardware only, but a display adapter without a driver is hardware too: on
    Linux, Vulkan has to know a GPU as well.
    """
    register()
    listed = any(
        device.ep_name == NAMES["webgpu"]
        and device.device.type == ort.OrtHardwareDeviceType.GPU
        and "is_virtual" not in device.device.metadata
        for device in ort.get_ep_devices()
    )
    return listed and (sys.platform != "linux" or any(not it.software for it in _vulkan()))


def device_name() -> str:
    """The device's name as far as it is known: Dawn prefers real GPUs, the first of them."""
    known = sorted(_vulkan(), key=lambda device: device.software)
    return known[0].name if known else "GPU"


def fault() -> str:
    """What keeps the device from computing, in the words of who complained; empty: nothing."""
    try:
        register(wanted=True)
        try_out([(NAMES["webgpu"], {})], Place("webgpu"))
    except EngineError as error:
        return " ".join(str(error).split())
    return ""


def half() -> bool:
    """Whether the device, which has no fault, computes with floats of 16 bits."""
    return has_half([(NAMES["webgpu"], {})], Place("webgpu"))


def why_none() -> str:
    """Why WebGPU has no device here and what helps, as far as can be told without trying."""
    if NAMES["webgpu"] not in ort.get_available_providers() and not plugged():
        return "neither onnxruntime-webgpu nor onnxruntime-ep-webgpu is installed"
    if sys.platform != "linux":
        return "update the GPU's driver"
    if known := _vulkan():
        names = ", ".join(device.name for device in known)
        if all(device.software for device in known):
            return f"Vulkan sees no GPU, only {names}: install the GPU's Vulkan driver"
        return f"Vulkan sees {names}, which WebGPU does not take: update its driver"
    return (
        "Vulkan sees no device: install its loader and the GPU's driver (on Debian libvulkan1 and "
        "mesa-vulkan-drivers, or NVIDIA's)"
    )


def _vulkan() -> list[vulkan_device.VulkanDevice]:
    return vulkan_device.devices() if sys.platform == "linux" else []
