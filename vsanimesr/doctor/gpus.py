"""GPUs that can be used, and why others cannot."""

from __future__ import annotations

import importlib
import os
import warnings
from typing import Any

from vsanimesr.doctor.check import ABSENT, Check, installed, unusable, version
from vsanimesr.engines.backends import install

_WEBGPU = ("onnxruntime-webgpu", "onnxruntime-ep-webgpu")


def cuda() -> Check:
    """Whether a GPU can be used, and if not, why."""
    name = "GPU"
    slow = "the CPU is used instead, which is far slower"
    try:
        torch: Any = importlib.import_module("torch")
    except Exception:  # noqa: BLE001 (`runtimes` says which)
        return Check(name=name, state="ok", found="unknown: PyTorch is not there to ask")
    if torch.version.cuda is None:
        found, advice = "PyTorch is built for the CPU only", "install PyTorch's CUDA build"
        return Check(name=name, state="warn", found=found, why=slow, advice=advice)
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        found, advice = "CUDA_VISIBLE_DEVICES hides every GPU", "unset it"
        return Check(name=name, state="warn", found=found, why=slow, advice=advice)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the exception says the same
            torch.cuda.init()
            names = [torch.cuda.get_device_name(n) for n in range(torch.cuda.device_count())]
            torch.zeros(1, device="cuda").add_(1).item()  # finds builds without this GPU's code
    except (RuntimeError, AssertionError) as error:
        text = " ".join(str(error).split())
        advice = "install or update NVIDIA's driver, if there is such a GPU"
        return Check(name=name, state="warn", found="no usable GPU", why=text, advice=advice)
    found = f"{', '.join(names)} (CUDA {torch.version.cuda})"
    return Check(name=name, state="ok", found=found)


def webgpu() -> Check:
    """Whether ONNX Runtime's WebGPU provider is there and has a device, and if not, why."""
    name = "WebGPU"
    brought = next((name for name in _WEBGPU if installed(name)), "")
    if not brought:
        advice = "pip install onnxruntime-ep-webgpu (beside onnxruntime), for GPUs of any make"
        return Check(name=name, state="ok", found=ABSENT, advice=advice)
    brought = f"{brought} {version(brought)}"
    try:
        from vsanimesr.engines.onnx import webgpu as provider
    except Exception as error:  # noqa: BLE001 (as engines.backends.engine_class)
        return unusable(name, error, install("onnx-webgpu"))
    if fault := provider.fault():
        found = f"{brought}: no device"
        return Check(name=name, state="warn", found=found, why=fault, advice=provider.why_none())
    found = f"{provider.device_name()} ({brought}; {'fp32, fp16' if provider.half() else 'fp32'})"
    if provider.gpu():
        return Check(name=name, state="ok", found=found)
    why = "it computes on the processor, or is none that the runtime knows: only providers= or "
    why += "device=webgpu take it, auto does not"
    return Check(name=name, state="warn", found=found, why=why, advice=provider.why_none())
