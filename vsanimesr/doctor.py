"""Is the installation sound, and if not, what is wrong and what helps?

VapourSynth keeps to itself why it did not load a plugin; `plugin_fault` finds out.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from vsanimesr.engines.backends import BACKENDS, install
from vsanimesr.engines.choice import choose, here
from vsanimesr.errors import EncodeError, WeightsError, brief

if TYPE_CHECKING:
    from collections.abc import Callable

LEAST_PYTHON = (3, 12)
LEAST_VAPOURSYNTH = 80
ABSENT = "absent (optional)"
_MANIFEST = "[VapourSynth Manifest V1]"
_SUFFIXES = (".so", ".dll", ".dylib")
_WEBGPU = ("onnxruntime-webgpu", "onnxruntime-ep-webgpu")
_ONNXRUNTIMES = ("onnxruntime", "onnxruntime-gpu", "onnxruntime-webgpu")
_REINSTALL = "pip install --force-reinstall --no-deps vapoursynth-animesr"
_ENCODE = "pip install 'vapoursynth-animesr[encode]'"


@dataclass(frozen=True, kw_only=True)
class Check:
    """One finding."""

    name: str
    """What was looked at."""
    state: Literal["ok", "warn", "fail"]
    """`warn`: something is slower or missing, yet `core.animesr.Upscale` works."""
    found: str
    """What is there."""
    why: str = ""
    """Why that matters, or the cause in the words of who complained."""
    advice: str = ""
    """What to do."""


def checks() -> list[Check]:
    """Look at everything this package needs or can use; takes a few seconds."""
    found = [*_tried("Python", python), *_tried("VapourSynth", vapoursynth, "fail")]
    if found[-1].state != "fail":
        found += _tried("plugin", plugins, "fail")
    for name, look in (
        ("runtimes", runtimes),
        ("GPU", cuda),
        ("WebGPU", webgpu),
        ("auto", auto),
        ("weights", weights),
        ("ffmpeg", ffmpeg),
        ("av, tqdm", modules),
        ("vspipe", vspipe),
        ("vs-jetpack", jetpack),
    ):
        found += _tried(name, look)
    return found


def _tried(
    name: str, look: Callable[[], Check | list[Check]], state: Literal["warn", "fail"] = "warn"
) -> list[Check]:
    """What a check finds; that it failed itself is a finding, too, and no end of the others."""
    try:
        found = look()
    except Exception as error:  # noqa: BLE001 (whatever a damaged installation raises)
        why = brief(f"{type(error).__name__}: {error}", 300)
        advice = "unforeseen: install it again, and report it if that does not help"
        return [Check(name=name, state=state, found="cannot be checked", why=why, advice=advice)]
    return found if isinstance(found, list) else [found]


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
        *_tried("BestSource", lambda: source(core)),
        *_tried("scene detector", lambda: scenes(core)),
    ]


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


def plugin(folder: Path) -> Check:
    """Whether `core.animesr` is there, and if not, why.

    Args:
        folder: Where VapourSynth looks for the plugin's library.
    """
    name, fault = "plugin", plugin_fault(folder)
    damaged = Check(name=name, state="fail", found="damaged", why=fault, advice=_REINSTALL)
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
        return Check(name=name, state="fail", found="not loaded", why=why, advice=_REINSTALL)
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
        return Check(name="plugin", state="fail", found="loaded", why=why, advice=_REINSTALL)
    text = {key: _text(value) for key, value in version.items()}
    said = f"{text.pop('version', '?')} ({', '.join(f'{k} {v}' for k, v in text.items())})"
    if fault:  # it came from elsewhere, and may be another version
        return Check(name="plugin", state="warn", found=said, why=fault, advice=_REINSTALL)
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
        return Check(name="BestSource", state="ok", found=_version("vapoursynth-bestsource"))
    return _for_files("BestSource")


def scenes(core: Any) -> Check:  # noqa: ANN401
    """The detector of scene changes."""
    if hasattr(core, "scd"):
        found = _version("vapoursynth-scenechange")
        return Check(name="scene detector", state="ok", found=found)
    return _for_files("scene detector")


def runtimes() -> list[Check]:
    """What can run the network: one of them is enough."""
    found = [torch(), onnxruntime(), openvino(), ncnn()]
    if any(check.state == "ok" and check.found != ABSENT for check in found):
        return found
    return [replace(check, state="fail") for check in found]


def torch() -> Check:
    """PyTorch: CPUs and NVIDIA GPUs."""
    return _runtime("PyTorch", "torch", lambda module: str(module.__version__))


def onnxruntime() -> Check:
    """ONNX Runtime, with the providers it is built with."""

    def said(module: Any) -> str:  # noqa: ANN401
        providers = (name.removesuffix("ExecutionProvider") for name in module.get_all_providers())
        built = set(module.get_available_providers())
        here = [name for name in providers if f"{name}ExecutionProvider" in built]
        return f"{module.__version__} ({', '.join(here)})"

    found = _runtime("ONNX Runtime", "onnx", said)
    several = [name for name in _ONNXRUNTIMES if _installed(name)]
    if len(several) < 2:
        return found
    why = f"{' and '.join(several)} write into the same folder: the last one installed is seen"
    advice = f"pip uninstall -y {' '.join(several)}, then install the extra that you want"
    return replace(found, state="warn", why=why, advice=advice)


def openvino() -> Check:
    """OpenVINO: CPUs, fastest where they multiply bf16."""
    return _runtime("OpenVINO", "openvino", lambda module: module.__version__.partition("-")[0])


def ncnn() -> Check:
    """ncnn: CPUs, fastest in fp32 where they have no AMX."""
    return _runtime("ncnn", "ncnn", lambda module: str(module.__version__))


def _runtime(name: str, backend: str, said: Callable[[Any], str]) -> Check:
    """Look at a backend: its runtime, and what else it needs."""
    module, *rest = BACKENDS[backend].packages
    advice = install(backend)
    try:
        found = said(importlib.import_module(module))
    except ModuleNotFoundError as error:
        if error.name == module:
            return Check(name=name, state="ok", found=ABSENT, advice=advice)
        return _unusable(name, error, advice)
    except Exception as error:  # noqa: BLE001 (such as a library that does not load)
        return _unusable(name, error, advice)
    if missing := [package for package in rest if importlib.util.find_spec(package) is None]:
        why = f"{module} {found} is there, but not {', '.join(missing)}"
        return Check(name=name, state="warn", found="unusable", why=why, advice=advice)
    return Check(name=name, state="ok", found=found)


def _unusable(name: str, error: Exception, advice: str) -> Check:
    why = brief(f"{type(error).__name__}: {error}", 300)
    return Check(name=name, state="warn", found="unusable", why=why, advice=advice)


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
    brought = next((name for name in _WEBGPU if _installed(name)), "")
    if not brought:
        advice = "pip install onnxruntime-ep-webgpu (beside onnxruntime), for GPUs of any make"
        return Check(name=name, state="ok", found=ABSENT, advice=advice)
    brought = f"{brought} {_version(brought)}"
    try:
        from vsanimesr.engines.onnx import webgpu as provider
    except (ImportError, OSError) as error:
        return _unusable(name, error, install("onnx-webgpu"))
    if fault := provider.fault():
        found = f"{brought}: no device"
        return Check(name=name, state="warn", found=found, why=fault, advice=provider.why_none())
    found = f"{provider.device_name()} ({brought}; {'fp32, fp16' if provider.half() else 'fp32'})"
    if provider.gpu():
        return Check(name=name, state="ok", found=found)
    why = "it computes on the processor, or is none that the runtime knows: only providers= or "
    why += "device=webgpu take it, auto does not"
    return Check(name=name, state="warn", found=found, why=why, advice=provider.why_none())


def auto() -> Check:
    """What `backend="auto"` takes here and why, and what would be faster."""
    machine = here()
    if not machine.installed:
        return Check(name="auto", state="ok", found="nothing: no runtime is installed")
    taken, best = choose(machine), choose(replace(machine, installed=frozenset(BACKENDS)))
    precision = "precision by the GPU" if taken.precision == "auto" else taken.precision
    faster = best.backend != taken.backend
    return Check(
        name="auto",
        state="ok",
        found=f"{taken.backend}, {precision}",
        why=taken.why,
        advice=f"{install(best.backend)} for {best.backend}: {best.why}" if faster else "",
    )


def weights() -> list[Check]:
    """The released weights: there and intact?"""
    from vsanimesr import weights as store
    from vsanimesr.options import defaults

    try:
        store.cache()
    except WeightsError as error:
        where = "no folder to keep them in"
        advice = "name a folder in the environment variable VSANIMESR_CACHE"
        return [Check(name="weights", state="warn", found=where, why=str(error), advice=advice)]
    found: list[Check] = []
    for release, path in store.listing():
        name, advice = f"weights {release.name}", f"vsanimesr weights fetch {release.name}"
        if path is None:
            state = "warn" if release.name == defaults()["model"] else "ok"
            absent = "not here; fetched on first use"
            found.append(Check(name=name, state=state, found=absent, advice=advice))
            continue
        try:
            intact = store.digest(store.read(path)) == release.digest
            why = "" if intact else f"not the values of {release.title}"
        except WeightsError as error:
            why = str(error)
        state = "fail" if why else "ok"
        advice = f"{advice} (replaces it)" if why else ""
        found.append(Check(name=name, state=state, found=str(path), why=why, advice=advice))
    return found


def ffmpeg() -> Check:
    """Ffmpeg and its encoders."""
    from vsanimesr.encode.ffmpeg import find_ffmpeg

    try:
        path = str(find_ffmpeg())
    except EncodeError as error:
        return _for_files("ffmpeg", str(error))
    try:
        version = _output(path, "-hide_banner", "-version").split(" Copyright")[0]
        known = _output(path, "-hide_banner", "-encoders")
    except (OSError, subprocess.SubprocessError) as error:
        return _for_files("ffmpeg", f"{path}: {error}")
    wanted = ("libx265", "libx264")  # SVT-AV1, the third choice, need not be there
    missing = [name for name in wanted if name not in known]
    if missing:
        why = f"{path} has no {', '.join(missing)}"
        found = _for_files("ffmpeg", why)
        return replace(found, found=version, advice="install a build of ffmpeg with them")
    return Check(name="ffmpeg", state="ok", found=f"{version} ({path})")


def modules() -> Check:
    """Python packages that `vsanimesr upscale` needs."""
    missing = [name for name in ("av", "tqdm") if importlib.util.find_spec(name) is None]
    if missing:
        return _for_files(", ".join(missing))
    return Check(name="av, tqdm", state="ok", found=f"{_version('av')}, {_version('tqdm')}")


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
        said = _output(path, "--version")
    except (OSError, subprocess.SubprocessError) as error:
        why = (getattr(error, "stderr", "") or str(error)).strip()
        advice = f"put {beside} first on PATH, or run `vapoursynth config` once"
        return Check(name="vspipe", state="fail", found=path, why=why, advice=advice)
    core = next((line for line in said.splitlines() if line.startswith("Core")), "")
    return Check(name="vspipe", state="ok", found=f"{core} ({path})".lstrip())


def jetpack() -> Check:
    """vs-jetpack, whose scalers this package can be one of."""
    there = importlib.util.find_spec("vsscale") is not None
    found = _version("vsjetpack") if there else ABSENT
    return Check(name="vs-jetpack", state="ok", found=found)


def _libraries(folder: Path) -> list[Path]:
    return sorted(p for p in folder.glob("*animesr*") if p.suffix in _SUFFIXES)


def _for_files(name: str, why: str = "`vsanimesr upscale` needs it; scripts do not") -> Check:
    return Check(name=name, state="warn", found="absent", why=why, advice=_ENCODE)


def _output(*command: str) -> str:
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        errors="replace",
        check=True,
        stdin=subprocess.DEVNULL,
        timeout=60,
    ).stdout


def _installed(distribution: str) -> bool:
    try:
        importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:  # built by hand, not by pip
        return "there"


def _text(value: object) -> str:
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, (list, tuple)):
        return " ".join(map(_text, value))
    return str(value)
