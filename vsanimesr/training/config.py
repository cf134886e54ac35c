"""Typed TOML recipes: what a file says, checked to the last key, as a frozen struct."""

import stat
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, cast

import msgspec

from vsanimesr.errors import LINE, TrainingError, brief
from vsanimesr.training.explain import explain, find, shown

EXTENDS = "extends"
"""Key at the top of a recipe: another recipe, relative to this one, whose keys it takes over."""

MAX_BYTES = 2**17
"""Of a recipe's file; the longest here has 3 kB."""
MAX_DEPTH = 16
"""Tables and lists within each other, and recipes that extend each other; here 4 and 3."""
MAX_DOTS = 200
"""Of a line: the time that a dotted key takes goes with the square of its length."""
MAX_PATH = 4096
"""Characters of a path, as Linux has it."""
MAX_NAME = 255
"""Bytes of a name in it; looking for one of more is an error of the system's."""

type Table = dict[str, Any]
type Layer = tuple[str, Table]
"""A file, or an option of the command line, and what it says."""


class ConfigError(TrainingError):
    """A recipe that cannot be read, or one of whose keys cannot be used."""

    def __init__(self, source: str, path: str, problem: str) -> None:
        """Take what is wrong and where.

        Args:
            source: The file, or the option of the command line, that has the key.
            path: Of the key, such as `train.optimizer.lr`; empty for the file as a whole.
            problem: What was given and what is wanted.
        """
        place = f"{brief(source, 300)}: {brief(path, 200)}" if path else brief(source, 300)
        said = f"{place}: {problem}"
        super().__init__(brief(said, LINE))
        self.source, self.path, self.problem = source, path, problem


def load[T](path: Path, wanted: type[T], overrides: Sequence[str] = ()) -> T:
    """Read a recipe.

    A table of a recipe is merged with that of the same name in the recipe it extends; any other
    value replaces the one before. Paths in a recipe are relative to the working folder, but for
    that of `extends`.

    Args:
        path: The TOML file.
        wanted: A msgspec struct, or a union of tagged ones.
        overrides: `key.of.a.table=value`, the value as in TOML, or a bare word for text.

    Raises:
        ConfigError: A file is missing or no TOML, or a key is unknown, missing or has a value that
            cannot be used; names the file, the key, what was given and what is wanted.
    """
    layers = [*_files(path, ()), *map(_override, overrides)]
    merged: Table = {}
    for _, table in layers:
        merged = _merge(merged, table)
    try:
        return msgspec.convert(merged, wanted, dec_hook=_decode)
    except msgspec.ValidationError as error:
        keys, problem = explain(str(error), merged, wanted)
        holders = (source for source, table in reversed(layers) if find(table, keys) is not None)
        raise ConfigError(next(holders, str(path)), _dotted(keys), problem) from error


def plain(recipe: msgspec.Struct) -> Table:
    """The recipe as TOML's own types, every default written out."""
    return cast(Table, msgspec.to_builtins(recipe, enc_hook=str))


def completed(table: Table, wanted: object) -> Table:
    """A recipe that was written out before, with the defaults of the keys that came since.

    One that this version cannot read any more is given back as it is.

    Args:
        table: As `plain` gives it, or read back from JSON.
        wanted: As for `load`.
    """
    try:
        recipe = msgspec.convert(table, cast(type[msgspec.Struct], wanted), dec_hook=_decode)
    except msgspec.ValidationError:
        return table
    return cast(Table, msgspec.json.decode(msgspec.json.encode(plain(recipe))))


def differences(old: Table, new: Table) -> Iterable[tuple[str, object, object]]:
    """Path and both values of every key that differs; None where there is none."""
    for key in sorted(old.keys() | new.keys()):
        before, after = old.get(key), new.get(key)
        if isinstance(before, dict) and isinstance(after, dict):
            inner = differences(cast(Table, before), cast(Table, after))
            yield from ((f"{key}.{path}", was, now) for path, was, now in inner)
        elif before != after:
            yield key, before, after


def _files(path: Path, children: tuple[tuple[Path, tuple[int, int]], ...]) -> list[Layer]:
    """Name and content of a recipe and of those it extends, the first extended first.

    Args:
        path: Of the recipe.
        children: Those that extend it, with device and number of each file: one file can have many
            names.
    """
    source = str(path)
    try:
        found = path.stat()
        which = found.st_dev, found.st_ino
        if which in [one for _, one in children]:
            raise ConfigError(str(children[-1][0]), EXTENDS, f"{path} extends itself in the end")
        if not stat.S_ISREG(found.st_mode):  # a device may never end, a pipe never begin
            raise ConfigError(source, "", "a folder, a pipe or a device, wanted a file")
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in its name
        by = f", which {children[-1][0]} extends" if children else ""
        said = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(source, "", f"cannot be read{by} ({said})") from error
    if len(content) > MAX_BYTES:
        size = max(found.st_size, len(content))
        raise ConfigError(source, "", f"{size:,} bytes, wanted at most {MAX_BYTES:,}")
    if max(line.count(b".") for line in content.split(b"\n")) > MAX_DOTS:
        raise ConfigError(source, "", f"a line with more than {MAX_DOTS} dots, wanted fewer")
    try:
        table = tomllib.loads(content.decode())
    except (ValueError, RecursionError) as error:  # no UTF-8, no TOML, too deep, a number too long
        raise ConfigError(source, "", f"no TOML: {error}") from error
    _check_depth(source, table)
    parent = table.pop(EXTENDS, None)
    if parent is None:
        return [(source, table)]
    if not isinstance(parent, str):
        raise ConfigError(source, EXTENDS, f"{shown(parent)}, wanted the name of a file")
    if len(children) >= MAX_DEPTH:
        raise ConfigError(source, EXTENDS, f"{MAX_DEPTH} recipes extend each other, wanted fewer")
    return [*_files(path.parent / parent, (*children, (path, which))), (source, table)]


def _check_depth(source: str, table: Table) -> None:
    """Refuse what would exhaust the stack of whatever follows it down."""
    level: list[object] = [table]
    for _ in range(MAX_DEPTH):
        inner = (list[object](one.values()) if isinstance(one, dict) else one for one in level)
        level = [value for held in inner if isinstance(held, list) for value in held]
    if any(isinstance(one, dict | list) for one in level):
        raise ConfigError(source, "", f"tables or lists within {MAX_DEPTH} others, wanted fewer")


def _override(text: str) -> Layer:
    source = f"--set {text}"
    name, equals, value = text.partition("=")
    keys = name.strip().split(".")
    if not equals or not all(keys) or text.count(".") > MAX_DOTS:
        raise ConfigError(source, "", "wanted key=value, such as train.iterations=20")
    try:
        table: Any = tomllib.loads(f"value = {value}")["value"]
    except (ValueError, RecursionError):
        table = value.strip()
    for key in reversed(keys):
        table = {key: table}
    _check_depth(source, table)
    return source, table


def _merge(below: Table, above: Table) -> Table:
    merged = dict(below)
    for key, value in above.items():
        before = merged.get(key)
        both = isinstance(value, dict) and isinstance(before, dict)
        merged[key] = _merge(cast(Table, before), cast(Table, value)) if both else value
    return merged


def _decode(wanted: type, value: object) -> object:
    if wanted is Path and isinstance(value, str):
        path = Path(value)
        longest = max((len(name.encode()) for name in path.parts), default=0)
        if "\0" in value or not 0 < len(value) <= MAX_PATH or longest > MAX_NAME:
            raise ValueError(
                f"{shown(value)}, wanted the path of a file or folder: 1 to {MAX_PATH:,} "
                f"characters, names in it of up to {MAX_NAME} bytes, no NUL"
            )
        return path
    raise TypeError(f"Expected the path of a file or folder, got `{type(value).__name__}`")


def _dotted(keys: Iterable[str | int]) -> str:
    text = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in keys)
    return text.removeprefix(".")
