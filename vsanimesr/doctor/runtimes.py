"""What can run the network, and which of it `auto` takes."""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from vsanimesr.doctor.check import ABSENT, Check, installed, unusable
from vsanimesr.engines.backends import BACKENDS, install
from vsanimesr.engines.choice import choose, here
from vsanimesr.engines.native import library
from vsanimesr.engines.native.engine import runtime

if TYPE_CHECKING:
    from collections.abc import Callable


_ONNXRUNTIMES = ("onnxruntime", "onnxruntime-gpu", "onnxruntime-webgpu")


def runtimes() -> list[Check]:
    """What can run the network: one of them is enough."""
    found = [torch(), onnxruntime(), openvino(), ncnn(), native()]
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
    several = [name for name in _ONNXRUNTIMES if installed(name)]
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


def native() -> Check:
    """This package's own kernels: CPUs of today, fastest in fp32."""
    name, fault = "native", library.fault()
    if not fault:
        return Check(name=name, state="ok", found=f"ready ({runtime()})")
    return Check(name=name, state="warn", found="unusable", why=fault, advice=install(name))


def _runtime(name: str, backend: str, said: Callable[[Any], str]) -> Check:
    """Look at a backend: its runtime, and what else it needs."""
    module, *rest = BACKENDS[backend].packages
    advice = install(backend)
    try:
        found = said(importlib.import_module(module))
    except ModuleNotFoundError as error:
        if error.name == module:
            return Check(name=name, state="ok", found=ABSENT, advice=advice)
        return unusable(name, error, advice)
    except Exception as error:  # noqa: BLE001 (such as a library that does not load)
        return unusable(name, error, advice)
    if missing := [package for package in rest if importlib.util.find_spec(package) is None]:
        why = f"{module} {found} is there, but not {', '.join(missing)}"
        return Check(name=name, state="warn", found="unusable", why=why, advice=advice)
    return Check(name=name, state="ok", found=found)


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
