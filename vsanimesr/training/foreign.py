"""Files of weights that others wrote, for torch to read: no code of a file is run.

Whatever torch allows, a pickle may crash, hang or fill the process that loads it; so each is looked
through before (`vsanimesr.pickled`).
"""

import io
import warnings
import zipfile
from collections.abc import Collection
from pathlib import Path

import safetensors
import safetensors.torch
import torch

from vsanimesr import pickled, pth
from vsanimesr.errors import WeightsError, brief
from vsanimesr.weights import header

KINDS = (
    *("Double", "Float", "Half", "BFloat16"),
    *("Long", "Int", "Short", "Char", "Byte", "Bool"),
)
STORAGES = frozenset(f"torch.{kind}Storage" for kind in KINDS)
NAMES = STORAGES | {*pickled.OLD}
"""What the pickle of a file may name."""
KEYS = ("text", "int")  # optimizers number their parameters
MAX_STEPS = 150_000
"""Of a pickle; a checkpoint of MMEditing with its optimizers has some ten thousand."""
MAX_BYTES = 2**31
"""Of a file; torchvision's of VGG19, the largest that is used here, has 575 MB."""
MAGIC = b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
"""After the protocol, in files of torch before 1.6: a pickle of the number that torch looks for."""
PICKLES = 5
"""In those: that number, the protocol's, the system, what was saved, and the names of storages."""


def load(path: Path, marks: Collection[str] = ()) -> object:
    """What is in a `.safetensors` file, or one of torch.save, on the CPU.

    Args:
        path: The file.
        marks: Tensors of which a `.safetensors` file must have one: else it is another network's,
            and nothing but its header is read. None: any will do.

    Raises:
        WeightsError: Damaged, too large, or holding what weights do not need.
        OSError: It cannot be read.
    """
    pth.check_file(path)
    if (size := path.stat().st_size) > MAX_BYTES:
        raise WeightsError(f"{size:,} bytes, wanted at most {MAX_BYTES:,}")
    if path.suffix == ".safetensors":
        names = header(path)
        if marks and not set(marks) & set(names):
            raise WeightsError(f"no {' or '.join(marks)} in it")
        try:
            return safetensors.torch.load_file(path)
        except safetensors.SafetensorError as error:
            raise WeightsError(f"damaged ({brief(error)}); get it again") from error
    with path.open("rb") as file:
        start = file.read(pickled.MAX_BYTES)
    if start[2:].startswith(MAGIC):
        return _old(path, start)
    with pth.opened(path) as (archive, _, content):
        return whole(archive, content)


def whole(
    archive: zipfile.ZipFile, content: bytes, names: frozenset[str] = NAMES, most: int = MAX_STEPS
) -> object:
    """What torch.save put into a zip.

    Args:
        archive: As `pth.opened` gives it.
        content: Its pickle.
        names: What that may name.
        most: How many steps it may have.
    """
    pickled.look(content, names, KEYS, most)
    # Copied, for torch reads a zip that contradicts itself in another way than zipfile does, which
    # checks the CRC-32 of each member here.
    copy = io.BytesIO()
    with zipfile.ZipFile(copy, "w") as file:
        for name in archive.namelist():
            file.writestr(name, archive.read(name))
    copy.seek(0)
    return torch.load(copy, map_location="cpu", weights_only=True)


def _old(path: Path, start: bytes) -> object:
    try:
        pickled.look(start, NAMES, KEYS, MAX_STEPS, PICKLES)
        with warnings.catch_warnings():  # of the format's age
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True)
    except (WeightsError, OSError):
        raise
    except Exception as error:  # a damaged pickle can fail in any way
        raise WeightsError(f"damaged ({brief(error)}); get it again") from error
