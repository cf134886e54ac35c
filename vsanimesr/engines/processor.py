"""What the processor has that decides how fast a backend is."""

import os
import platform
from functools import cache

from archspec.cpu import detect

KINDS = {
    "amx": "AMX",
    "avx512_bf16": "AVX512 and BF16",
    "avx512": "AVX512",
    "avx2": "AVX2",
    "arm": "ARM",
}
"""From the most able on, with what people call it. Any other x86 counts as `avx2`."""
CAPS = {
    "AVX512_CORE_BF16": "avx512_bf16",
    "AVX512_CORE_FP16": "avx512_bf16",
    "AVX512_CORE_VNNI": "avx512",
    "AVX512_CORE": "avx512",
    "AVX2_VNNI_2": "avx2",
    "AVX2_VNNI": "avx2",
    "AVX2": "avx2",
    "AVX": "avx2",
    "SSE41": "avx2",
}
"""Values of ONEDNN_MAX_CPU_ISA that keep torch and OpenVINO from what the processor has (oneDNN's
pages, "CPU Dispatcher Control")."""


def processor() -> str:
    """One of `KINDS`, at most what the variable ONEDNN_MAX_CPU_ISA allows."""
    found = kind(platform.machine().lower(), _features())
    cap = CAPS.get(os.environ.get("ONEDNN_MAX_CPU_ISA", "").upper(), found)
    return max(found, cap, key=list(KINDS).index) if found != "arm" else found


def kind(machine: str, features: frozenset[str]) -> str:
    """One of `KINDS`.

    Args:
        machine: The architecture, as `platform.machine` has it, in lower case.
        features: As Linux calls them.
    """
    if machine.startswith(("arm", "aarch")):
        return "arm"
    if "amx_bf16" in features:
        return "amx"
    if "avx512_bf16" in features:
        return "avx512_bf16"
    return "avx512" if "avx512bw" in features else "avx2"


def has_fma() -> bool:
    """AVX2 with fused multiplications, or the like on ARM."""
    if platform.machine().lower() in ("aarch64", "arm64"):
        return True
    return {"avx2", "fma"} <= _features()


def has_avx512() -> bool:
    """Vectors of 512 bits, if the variable ONEDNN_MAX_CPU_ISA allows them."""
    return processor() in ("amx", "avx512_bf16", "avx512") and "avx512f" in _features()


@cache
def _features() -> frozenset[str]:
    return frozenset(detect.detected_info().features)
