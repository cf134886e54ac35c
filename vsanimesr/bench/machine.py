"""What the figures were measured on: hardware, versions, commit."""

import contextlib
import datetime
import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path

from vsanimesr.engines.choice import here
from vsanimesr.engines.cuda_device import devices


def best_device() -> str:
    """What the filter's `device="auto"` takes: a GPU with CUDA or WebGPU, else `cpu`."""
    return here().gpu or "cpu"


def header(device: str) -> str:
    """Date, hardware, versions and, in a checkout, the commit."""
    names = ("vapoursynth-animesr", "vapoursynth", "torch", "onnxruntime", "openvino", "ncnn")
    versions = [f"Python {platform.python_version()}"]
    for name in names:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions.append(f"{name} {importlib.metadata.version(name)}")
    hardware = f"{_processor()}, {os.cpu_count()} threads, {platform.system()}"
    if device != "cpu":
        hardware = f"{_gpu(device)}, {hardware}"
    parts = [str(datetime.date.today()), hardware, ", ".join(versions)]
    commit = _commit()
    if commit:
        parts.append(f"commit {commit}")
    if hasattr(os, "getloadavg"):
        parts.append(f"load {os.getloadavg()[0]:.1f}")
    return "; ".join(parts)


def _gpu(device: str) -> str:
    """Its name, or what it is called by."""
    kind, _, number = device.partition(":")
    if kind == "cuda":
        return devices()[int(number or 0)].name
    if kind == "webgpu":
        with contextlib.suppress(Exception):  # a runtime that is not there is told by its row
            from vsanimesr.engines.onnx.webgpu import device_name

            return f"WebGPU on {device_name()}"
    if kind == "xpu":
        with contextlib.suppress(Exception):
            import torch

            return torch.xpu.get_device_name(int(number or 0))
    return kind


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _commit() -> str:
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        return ""
    try:
        done = subprocess.run(
            ["git", "-C", str(root), "describe", "--always", "--dirty", "--exclude=*"],
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:
        return ""
    return done.stdout.strip()
