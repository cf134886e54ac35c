"""Python, VapourSynth and what belongs to them."""

from __future__ import annotations

import importlib.util
import platform
import shutil
import subprocess
import sys
from pathlib import Path

from vsanimesr.doctor.check import ABSENT, Check, output, version

LEAST_PYTHON = (3, 12)
LEAST_VAPOURSYNTH = 80


def python() -> Check:
    """The interpreter's version."""
    version = f"{platform.python_version()} ({sys.executable})"
    if sys.version_info < LEAST_PYTHON:
        wanted = ".".join(map(str, LEAST_PYTHON))
        return Check(name="Python", state="fail", found=version, advice=f"use {wanted} or later")
    return Check(name="Python", state="ok", found=version)


def vapoursynth() -> Check:
    """VapourSynth's version, without making a core."""
    name, advice = "VapourSynth", f"pip install 'vapoursynth>={LEAST_VAPOURSYNTH}'"
    try:
        import vapoursynth as vs
    except ImportError as error:
        return Check(name=name, state="fail", found="absent", why=str(error), advice=advice)
    major = int(vs.__version__.release_major)
    if major < LEAST_VAPOURSYNTH:
        why = f"the plugin is made for R{LEAST_VAPOURSYNTH} and later"
        return Check(name=name, state="fail", found=f"R{major}", why=why, advice=advice)
    return Check(name=name, state="ok", found=f"R{major}")


def vspipe() -> Check:
    """The command that renders scripts."""
    beside = Path(sys.executable).parent
    path = shutil.which("vspipe")
    if path is None:
        there = shutil.which("vspipe", path=str(beside))
        advice = "pip install vapoursynth"
        if there:
            # By full path it finds its Python only after `vapoursynth config`.
            advice = f"put {beside} first on PATH, or run `vapoursynth config` once"
        return Check(name="vspipe", state="warn", found="not on PATH", advice=advice)
    try:
        said = output(path, "--version")
    except (OSError, subprocess.SubprocessError) as error:
        why = (getattr(error, "stderr", "") or str(error)).strip()
        advice = f"put {beside} first on PATH, or run `vapoursynth config` once"
        return Check(name="vspipe", state="fail", found=path, why=why, advice=advice)
    core = next((line for line in said.splitlines() if line.startswith("Core")), "")
    return Check(name="vspipe", state="ok", found=f"{core} ({path})".lstrip())


def jetpack() -> Check:
    """vs-jetpack, whose scalers this package can be one of."""
    there = importlib.util.find_spec("vsscale") is not None
    found = version("vsjetpack") if there else ABSENT
    return Check(name="vs-jetpack", state="ok", found=found)
