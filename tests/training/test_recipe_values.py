"""Every key of every recipe, given what it is not for: a ConfigError that names it, at once."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec import inspect

from vsanimesr.training import config
from vsanimesr.training.config import ConfigError
from vsanimesr.training.dataset.recipe import DatasetRecipe
from vsanimesr.training.degradation.degrade import Operator
from vsanimesr.training.train import recipe

REST = "[optimizer]\nlr = 1e-4\n[train]\niterations = 10\nbatch = 2\n"
FILES = {
    "network": ('trains = "network"\n[data]\nroot = "clips"\n[degrade]\nops = "basic"\n' + REST),
    "lbo": ('trains = "lbo"\n[data]\nroots = ["pairs"]\n' + REST),
    "dataset": "",
}
STRUCTS = {"network": recipe.NetworkStage, "lbo": recipe.LboStage, "dataset": DatasetRecipe}
WANTED = {"network": recipe.Stage, "lbo": recipe.Stage, "dataset": DatasetRecipe}

FINITE = ("-1", "0", "1", "3", "0.5", "1000000000000000000", "10000000000000000000")
VALUES = {
    "number": (*FINITE, "1e999", "inf", "-inf", "nan"),
    "bool": ("true",),
    "text": ('"text"', '""', '"a\\u0000b"', '"\\n"', f'"{5000 * "x"}"'),
    "path": ('"some/place"',),
    "list": ("[]", "[[1]]", "[1]", '["x"]', "[true]"),
    "table": ("{}", "{a = 1}"),
    "date": ("1979-05-27", "07:32:00"),
}
"""In TOML, by what they are."""
KINDS = {
    inspect.IntType: {"number"},
    inspect.FloatType: {"number"},
    inspect.BoolType: {"bool"},
    inspect.LiteralType: {"text"},
    inspect.CustomType: {"path"},
    inspect.VarTupleType: {"list"},
    inspect.TupleType: {"list"},
    inspect.StructType: {"table"},
    inspect.NoneType: set[str](),
}
"""What a key of this type may be given."""


def keys_of(info: inspect.Type, path: str = "") -> Iterator[tuple[str, inspect.Type]]:
    """Every key below a struct, and what it may be."""
    if isinstance(info, inspect.UnionType):
        for one in info.types:
            yield from keys_of(one, path)
        return
    if path:
        yield path, info
    if isinstance(info, inspect.StructType):
        for field in info.fields:
            yield from keys_of(field.type, f"{path}.{field.encode_name}".removeprefix("."))


def every_key() -> dict[tuple[str, str], list[inspect.Type]]:
    """Types by the name of a recipe and a key of it; of an operator's as `op.key`."""
    found: dict[tuple[str, str], list[inspect.Type]] = {}
    for name, struct in STRUCTS.items():
        for key, info in keys_of(inspect.type_info(struct)):
            if not key.startswith("degrade.ops"):
                found.setdefault((name, key), []).append(info)
    union = inspect.type_info(Operator)
    assert isinstance(union, inspect.UnionType)
    for struct in union.types:
        assert isinstance(struct, inspect.StructType)
        for key, info in keys_of(struct):
            found.setdefault((str(struct.tag), key), []).append(info)
    return found


KEYS = every_key()


def asked(folder: Path, name: str, key: str, value: str) -> str:
    """What is said of a recipe with this value; nothing if it is taken."""
    path = folder / f"{name}.toml"
    if name in FILES:
        path.write_text(FILES[name])
        override, wanted = f"{key}={value}", WANTED[name]
    else:
        tables = f"{key} = {value}"
        for table in reversed(key.split(".")[:-1]):
            tables = f"{table} = {{ {tables.replace(f'{table}.', '', 1)} }}"
        others = ', { op = "downscale" }, { op = "downscale" }]'
        if name == "downscale":
            others = ', { op = "downscale" }]'
        path.write_text(
            FILES["network"].replace('"basic"', f'[{{ op = "{name}", {tables} }}{others}')
        )
        override, wanted = 'data.lbos=["lbos"]', recipe.Stage
    start = time.thread_time()
    try:
        config.load(path, wanted, [override])
    except ConfigError as error:
        said, named = str(error), error.path
    else:
        said, named = "", key
    assert time.thread_time() - start < 1
    assert len(said) < 1200
    assert "`" not in said, said  # words of msgspec
    last = key.rsplit(".", 1)[-1]
    assert key.startswith(named or "?") or last in named or last in said, said
    return said


def test_there_are_keys() -> None:
    assert len(KEYS) > 90
    assert {name for name, _ in KEYS} >= {*FILES, "blur", "noise", "h264", "line_jitter"}


@pytest.mark.parametrize("name", sorted({name for name, _ in KEYS}))
def test_a_value_of_another_kind_is_refused(name: str, tmp_path: Path) -> None:
    for (of, key), types in KEYS.items():
        fitting = {kind for info in types for kind in KINDS[type(info)]}
        for kind, values in VALUES.items():
            if of == name and kind not in fitting and not (fitting == {"path"} and kind == "text"):
                for value in values:
                    assert asked(tmp_path, name, key, value), (key, value)


@pytest.mark.parametrize("name", sorted({name for name, _ in KEYS}))
def test_a_number_that_nobody_means_is_refused(name: str, tmp_path: Path) -> None:
    absurd = ("1000000000000000000", "10000000000000000000", "1e999", "inf", "-inf", "nan", "-1e9")
    for (of, key), types in KEYS.items():
        if of == name and any(isinstance(i, inspect.IntType | inspect.FloatType) for i in types):
            for value in absurd:
                assert asked(tmp_path, name, key, value), (key, value)
            asked(tmp_path, name, key, "0")
        lists = [i for i in types if isinstance(i, inspect.TupleType | inspect.VarTupleType)]
        if of == name and lists and key not in ("data.lbos", "data.roots"):
            for value in absurd:
                assert asked(tmp_path, name, key, f"[{value}]"), (key, value)
                assert asked(tmp_path, name, key, f"[{value}, {value}]"), (key, value)


@pytest.mark.parametrize("name", FILES)
def test_paths_that_no_file_can_have(name: str, tmp_path: Path) -> None:
    for (of, key), types in KEYS.items():
        if of == name and any(isinstance(info, inspect.CustomType) for info in types):
            for value in ('""', '"a\\u0000b"', f'"{5000 * "x"}"', f'"a/{128 * "é"}"'):
                assert "wanted the path of a file or folder" in asked(tmp_path, name, key, value)


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("data.intervals=3", "data.intervals: 3, wanted a list of 1 or more, each a whole number"),
        ("data.flips=1", "data.flips: 1, wanted true or false"),
        ("train.batch=true", "train.batch: true, wanted a whole number from 1 to 4,096"),
        ("data=3", "data: 3, wanted a table"),
        ("losses.gan=[]", "losses.gan: [], wanted a table"),
        ("data.lbos=x", "data.lbos: 'x', wanted a list, each the path of a file or folder"),
        ("trains=3", "trains: 3, wanted one of lbo, network"),
        ("train.ema=1", "train.ema: 1, wanted a number from 0 below 1"),
        ("optimizer.lr=inf", "optimizer.lr: inf, wanted a number above 0 to 1"),
        ("losses.gan.scales=1000000000000", "scales: 1000000000000, wanted a whole number from 1"),
        ("losses.l1=0", "losses: every weight is 0, wanted one above it"),
        ("train.batch=4096", "train.batch = 4096 of 15 frames of 256x256: 12,079,595,520 values"),
    ],
)
def test_in_words_of_our_own(override: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "network.toml").write_text(FILES["network"])
    with pytest.raises(ConfigError) as caught:
        config.load(tmp_path / "network.toml", recipe.Stage, [override])
    assert said in str(caught.value)


def refused(path: Path) -> str:
    start = time.monotonic()
    with pytest.raises(ConfigError) as caught:
        config.load(path, recipe.Stage)
    assert time.monotonic() - start < 2
    assert str(caught.value).isprintable()
    return str(caught.value)


@pytest.mark.skipif(os.name != "posix", reason="devices, pipes and links")
def test_what_a_recipe_may_not_extend(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(2**40)
    for place in ("/dev/zero", "/dev/random", "/dev/null", "pipe", "folder"):
        path.write_text(f'extends = "{place}"')
        assert f"{place}: a folder, a pipe or a device, wanted a file" in refused(path)
        assert "wanted a file" in refused(tmp_path / place)
    path.write_text('extends = "huge"')
    assert "huge: 1,099,511,627,776 bytes, wanted at most 131,072" in refused(path)
    path.write_text('extends = "a\\u0000b"')
    assert "cannot be read, which" in refused(path)
    path.write_text("extends = 3")
    assert "extends: 3, wanted the name of a file" in refused(path)
    path.write_text('extends = ""')  # the folder
    assert "wanted a file" in refused(path)


@pytest.mark.skipif(os.name != "posix", reason="links")
def test_a_recipe_that_extends_itself_by_another_name(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "link.toml").symlink_to(path)
    (tmp_path / "hard.toml").hardlink_to(path)
    (tmp_path / "up").symlink_to(tmp_path)
    for name in ("a.toml", "./a.toml", "folder/../a.toml", "link.toml", "hard.toml", "up/a.toml"):
        path.write_text(f'extends = "{name}"')
        assert "extends itself in the end" in refused(path), name
    (tmp_path / "b.toml").write_text('extends = "up/link.toml"')
    path.write_text('extends = "up/b.toml"')
    assert "extends itself in the end" in refused(path)
    for number in range(40):
        (tmp_path / f"{number}.toml").write_text(f'extends = "{number + 1}.toml"')
    assert "16 recipes extend each other, wanted fewer" in refused(tmp_path / "0.toml")


@pytest.mark.parametrize(
    "text",
    [
        f"data.{'.'.join(150 * 'a')} = 1",
        f"data.frames.{'.'.join(150 * 'a')} = 1",
        f"[{'.'.join(150 * 'a')}]",
        f"data.frames = {300 * '['}{300 * ']'}",
        f"data.lbos = {300 * '['}{300 * ']'}",
        f"data.x = {300 * '{a='}1{300 * '}'}",
    ],
)
def test_what_is_too_deep(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(text)
    (tmp_path / "b.toml").write_text(f'extends = "a.toml"\n{text}')
    for name in ("a.toml", "b.toml"):
        assert "tables or lists within 16 others" in refused(tmp_path / name)
