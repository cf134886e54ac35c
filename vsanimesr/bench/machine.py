"""What the figures were measured on: hardware, versions, commit."""

import contextlib
import datetime
import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path

from vsanimesr.engines.cuda_device import devices


def best_device() -> str:
    """`cuda` where there is such a GPU, else `cpu`."""
    return "cuda" if devices() else "cpu"


def header(device: str) -> str:
    """Date, hardware, versions and, in a checkout, the commit."""
    names = ("vapoursynth-animesr", "vapoursynth", "torch", "onnxruntime", "openvino", "ncnn")
    versions = [f"Python {platform.python_version()}"]
    for name in names:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions.append(f"{name} {importlib.metadata.version(name)}")
    hardware = f"{_processor()}, {os.cpu_count()} threads, {platform.system()}"
    if device.startswith("cuda"):
        hardware = f"{devices()[int(device.partition(':')[2] or 0)].name}, {hardware}"
    parts = [str(datetime.date.today()), hardware, ", ".join(versions)]
    commit = _commit()
    if commit:
        parts.append(f"commit {commit}")
    if hasattr(os, "getloadavg"):
        parts.append(f"load {os.getloadavg()[0]:.1f}")
    return "; ".join(parts)


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
