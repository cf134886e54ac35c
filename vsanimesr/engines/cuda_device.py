"""Facts about an NVIDIA GPU, from the driver itself, for runtimes that do not tell them.

Source: CUDA Driver API, sections "Device Management" and "Initialization".
"""

import ctypes
import sys
from dataclasses import dataclass

MAJOR, MINOR = 75, 76
"""CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR."""


@dataclass(frozen=True)
class CudaDevice:
    """An NVIDIA GPU."""

    name: str
    capability: tuple[int, int]
    """Compute capability; tensor cores multiply fp16 from (7, 0) on."""
    memory: int
    """Bytes it has, used or not."""


def devices() -> list[CudaDevice]:
    """All GPUs that this process may use, in CUDA's order; none where there is no driver."""
    try:
        driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return []
    count = ctypes.c_int()
    if driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count)):
        return []
    return [_device(driver, index) for index in range(count.value)]


def _device(driver: ctypes.CDLL, index: int) -> CudaDevice:
    handle, value, memory = ctypes.c_int(), ctypes.c_int(), ctypes.c_size_t()
    name = ctypes.create_string_buffer(256)
    driver.cuDeviceGet(ctypes.byref(handle), index)
    driver.cuDeviceGetName(name, len(name), handle)
    driver.cuDeviceTotalMem_v2(ctypes.byref(memory), handle)
    capability: list[int] = []
    for attribute in (MAJOR, MINOR):
        driver.cuDeviceGetAttribute(ctypes.byref(value), attribute, handle)
        capability.append(value.value)
    return CudaDevice(name.value.decode(), (capability[0], capability[1]), memory.value)
