"""Reads the zip files of `torch.save` without torch, and without running code from them.

Such a file is a zip of a pickle (`*/data.pkl`) and of one raw, uncompressed member for each storage
(`*/data/KEY`) that the pickle refers to by key. A pickle is a program: it may call anything that it
can name. Here it can name the three things below and nothing else.
"""

import io
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple, cast

import numpy as np

from vsanimesr.errors import WeightsError

STORAGES = {
    "DoubleStorage": "F64",
    "FloatStorage": "F32",
    "HalfStorage": "F16",
    "BFloat16Storage": "BF16",
}
"""Torch's storage types, by the names that safetensors gives their number formats."""

type Tensors = dict[str, np.ndarray]


class Stored(NamedTuple):
    """A tensor as the pickle describes it; its numbers are still in the zip."""

    key: str
    format: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def read(path: Path, check: Callable[[Mapping[str, tuple[int, ...]]], None]) -> Tensors:
    """Read the tensors of a state dict, bare or under `params_ema` or `params` (as BasicSR writes).

    Args:
        path: A file that `torch.save` has written, in the zip format of torch 1.6 and later.
        check: Called with name and shape of every tensor before any is read; raises to refuse.

    Returns:
        The tensors as float32.

    Raises:
        WeightsError: The file is damaged, in the old format, holds something else, or its pickle
            names something that is not allowed.
    """
    if not zipfile.is_zipfile(path):
        raise WeightsError(
            f"{path}: no zip file, so damaged, cut short or saved by a torch older than 1.6; "
            "get it again, or load it with a newer torch and save it again"
        )
    try:
        with zipfile.ZipFile(path) as archive:
            if any(member.compress_type for member in archive.infolist()):
                raise WeightsError("compressed, which torch.save never does")  # or a zip bomb
            (pickled,) = (name for name in archive.namelist() if name.endswith("/data.pkl"))
            root = pickled.removesuffix("data.pkl")
            stored = _state_dict(_Unpickler(io.BytesIO(archive.read(pickled))).load())
            check({name: tensor.shape for name, tensor in stored.items()})
            big = f"{root}byteorder" in archive.namelist() and (
                archive.read(f"{root}byteorder") == b"big"
            )
            return {
                name: _array(archive.read(f"{root}data/{tensor.key}"), tensor, ">" if big else "<")
                for name, tensor in stored.items()
            }
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from error
    except Exception as error:  # a damaged zip or pickle can fail in any way
        raise WeightsError(f"{path}: damaged ({error!r}); get it again") from error


def floats(raw: bytes | bytearray, number_format: str, order: str = "<") -> np.ndarray:
    """The numbers in these bytes, flat, as float32.

    Args:
        raw: The numbers one after the other.
        number_format: `F64`, `F32`, `F16` or `BF16`.
        order: Of the bytes, `<` or `>`.

    Raises:
        WeightsError: Another format.
    """
    if number_format == "BF16":  # the upper half of a float32
        return (np.frombuffer(raw, f"{order}u2").astype(np.uint32) << 16).view(np.float32)
    if number_format not in STORAGES.values():
        raise WeightsError(
            f"numbers of type {number_format}, wanted {', '.join(STORAGES.values())}"
        )
    return np.frombuffer(raw, f"{order}f{int(number_format[1:]) // 8}").astype(np.float32)


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str, /) -> object:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return self._tensor
        if module == "torch" and name in STORAGES:
            return STORAGES[name]
        raise WeightsError(
            f"refused: its pickle asks for {module}.{name}, which weights do not need and which "
            "may run code; save the bare state dict, or use .safetensors"
        )

    def persistent_load(self, pid: tuple[str, str, str, str, int], /) -> tuple[str, str]:
        _, number_format, key, _, _ = pid  # "storage", type, key, device, length
        return key, number_format

    def _tensor(
        self,
        storage: tuple[str, str],
        offset: int,
        shape: tuple[int, ...],
        strides: tuple[int, ...],
        *_: object,  # of autograd
    ) -> Stored:
        return Stored(*storage, offset, shape, strides)


def _state_dict(content: object) -> dict[str, Stored]:
    for name in ("params_ema", "params"):
        if isinstance(content, dict) and name in content:
            content = cast(object, content[name])
            break
    if not isinstance(content, dict) or not content:
        raise WeightsError("holds no tensors, wanted a state dict")
    for name, value in cast(dict[object, object], content).items():
        if not isinstance(name, str) or not isinstance(value, Stored):
            raise WeightsError(f"holds {name!r}, which is no tensor; wanted a bare state dict")
    return cast(dict[str, Stored], content)


def _array(raw: bytes, tensor: Stored, order: str) -> np.ndarray:
    flat = floats(raw, tensor.format, order)
    lengths = zip(tensor.shape, tensor.strides, strict=True)
    last = tensor.offset + sum((size - 1) * stride for size, stride in lengths)
    if min(tensor.offset, *tensor.strides) < 0 or last >= len(flat):
        raise ValueError(f"a tensor reaches beyond its storage {tensor.key}")
    strides = [stride * flat.itemsize for stride in tensor.strides]
    return np.lib.stride_tricks.as_strided(flat[tensor.offset :], tensor.shape, strides).copy()
