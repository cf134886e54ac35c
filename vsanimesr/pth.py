"""Reads the zip files of `torch.save` without torch, and without running code from them.

Such a file is a zip of a pickle (`*/data.pkl`) and of one raw, uncompressed member for each storage
(`*/data/KEY`) that the pickle refers to by key. A pickle is a program: it may call anything that it
can name. Here it can name the three things below and nothing else, and `pickled` has looked through
it before.
"""

import errno
import io
import math
import pickle
import stat
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, cast

import numpy as np

from vsanimesr import pickled
from vsanimesr.errors import WeightsError, brief

STORAGES = {
    "DoubleStorage": "F64",
    "FloatStorage": "F32",
    "HalfStorage": "F16",
    "BFloat16Storage": "BF16",
}
"""Torch's storage types, by the names that safetensors gives their number formats."""

MAX_DIRECTORY = 2**20
"""Bytes of a zip's list of members; that of a released file has 4 kB."""
MAX_MEMBERS = 5000
"""Of a zip; a network of a thousand tensors has with its optimizer three thousand. Of many more the
list alone takes a second."""
SPARE = 2**20
"""Bytes that storages may hold beyond the tensors in them: tensors can be parts of others."""

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
    try:
        with opened(path) as (archive, root, content):
            pickled.look(content, {f"torch.{name}" for name in STORAGES})
            stored = _state_dict(_Unpickler(io.BytesIO(content)).load())
            check({name: tensor.shape for name, tensor in stored.items()})
            return _tensors(archive, root, stored)
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from error


@contextmanager
def opened(path: Path) -> Generator[tuple[zipfile.ZipFile, str, bytes]]:
    """A file of `torch.save`, none of whose members are compressed, or twice the same bytes.

    Yields:
        The zip, the folder in it that everything lies in, with its slash, and the pickle, which
        nobody has looked through.

    Raises:
        WeightsError: It is no such file, or damaged; also for what else is raised while it is open.
        OSError: It cannot be read.
    """
    check_file(path)
    with _File(path) as file:
        try:
            if not zipfile.is_zipfile(file):
                raise WeightsError(
                    "no zip file, so damaged, cut short or saved by a torch older than 1.6; "
                    "get it again, or load it with a newer torch and save it again"
                )
            with zipfile.ZipFile(file) as archive:
                file.bounded = False
                _check_members(archive.infolist(), path.stat().st_size)
                found = [name for name in archive.namelist() if name.endswith("/data.pkl")]
                if len(found) != 1:
                    raise WeightsError(f"damaged: {len(found)} members data.pkl, wanted one")
                name = found[0]
                if (size := archive.getinfo(name).file_size) > pickled.MAX_BYTES:
                    raise WeightsError(
                        f"refused: a pickle of {size:,} bytes, wanted at most {pickled.MAX_BYTES:,}"
                    )
                yield archive, name.removesuffix("data.pkl"), archive.read(name)
        except WeightsError:
            raise
        except Exception as error:  # a damaged zip or pickle can fail in any way
            if isinstance(error, OSError) and error.errno != errno.EINVAL:  # a place before byte 0
                raise
            raise WeightsError(f"damaged ({brief(error)}); get it again") from error


def check_file(path: Path) -> None:
    """Refuse what reading might never come to an end of: a pipe, a device.

    Raises:
        WeightsError: It is one, or a folder.
        OSError: There is nothing.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise WeightsError("a folder, a pipe or a device, wanted a file")


class _File(io.FileIO):
    """A file whose parts are read in pieces of bounded size, until that is no longer wanted."""

    bounded = True

    def read(self, size: int | None = -1, /) -> bytes:
        if self.bounded and size and size > MAX_DIRECTORY:  # zipfile reads the list in one piece
            raise WeightsError(
                f"damaged, or its list of members has more than {MAX_DIRECTORY:,} bytes"
            )
        return super().read(size) or b""


def _check_members(members: list[zipfile.ZipInfo], size: int) -> None:
    if len(members) > MAX_MEMBERS:
        raise WeightsError(f"refused: {len(members):,} members, wanted at most {MAX_MEMBERS:,}")
    if any(member.compress_type for member in members):
        raise WeightsError("compressed, which torch.save never does")  # or a zip bomb
    if len({member.filename.casefold() for member in members}) < len(members):
        raise WeightsError("refused: two of its members have one name")  # readers differ in which
    if sum(max(member.file_size, member.compress_size) for member in members) > size:
        raise WeightsError("damaged: its members are larger than the file; get it again")


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
        known = {pickled.ORDERED: OrderedDict, pickled.REBUILD: self._tensor}
        return STORAGES[name] if name in STORAGES else known[f"{module}.{name}"]

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
            raise WeightsError(
                f"holds {brief(repr(name))}, which is no tensor; wanted a bare state dict"
            )
    return cast(dict[str, Stored], content)


def _tensors(archive: zipfile.ZipFile, root: str, stored: dict[str, Stored]) -> Tensors:
    members = {tensor.key: f"{root}data/{tensor.key}" for tensor in stored.values()}
    if missing := [name for name in members.values() if name not in archive.NameToInfo]:
        raise WeightsError(f"damaged: no {brief(missing[0])} in it; get it again")
    wanted = 8 * sum(math.prod(tensor.shape) for tensor in stored.values())
    if sum(archive.getinfo(name).file_size for name in members.values()) > wanted + SPARE:
        raise WeightsError("refused: its storages are far larger than the tensors in them")
    order = "<"
    if f"{root}byteorder" in archive.NameToInfo and archive.read(f"{root}byteorder") == b"big":
        order = ">"
    raw = {key: archive.read(name) for key, name in members.items()}
    return {name: _array(raw[tensor.key], tensor, order) for name, tensor in stored.items()}


def _array(raw: bytes, tensor: Stored, order: str) -> np.ndarray:
    flat = floats(raw, tensor.format, order)
    lengths = zip(tensor.shape, tensor.strides, strict=True)
    last = tensor.offset + sum((size - 1) * stride for size, stride in lengths)
    if min(tensor.offset, *tensor.strides) < 0 or last >= len(flat):
        raise ValueError(f"a tensor reaches beyond its storage {brief(tensor.key)}")
    strides = [stride * flat.itemsize for stride in tensor.strides]
    return np.lib.stride_tricks.as_strided(flat[tensor.offset :], tensor.shape, strides).copy()
