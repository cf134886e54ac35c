"""Files made to crash, hang or fill whoever reads them, and files damaged at random."""

import io
import json
import pickle
import random
import re
import struct
import time
import tracemalloc
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import torch
from safetensors.torch import save_file

from vsanimesr import pth, weights
from vsanimesr.errors import TrainingError, WeightsError
from vsanimesr.training import checkpoint, foreign
from vsanimesr.training.degradation.lbo import SHAPES, Lbo
from vsanimesr.training.evaluate import realbasicvsr
from vsanimesr.training.foreign import MAGIC
from vsanimesr.training.networks import vgg

SECONDS, BYTES = 1.0, 100e6
START, END = b"\x80\x02", b"."
NAMES = {f"torch.{name}" for name in pth.STORAGES}


def zipped(content: bytes, *members: tuple[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", content)
        for name, raw in members:
            archive.writestr(name, raw)
    return file.getvalue()


def text(said: bytes) -> bytes:
    return b"X" + struct.pack("<I", len(said)) + said


READERS: dict[str, Callable[[Path], object]] = {
    "model.pth": lambda path: weights.load(str(path)),
    "lbo.pth": Lbo.load,
    "checkpoint.pt": checkpoint.load,
    "start.pth": checkpoint.weights,
    "vgg.pth": lambda path: vgg.load("vgg19", path),
}


def refused(read: Callable[[Path], object], path: Path) -> str:
    """The message with which a file is refused: a printable line, soon, and in little memory."""
    start = time.thread_time()
    with pytest.raises((WeightsError, TrainingError)) as error:
        read(path)
    assert time.thread_time() - start < SECONDS
    message = str(error.value)
    assert message.isprintable()
    assert len(message) < 1500
    assert path.name in message
    return message


def memory(read: Callable[[Path], object], path: Path) -> int:
    """Bytes that Python holds at most while a file is refused."""
    tracemalloc.start()
    with pytest.raises((WeightsError, TrainingError)):
        read(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def deep(opcode: bytes, levels: int) -> bytes:
    return START + b"}" + b")" + levels * opcode + b"Ns" + END


DOUBLED = b")" + b"".join(b"q%cq%ch%c\x86" % (n, n + 100, n) for n in range(40))
DOUBLED_LISTS = b"]q\x00" + b"".join(b"]q%c(h%ch%ce" % (n + 1, n, n) for n in range(40))
PICKLES = {
    "a key of nested tuples": (deep(b"\x85", 150_000), "more than 32 deep|steps"),
    "a key of fewer": (deep(b"\x85", 20), "a key of kind tuple"),
    "a deep value": (START + b"}" + text(b"a") + b")" + 40 * b"\x85" + b"s.", "32 deep"),
    "doubled tuples": (START + b"}" + DOUBLED + b"Ns.", "1,000,000 values, or nests"),
    "doubled lists": (START + b"(" + DOUBLED_LISTS + b"t.", "1,000,000 values, or nests"),
    "a list within itself": (START + b"}" + text(b"a") + b"]q\x00h\x00as.", "damaged"),
    "an index of 2^28": (START + b"}r\x00\x00\x00\x10.", "an index of 268435456"),
    "a text of 4 GB": (START + b"}X\xff\xff\xff\xffabc", "damaged"),
    "a text of 2^63 bytes": (START + b"\x8d" + struct.pack("<Q", 2**63), r"opcode b'\\x8d'"),
    "bytes of 2^62": (START + b"\x8e" + struct.pack("<Q", 2**62), r"opcode b'\\x8e'"),
    "a number of 2 GB": (START + b"\x8b\xff\xff\xff\x7f1", r"opcode b'\\x8b'"),
    "a number of a million digits": (START + b"L" + 10**6 * b"9" + b"L\n.", "opcode b'L'"),
    "a float as key": (START + b"}G" + bytes(8) + b"Ns.", "a key of kind float"),
    "many steps": (START + 900_000 * b"N" + END, r"more than 1(00|50),000 steps"),
    "a large pickle": (START + text(2**20 * b"a") + END, "wanted at most 1,048,576"),
    "a set": (START + b"\x8f.", r"opcode b'\\x8f'"),
    "protocol 4": (pickle.dumps({"a": 1}, 4), "a pickle of protocol 4"),
    "an object": (START + b"(ios\nsystem\n.", "opcode b'i'"),
    "the extension registry": (START + b"\x82\x01.", r"opcode b'\\x82'"),
    "a class": (START + b"cos\nsystem\n.", r"asks for os\.system"),
    "a class with a name of 1 MB": (START + b"cos\n" + 10**6 * b"\x1b" + b"\n.", r"os\.\\x1b.*…"),
    "attributes": (
        START + b"ccollections\nOrderedDict\n)R}" + text(b"items") + b"Nsb.",
        "attributes other than _metadata",
    ),
    "attributes of a class": (
        START + b"ccollections\nOrderedDict\n}" + text(b"_metadata") + b"Nsb.",
        "damaged",
    ),
    "a table of pairs": (START + b"ccollections\nOrderedDict\n(]tR.", "damaged"),
    "nothing": (b"", "damaged"),
    "no end": (START + b"}", "damaged"),
    "nothing to take": (START + b"s.", "damaged"),
    "no mark": (START + b"}u.", "damaged"),
    "below a mark": (START + b"}(\x85.", "damaged"),
    "nothing kept": (START + b"h\x05.", "damaged"),
    "a storage without a description": (START + b"NQ.", "damaged"),
    "a storage of a class": (
        START
        + b"("
        + text(b"storage")
        + b"ccollections\nOrderedDict\n"
        + text(b"0")
        + text(b"cpu")
        + b"K\x04tQ.",
        "damaged",
    ),
    "a storage whose key is a tuple": (
        START + b"(" + text(b"storage") + b"ctorch\nFloatStorage\n)" + text(b"cpu") + b"K\x04tQ.",
        "damaged",
    ),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("name", PICKLES)
def test_a_pickle_made_to_harm(name: str, reader: str, tmp_path: Path) -> None:
    content, wanted = PICKLES[name]
    (tmp_path / reader).write_bytes(zipped(content))
    message = refused(READERS[reader], tmp_path / reader)
    assert re.search(wanted, message), message
    if reader == "model.pth":  # the others look through it alike, and tracing takes its time
        assert memory(READERS[reader], tmp_path / reader) < BYTES


OLD = START + MAGIC + START + b"M\xe9\x03." + START + b"}."
"""How files begin that torch wrote before 1.6: two numbers, and nothing about the system."""


@pytest.mark.parametrize("name", [name for name in PICKLES if name != "a large pickle"])
def test_an_old_file_made_to_harm(name: str, tmp_path: Path) -> None:
    content, wanted = PICKLES[name]
    (tmp_path / "vgg.pth").write_bytes(OLD + content + START + b"].")
    message = refused(READERS["vgg.pth"], tmp_path / "vgg.pth")
    assert re.search(wanted, message), message


def test_parameters_and_views_of_old_files_are_read(tmp_path: Path) -> None:
    """As torchvision's oldest have them."""
    whole = torch.arange(6.0)
    stored = {"a": torch.nn.Parameter(whole.reshape(2, 3)), "b": whole[2:4]}
    for new in (False, True):
        path = tmp_path / f"{new}.pth"
        torch.save(stored, path, _use_new_zipfile_serialization=new)
        found = foreign.load(path)
        assert found["a"].tolist() == [[0, 1, 2], [3, 4, 5]]
        assert found["b"].tolist() == [2, 3]
    path.write_bytes((tmp_path / "False.pth").read_bytes()[:-9])
    with pytest.raises(WeightsError, match="damaged"):
        foreign.load(path)


def test_of_a_foreign_safetensors_file_no_more_than_the_header_is_read(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    path.write_bytes(safetensors.numpy.save({"a": np.zeros(2_000_000, np.float32)}))
    assert memory(lambda path: vgg.load("vgg19", path), path) < 1e6
    message = refused(lambda path: vgg.load("vgg19", path), path)
    assert "(no features.0.weight in it)" in message
    assert realbasicvsr.read(path) == {}


def central(name: bytes, size: int, offset: int) -> bytes:
    """An entry of a zip's list of members (APPNOTE.TXT, 4.3.12)."""
    sizes = struct.pack("<3L5H2L", 0, size, size, len(name), 0, 0, 0, 0, 0, offset)
    return b"PK\x01\x02" + struct.pack("<4B4H", 20, 3, 20, 0, 0, 0, 0, 0)[:12] + sizes + name


def listed(count: int) -> bytes:
    """A zip that lists one empty member so many times."""
    local = b"PK\x03\x04" + struct.pack("<5H3L2H", 20, 0, 0, 0, 0, 0, 0, 0, 1, 0) + b"a"
    entry = central(b"a", 0, 0)
    size = len(entry) * count
    ends = struct.pack("<4H2LH", 0, 0, count % 65536, count % 65536, size, len(local), 0)
    return local + entry * count + b"PK\x05\x06" + ends


def many_members() -> bytes:
    """Three times as many, and the list is full: 1.2 s of processor time to read and load them."""
    local = b"PK\x03\x04" + struct.pack("<5H3L2H", 20, 0, 0, 0, 0, 0, 0, 0, 1, 0) + b"a"
    entries = b"".join(central(b"archive/data/%d" % n, 0, 0) for n in range(6_000))
    ends = struct.pack("<4H2LH", 0, 0, 6_000, 6_000, len(entries), len(local), 0)
    return local + entries + b"PK\x05\x06" + ends


def overlapping() -> bytes:
    """A zip whose members are all the same million bytes."""
    local = b"PK\x03\x04" + struct.pack("<5H3L2H", 20, 0, 0, 0, 0, 0, 10**6, 10**6, 1, 0) + b"a"
    entries = b"".join(central(b"archive/%04d/data.pkl" % n, 10**6, 0) for n in range(5000))
    ends = struct.pack("<4H2LH", 0, 0, 5000, 5000, len(entries), len(local) + 10**6, 0)
    return local + bytes(10**6) + entries + b"PK\x05\x06" + ends


def twice() -> bytes:
    """Two pickles of one name: readers differ in which they take."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", START + b"}.")
        archive.writestr("archive/DATA.pkl", START + b"}.")
    return file.getvalue()


def several_disks() -> bytes:
    """What a bit of damage makes of the end of a zip in the 64 bit form."""
    locator = b"PK\x06\x07" + struct.pack("<LQL", 1, 0, 2)
    return locator + b"PK\x05\x06" + bytes(18)


def a_large_storage() -> bytes:
    """One good tensor, in a storage that is far larger than it."""
    file = io.BytesIO()
    torch.save({"a": torch.zeros(4_000_000)[:4]}, file)
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        (listed(500_000), "list of members has more than 1,048,576 bytes"),
        (many_members(), "refused: 6,000 members, wanted at most 5,000"),
        (overlapping(), "its members are larger than the file"),
        (twice(), "two of its members have one name"),
        (several_disks(), "damaged"),
        (zipped(START + b"}.")[:-1], "damaged"),
    ],
)
@pytest.mark.parametrize("reader", READERS)
def test_a_zip_made_to_harm(content: bytes, wanted: str, reader: str, tmp_path: Path) -> None:
    (tmp_path / reader).write_bytes(content)
    message = refused(READERS[reader], tmp_path / reader)
    assert wanted in message, message
    assert memory(READERS[reader], tmp_path / reader) < BYTES


def test_a_storage_far_larger_than_its_tensors(tmp_path: Path) -> None:
    (tmp_path / "large.pth").write_bytes(a_large_storage())
    with pytest.raises(WeightsError, match="storages are far larger than the tensors"):
        pth.read(tmp_path / "large.pth", lambda _: None)


# ---- damage at random ----


def tensors(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    return {name: np.full(shape, 0.25, np.float32) for name, shape in shapes.items()}


def saved(shapes: Mapping[str, tuple[int, ...]]) -> bytes:
    file = io.BytesIO()
    torch.save({name: torch.tensor(array) for name, array in tensors(shapes).items()}, file)
    return file.getvalue()


@pytest.fixture(scope="session")
def good(fixed_weights: dict[str, np.ndarray], tmp_path_factory: pytest.TempPathFactory):
    """A good file for each reader."""
    run = tmp_path_factory.mktemp("run")
    adam = {
        "state": {n: {"step": torch.tensor(1.0), "exp_avg": torch.ones(3)} for n in range(2)},
        "param_groups": [{"lr": 1e-4, "betas": (0.9, 0.99), "amsgrad": False, "params": [0, 1]}],
    }
    generators = checkpoint.random_state(torch.device("cpu"))
    state = {"params": {"w": torch.ones(3)}, "adam": adam, "random": [generators], "recipe": "{}"}
    shapes = {name: array.shape for name, array in fixed_weights.items()}
    path = checkpoint.save(run, 3, state, keep=1)
    assert checkpoint.load(path)["adam"]["param_groups"] == adam["param_groups"]
    return {
        "model.pth": saved(shapes),
        "model.safetensors": safetensors.numpy.save(tensors(shapes)),
        "lbo.pth": saved(SHAPES),
        "lbo.safetensors": safetensors.numpy.save(tensors(SHAPES)),
        "checkpoint.pt": path.read_bytes(),
        "start.pth": path.read_bytes(),
    }


def damaged(raw: bytes, rng: random.Random) -> bytes:
    """Bytes changed, cut, added, moved or doubled, mostly where the structure lies."""
    content = bytearray(raw)
    pickle_at = raw.find(b"\x80\x02}") if raw[:2] == b"PK" else 8
    ends = [(0, 200), (max(0, pickle_at), 9000), (max(0, len(raw) - 5000), 5000), (0, len(raw))]
    for _ in range(rng.choice((1, 1, 1, 2, 5, 50))):
        start, length = rng.choice(ends)
        place = min(len(content) - 1, start + rng.randrange(max(1, length)))
        match rng.randrange(6):
            case 0 | 1:
                content[place] = rng.randrange(256)
            case 2:
                content[place] ^= 1 << rng.randrange(8)
            case 3:
                del content[place : place + rng.choice((1, 2, 4, 100))]
            case 4:
                content[place:place] = rng.randbytes(rng.choice((1, 4, 100)))
            case _:
                content[place : place + 4] = rng.choice(
                    (b"\xff\xff\xff\xff", b"\0\0\0\0", b"\xff\xff\xff\x7f", b"((((", b"tttt")
                )
        if not content:
            return b""
    return bytes(content)


@pytest.mark.parametrize("count", [300, pytest.param(5000, marks=pytest.mark.slow)])
def test_random_damage_of_an_old_file(count: int, tmp_path: Path) -> None:
    """Its numbers have no checksum, so that what is damaged may be read."""
    file = io.BytesIO()
    torch.save(
        {"a": torch.ones(3, 4), "b": torch.zeros(7)}, file, _use_new_zipfile_serialization=False
    )
    told: list[str] = []
    for seed in range(count):
        path = _written(tmp_path / "old.pth", damaged(file.getvalue(), random.Random(seed)))
        start = time.thread_time()
        try:
            foreign.load(path)
        except WeightsError as error:
            told.append(str(error))
        assert time.thread_time() - start < SECONDS, seed
    assert len(told) > count / 4
    assert all(message.isprintable() and len(message) < 1500 for message in told)


READ = READERS | {
    "model.safetensors": READERS["model.pth"],
    "lbo.safetensors": Lbo.load,
}


@pytest.mark.parametrize("count", [200, pytest.param(5000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", [name for name in READ if name != "vgg.pth"])
def test_random_damage_is_told_in_a_line_or_harmless(
    name: str, count: int, good: dict[str, bytes], tmp_path: Path
) -> None:
    READ[name](_written(tmp_path / name, good[name]))
    messages: dict[int, str] = {}
    for seed in range(count):
        path = _written(tmp_path / name, damaged(good[name], random.Random(f"{name} {seed}")))
        start = time.thread_time()
        try:
            READ[name](path)
        except (WeightsError, TrainingError) as error:
            messages[seed] = str(error)
        assert time.thread_time() - start < SECONDS, seed
    assert len(messages) > count / 2
    for seed, message in messages.items():
        assert message.isprintable(), seed
        assert len(message) < 1500, seed
        assert name in message, seed


def _written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


# ---- safetensors ----


def headed(header: bytes, size: int, path: Path, length: int | None = None) -> Path:
    """A file with this header and so many bytes of holes after it."""
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(header) if length is None else length) + header)
        file.truncate(8 + len(header) + size)
    return path


HUGE = 800_000_000
FOREIGN = json.dumps({"x": {"dtype": "F32", "shape": [HUGE], "data_offsets": [0, 4 * HUGE]}})
LONG = json.dumps({500_000 * "\x1b\n": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}})
NESTED = b'{"x":' + 400_000 * b"[" + b"}"


@pytest.mark.parametrize(
    ("header", "size", "length", "wanted"),
    [
        (FOREIGN.encode(), 4 * HUGE, None, "unknown x|no recurrent|no main|unknown"),
        (LONG.encode()[:900_000], 4, None, "damaged"),
        (LONG.encode(), 4, None, "a header of [0-9,]* bytes, wanted at most 1,048,576"),
        (b"{}", 4, 2**63, "a header of 9,223,372,036,854,775,808 bytes"),
        (NESTED, 4, None, "damaged"),
        (b"", 0, None, "damaged"),
        (b"\xff\xfe", 0, None, "damaged"),
    ],
)
@pytest.mark.parametrize("reader", ["model", "lbo", "start"])
def test_a_header_is_looked_at_first(
    header: bytes, size: int, length: int | None, wanted: str, reader: str, tmp_path: Path
) -> None:
    read = {
        "model": READERS["model.pth"],
        "lbo": Lbo.load,
        "start": lambda path: checkpoint.weights(
            path, check=lambda shapes: weights.compare(shapes, SHAPES)
        ),
    }[reader]
    path = headed(header, size, tmp_path / f"{reader}.safetensors", length)
    message = refused(read, path)
    assert re.search(wanted, message), message
    assert memory(read, path) < BYTES


@pytest.mark.parametrize("name", ["large.pt", "large.pth", "large.safetensors"])
def test_a_file_of_3_gb_is_not_read(name: str, tmp_path: Path) -> None:
    path = headed(FOREIGN.encode(), 4 * HUGE, tmp_path / name)
    with path.open("r+b") as file:
        file.seek(0, 2)
        if name != "large.safetensors":
            file.write(zipped(START + b"}."))
    message = refused(checkpoint.weights, path)
    assert "wanted at most 1,073,741,824" in message


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_long_and_strange_names_are_told_in_a_line(
    suffix: str, tmp_path: Path, fixed_weights: dict[str, np.ndarray]
) -> None:
    name = "a\n\x1b[2J\x00\u202e" + 200_000 * "x"
    path = tmp_path / f"strange.{suffix}"
    strange = {name: torch.zeros(1)}
    if suffix == "pth":
        torch.save(strange, path)
    else:
        save_file(strange, path)
    message = refused(READERS["model.pth"], path)
    assert "made for another network" in message
