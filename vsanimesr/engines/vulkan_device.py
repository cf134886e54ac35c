"""Which GPUs Vulkan sees, from its loader: WebGPU runs on them on Linux and does not tell.

Source: the Vulkan specification, "Physical Device Enumeration" and "Initialization".
"""

import contextlib
import ctypes
import struct
import sys
from dataclasses import dataclass

INSTANCE_CREATE_INFO = 1
"""VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO."""
PROCESSOR = 4
"""VK_PHYSICAL_DEVICE_TYPE_CPU: drivers that compute on the processor, such as llvmpipe."""
MOST = 32
"""Devices asked for."""


@dataclass(frozen=True)
class VulkanDevice:
    """What a Vulkan driver offers."""

    name: str
    software: bool
    """It computes on the processor."""


class _CreateInfo(ctypes.Structure):
    """VkInstanceCreateInfo without layers and extensions."""

    _fields_ = (
        ("type", ctypes.c_int),
        ("next", ctypes.c_void_p),
        ("flags", ctypes.c_uint32),
        ("application", ctypes.c_void_p),
        ("layer_count", ctypes.c_uint32),
        ("layers", ctypes.c_void_p),
        ("extension_count", ctypes.c_uint32),
        ("extensions", ctypes.c_void_p),
    )


def devices() -> list[VulkanDevice]:
    """All devices of all Vulkan drivers, in the loader's order; none where there is no loader."""
    try:
        loader = ctypes.CDLL("vulkan-1.dll" if sys.platform == "win32" else "libvulkan.so.1")
    except OSError:
        return []
    instance = ctypes.c_void_p()
    info = _CreateInfo(type=INSTANCE_CREATE_INFO)
    if loader.vkCreateInstance(ctypes.byref(info), None, ctypes.byref(instance)):
        return []
    with contextlib.ExitStack() as stack:
        stack.callback(loader.vkDestroyInstance, instance, None)
        count, handles = ctypes.c_uint32(MOST), (ctypes.c_void_p * MOST)()
        if loader.vkEnumeratePhysicalDevices(instance, ctypes.byref(count), handles) < 0:
            return []
        return [_device(loader, handle) for handle in handles[: count.value]]


def _device(loader: ctypes.CDLL, handle: int | None) -> VulkanDevice:
    """From VkPhysicalDeviceProperties: four numbers, the type, 256 bytes of name, and more."""
    properties = ctypes.create_string_buffer(4096)
    loader.vkGetPhysicalDeviceProperties(ctypes.c_void_p(handle), properties)
    *_, kind, name = struct.unpack_from("=4Ii256s", properties)
    return VulkanDevice(name.partition(b"\0")[0].decode(errors="replace"), kind == PROCESSOR)
