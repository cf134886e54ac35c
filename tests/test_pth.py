"""The reader of torch files: equal to torch's own on good files, safe on bad ones."""

import io
import pickle
import subprocess
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch._utils import _rebuild_tensor_v2  # pyright: ignore[reportPrivateUsage]

from vsanimesr import pth
from vsanimesr.errors import WeightsError


def anything(shapes: Mapping[str, tuple[int, ...]]) -> None:
    """A check that refuses nothing."""


def saved(content: object) -> bytes:
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


def zipped(pickled: bytes, data: bytes = b"", compression: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        archive.writestr("archive/data.pkl", pickled)
        archive.writestr("archive/data/0", data)
    return file.getvalue()


def tensor_pickle(offset: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> bytes:
    """{"a": a float32 tensor over storage 0}, whatever its numbers are."""

    class Pickler(pickle.Pickler):
        def persistent_id(self, obj: object) -> object:
            return ("storage", torch.FloatStorage, "0", "cpu", 4) if obj is marker else None

    class Tensor:
        def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
            return _rebuild_tensor_v2, (marker, offset, shape, strides, False, None)

    marker = object()
    file = io.BytesIO()
    Pickler(file, protocol=2).dump({"a": Tensor()})
    return file.getvalue()


class Runs:
    """What an attacker puts into a file: unpickling it calls a function."""

    def __init__(self, call: Callable[..., object], *arguments: object) -> None:
        self.call = call, arguments

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return self.call


@pytest.mark.parametrize("wrapper", [None, "params", "params_ema"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
def test_reads_what_torch_reads(dtype: torch.dtype, wrapper: str | None, tmp_path: Path) -> None:
    numbers = torch.arange(-60, 60).to(dtype) / 7
    state = OrderedDict(
        plain=numbers.reshape(2, 3, 4, 5),
        turned=numbers.reshape(10, 12).T,
        part=numbers[17:40:3],
        repeated=numbers[5].expand(2, 3),
        last=torch.arange(4.0, dtype=dtype).to(memory_format=torch.contiguous_format),
    )
    content: object = state
    if wrapper:
        content = {"params": {"other": numbers}, wrapper: state}
    path = tmp_path / "weights.pth"
    path.write_bytes(saved(content))
    got = pth.read(path, anything)
    assert list(got) == list(state)
    for name, tensor in state.items():
        assert got[name].dtype == np.float32
        assert np.array_equal(got[name], tensor.float().numpy()), name


def test_big_endian(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    wanted = np.array([[1, -2.5], [3e-9, 4]], np.float32)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", tensor_pickle(0, (2, 2), (2, 1)))
        archive.writestr("archive/data/0", wanted.astype(">f4").tobytes())
        archive.writestr("archive/byteorder", "big")
    assert np.array_equal(pth.read(path, anything)["a"], wanted)


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (subprocess.getoutput, r"subprocess\.getoutput"),
        (eval, r"builtins\.eval"),
        (getattr, r"builtins\.getattr"),
        (torch.load, r"torch\.serialization\.load"),
        (np.ones, r"numpy\.ones"),
    ],
)
def test_code_is_refused_by_name(call: Callable[..., object], name: str, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    path = tmp_path / "weights.pth"
    pickled = pickle.dumps({"a": Runs(call, f"echo > {marker}")}, 2, fix_imports=False)
    path.write_bytes(zipped(pickled))
    with pytest.raises(WeightsError, match=rf"weights\.pth: refused: its pickle asks for {name}"):
        pth.read(path, anything)
    assert not marker.exists()
    if call is subprocess.getoutput:  # the file does harm where it is let
        pickle.loads(pickled)
        assert marker.exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (["no", "dict"], "holds no tensors, wanted a state dict"),
        ({}, "holds no tensors"),
        ({"epoch": 3}, "holds 'epoch', which is no tensor; wanted a bare state dict"),
        ({"params": {1: torch.zeros(1)}}, "refused: its pickle has a key of kind int"),
        ({"a": torch.zeros(1, dtype=torch.int64)}, r"asks for torch\.LongStorage"),
        (torch.nn.Linear(1, 1), r"asks for torch\.nn\.modules\.linear\.Linear"),
    ],
)
def test_other_contents(content: object, message: str, tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    path.write_bytes(saved(content))
    with pytest.raises(WeightsError, match=rf"weights\.pth: .*{message}"):
        pth.read(path, anything)


@pytest.mark.parametrize(
    ("offset", "shape", "strides"),
    [(1, (4,), (1,)), (0, (2, 2), (3, 1)), (3, (2,), (-1,)), (-1, (1,), (1,)), (0, (2,), (1, 1))],
)
def test_tensors_stay_inside_their_storage(
    offset: int, shape: tuple[int, ...], strides: tuple[int, ...], tmp_path: Path
) -> None:
    path = tmp_path / "weights.pth"
    path.write_bytes(zipped(tensor_pickle(offset, shape, strides), bytes(16)))
    with pytest.raises(WeightsError, match=r"weights\.pth: damaged \(.*(beyond|never)"):
        pth.read(path, anything)


def test_nothing_is_read_before_the_check(tmp_path: Path) -> None:
    def check(shapes: Mapping[str, tuple[int, ...]]) -> None:
        raise WeightsError(f"not these: {dict(shapes)}")

    path = tmp_path / "weights.pth"
    path.write_bytes(zipped(tensor_pickle(0, (10**9,), (1,))))
    with pytest.raises(WeightsError, match=r"weights\.pth: not these: \{'a': \(1000000000,\)\}"):
        pth.read(path, check)


def test_the_old_format(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    torch.save({"a": torch.zeros(1)}, path, _use_new_zipfile_serialization=False)
    with pytest.raises(WeightsError, match=r"no zip file, .* saved by a torch older than 1\.6"):
        pth.read(path, anything)


def test_a_zip_bomb(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    pickled = tensor_pickle(0, (4,), (1,))
    path.write_bytes(zipped(pickled, bytes(10**7), zipfile.ZIP_DEFLATED))
    with pytest.raises(WeightsError, match=r"weights\.pth: compressed, which torch"):
        pth.read(path, anything)


def test_missing_parts(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", tensor_pickle(0, (4,), (1,)))
    with pytest.raises(WeightsError, match=r"damaged: no archive/data/0 in it"):
        pth.read(path, anything)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("other", "")
    with pytest.raises(WeightsError, match=r"weights\.pth: damaged"):
        pth.read(path, anything)


GOOD = saved({"a": torch.arange(6.0).reshape(2, 3), "b": torch.ones(4)})


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_damage_is_found_or_harmless(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    raw = bytearray(GOOD)
    if data.draw(st.booleans(), "cut"):
        del raw[data.draw(st.integers(0, len(raw) - 1), "length") :]
    else:
        place = data.draw(st.integers(0, len(raw) - 1), "place")
        raw[place] ^= data.draw(st.integers(1, 255), "change")
    path = tmp_path_factory.getbasetemp() / "damaged.pth"
    path.write_bytes(raw)
    try:
        got = pth.read(path, anything)
    except WeightsError as error:
        assert "damaged" in str(error) or "compressed" in str(error)  # noqa: PT017
    else:
        assert np.array_equal(got["a"], np.arange(6).reshape(2, 3))
        assert np.array_equal(got["b"], np.ones(4))
