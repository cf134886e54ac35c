"""This plugin and those that `vsanimesr upscale` uses.

VapourSynth keeps to itself why it did not load a plugin; `plugin_fault` finds out.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from vsanimesr.doctor.check import REINSTALL, Check, for_files, tried, version

_MANIFEST = "[VapourSynth Manifest V1]"
_SUFFIXES = (".so", ".dll", ".dylib")


def plugins() -> list[Check]:
    """Ours, and those that `vsanimesr upscale` uses."""
    import vapoursynth as vs

    ours = plugin(Path(vs.__file__).parent / "plugins" / "animesr")
    # Making a core loads every plugin: not while one of them kills the process.
    if "killed" in ours.why:
        return [ours]
    core: Any = vs.core
    return [
        ours,
        *tried("BestSource", lambda: source(core)),
        *tried("scene detector", lambda: scenes(core)),
    ]


def plugin(folder: Path) -> Check:
    """Whether `core.animesr` is there, and if not, why.

    Args:
        folder: Where VapourSynth looks for the plugin's library.
    """
    name, fault = "plugin", plugin_fault(folder)
    damaged = Check(name=name, state="fail", found="damaged", why=fault, advice=REINSTALL)
    if "killed" in fault:
        return damaged
    import vapoursynth as vs

    core: Any = vs.core
    if hasattr(core, "animesr"):
        return _loaded(folder, core, fault)
    if fault:
        return damaged
    library = _libraries(folder)[0]
    try:
        core.std.LoadPlugin(str(library))
    except vs.Error as error:
        why = str(error)
        return Check(name=name, state="fail", found="not loaded", why=why, advice=REINSTALL)
    return Check(
        name=name,
        state="fail",
        found="not loaded by itself, though it can be",
        why=f"{library} loads by hand: this core was made without autoloading",
        advice="do not disable autoloading",
    )


def _loaded(folder: Path, core: Any, fault: str) -> Check:  # noqa: ANN401
    import vapoursynth as vs

    try:
        version = core.animesr.Version()
    except vs.Error as error:
        why = str(error)
        return Check(name="plugin", state="fail", found="loaded", why=why, advice=REINSTALL)
    text = {key: _text(value) for key, value in version.items()}
    said = f"{text.pop('version', '?')} ({', '.join(f'{k} {v}' for k, v in text.items())})"
    if fault:  # it came from elsewhere, and may be another version
        return Check(name="plugin", state="warn", found=said, why=fault, advice=REINSTALL)
    extra = os.environ.get("VAPOURSYNTH_EXTRA_PLUGIN_PATH", "")
    copies = [p for p in Path(extra).rglob("*animesr*") if p.suffix in _SUFFIXES] if extra else []
    if copies:
        why = f"VAPOURSYNTH_EXTRA_PLUGIN_PATH holds another copy, which is refused: {copies[0]}"
        return Check(name="plugin", state="warn", found=said, why=why, advice="remove the copy")
    return Check(name="plugin", state="ok", found=said)


def plugin_fault(folder: Path) -> str:
    """What is wrong with the plugin's files; empty when VapourSynth can load them.

    Args:
        folder: Of the library and its `manifest.vs`.
    """
    libraries = _libraries(folder)
    if not libraries:
        return f"no library in {folder}: the package was installed without being built"
    manifest = folder / "manifest.vs"
    if manifest.is_file():
        first, *names = manifest.read_text("utf-8", "replace").split("\n")
        if first.rstrip("\r") != _MANIFEST:
            return f"{manifest} begins with {first!r}, wanted {_MANIFEST!r}"
        # VapourSynth appends the system's extension to each name (vscore.cpp, R81).
        if not {name.strip() for name in names} & {library.stem for library in libraries}:
            return f"{manifest} does not name {libraries[0].stem}"
    # In a process of its own: a truncated library may end the process that maps it.
    code = (
        "import ctypes, sys\ntry: ctypes.CDLL(sys.argv[1])\nexcept OSError as e: sys.exit(str(e))"
    )
    tried = subprocess.run(
        [sys.executable, "-c", code, str(libraries[0])],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    if tried.returncode < 0:
        return f"loading {libraries[0]} killed the process (signal {-tried.returncode})"
    return tried.stderr.strip() if tried.returncode else ""


def source(core: Any) -> Check:  # noqa: ANN401 (VapourSynth types plugins only with stubs)
    """BestSource, which `vsanimesr upscale` reads with."""
    if hasattr(core, "bs"):
        return Check(name="BestSource", state="ok", found=version("vapoursynth-bestsource"))
    return for_files("BestSource")


def scenes(core: Any) -> Check:  # noqa: ANN401
    """The detector of scene changes."""
    if hasattr(core, "scd"):
        found = version("vapoursynth-scenechange")
        return Check(name="scene detector", state="ok", found=found)
    return for_files("scene detector")


def _libraries(folder: Path) -> list[Path]:
    return sorted(p for p in folder.glob("*animesr*") if p.suffix in _SUFFIXES)


def _text(value: object) -> str:
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, (list, tuple)):
        return " ".join(map(_text, value))
    return str(value)
