"""The backends: what each needs to be installed, where its engine is, and which options it has."""

import importlib
import importlib.metadata
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from vsanimesr.engines.native.library import fault
from vsanimesr.engines.protocol import Engine
from vsanimesr.errors import EngineError, brief
from vsanimesr.interrupts import held


@dataclass(frozen=True)
class Backend:
    """A runtime that can run the network."""

    packages: tuple[str, ...]
    """By their import names; the first one is the runtime itself. None: this package's own."""
    engine: tuple[str, str]
    """Module and name of its engines' class, which takes the weights and a `Setup`."""
    options: frozenset[str] = frozenset()
    """Arguments of `engines.load` that only this one has."""
    fits: Callable[[], bool] = lambda: True
    """Whether it can run here, its packages aside."""

    @property
    def installed(self) -> bool:
        """Whether all that it needs is there."""
        there = (importlib.util.find_spec(package) is not None for package in self.packages)
        return all(there) and self.fits()

    @property
    def version(self) -> str:
        """Of the runtime, by whichever distribution brought it; empty: there is none."""
        if not self.packages:
            return version("vapoursynth-animesr")
        names = importlib.metadata.packages_distributions().get(self.packages[0], ())
        return version(names[0]) if names else ""


BACKENDS = {
    "torch": Backend(
        ("torch", "psutil"),
        ("vsanimesr.engines.torch.engine", "TorchEngine"),
        frozenset({"compile", "strips", "memory", "cache"}),
    ),
    "onnx": Backend(
        ("onnxruntime", "onnx"),
        ("vsanimesr.engines.onnx.engine", "OnnxEngine"),
        frozenset({"providers"}),
    ),
    "openvino": Backend(
        ("openvino", "onnx"),
        ("vsanimesr.engines.openvino", "OpenVinoEngine"),
    ),
    "ncnn": Backend(
        ("ncnn",),
        ("vsanimesr.engines.ncnn.engine", "NcnnEngine"),
    ),
    "native": Backend(
        (), ("vsanimesr.engines.native.engine", "NativeEngine"), fits=lambda: not fault()
    ),
}
"""By the name that a user writes, which is also that of the extra which brings its packages."""


def install(name: str) -> str:
    """The command that brings what a backend needs."""
    if not BACKENDS[name].packages:
        return "pip install --force-reinstall --no-deps vapoursynth-animesr"
    return f"pip install 'vapoursynth-animesr[{name}]'"


def engine_class(name: str) -> Callable[..., Engine[Any, Any]]:
    """The class of a backend's engines.

    Raises:
        EngineError: Its packages are missing, or the runtime cannot be loaded.
    """
    backend = BACKENDS[name]
    module, engine = backend.engine
    try:
        with held():
            return getattr(importlib.import_module(module), engine)
    except ModuleNotFoundError as error:
        if error.name not in backend.packages:
            raise
        raise EngineError(
            f"backend={name}, but {error.name} is not installed: {install(name)}"
        ) from error
    except Exception as error:  # a library it needs does not load, a home cannot be found
        raise EngineError(
            f"backend={name}, but {(*backend.packages, name)[0]} cannot be loaded "
            f"({type(error).__name__}: {brief(error, 300)}); `vsanimesr doctor` says more"
        ) from error
