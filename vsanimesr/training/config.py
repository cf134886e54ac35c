"""Typed TOML recipes: what a file says, checked to the last key, as a frozen struct."""

import re
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, cast

import msgspec
from msgspec import inspect
from msgspec.inspect import Type

from vsanimesr.errors import LINE, TrainingError, brief

EXTENDS = "extends"
"""Key at the top of a recipe: another recipe, relative to this one, whose keys it takes over."""

MAX_BYTES = 2**20
"""Of a recipe's file; the longest here has 3 kB."""

type Table = dict[str, Any]


class ConfigError(TrainingError):
    """A recipe that cannot be read, or one of whose keys cannot be used."""

    def __init__(self, source: str, path: str, problem: str) -> None:
        """Take what is wrong and where.

        Args:
            source: The file, or the option of the command line, that has the key.
            path: Of the key, such as `train.optimizer.lr`; empty for the file as a whole.
            problem: What was given and what is wanted.
        """
        said = f"{source}: {path}: {problem}" if path else f"{source}: {problem}"
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
        keys, problem = _explain(str(error), merged, wanted)
        holders = (source for source, table in reversed(layers) if _find(table, keys) is not None)
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


def _files(path: Path, children: tuple[Path, ...]) -> list[tuple[str, Table]]:
    """Name and content of a recipe and of those it extends, the first extended first."""
    if path in children:
        raise ConfigError(str(children[-1]), EXTENDS, f"{path} extends itself in the end")
    try:
        if (size := path.stat().st_size) > MAX_BYTES:
            raise ConfigError(str(path), "", f"{size:,} bytes, wanted at most {MAX_BYTES:,}")
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        by = f", which {children[-1]} extends" if children else ""
        raise ConfigError(str(path), "", f"cannot be read{by} ({error.strerror})") from error
    except (ValueError, RecursionError) as error:  # no UTF-8, no TOML, too deep, a number too long
        raise ConfigError(str(path), "", f"no TOML: {error}") from error
    parent = table.pop(EXTENDS, None)
    if parent is None:
        return [(str(path), table)]
    if not isinstance(parent, str):
        raise ConfigError(str(path), EXTENDS, f"{parent!r}, wanted the name of a file")
    return [*_files(path.parent / parent, (*children, path)), (str(path), table)]


def _override(text: str) -> tuple[str, Table]:
    source = f"--set {text}"
    name, equals, value = text.partition("=")
    keys = name.strip().split(".")
    if not equals or not all(keys):
        raise ConfigError(source, "", "wanted key=value, such as train.iterations=20")
    try:
        table: Any = tomllib.loads(f"value = {value}")["value"]
    except (ValueError, RecursionError):
        table = value.strip()
    for key in reversed(keys):
        table = {key: table}
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
        return Path(value)
    raise TypeError(f"Expected the path of a file or folder, got `{type(value).__name__}`")


def _explain(message: str, table: Table, root: object) -> tuple[list[str | int], str]:
    """Keys and plain words from an error of msgspec: `Expected `int`, got `str` - at `$.a.b``."""
    said = re.fullmatch(r"(?P<problem>.*?)(?: - at `\$(?P<path>.*)`)?", message, re.DOTALL)
    assert said
    parts = re.findall(r"\.([^.\[\]]+)|\[(\d+)\]", said["path"] or "")
    keys: list[str | int] = [name or int(index) for name, index in parts]
    problem = said["problem"]
    info = inspect.type_info(root)
    if unknown := re.fullmatch(r"Object contains unknown field `(.*)`", problem):
        held = _find(table, keys)
        structs = _structs(_types(info, table, keys))
        fitting = [
            one for one in structs if one.tag_field and _find(held, [one.tag_field]) == one.tag
        ]
        known = sorted({field.encode_name for one in fitting or structs for field in one.fields})
        return [*keys, unknown[1]], f"unknown key, wanted one of {', '.join(known)}"
    if missing := re.fullmatch(r"Object missing required field `(.*)`", problem):
        return [*keys, missing[1]], "missing"
    if problem.startswith("Invalid"):
        *above, last = keys
        tags = [one.tag for one in _structs(_types(info, table, above)) if one.tag_field == last]
        words = [one for found in _types(info, table, keys) for one in _words(found)]
        known = sorted(map(str, words or tags))
        return keys, f"{_find(table, keys)!r}, wanted one of {', '.join(known)}"
    if wanted := re.fullmatch(r"Expected (.*?)(?:, got .*)?", problem, re.DOTALL):
        return keys, f"{_find(table, keys)!r}, wanted {wanted[1].replace('`', '')}"
    return keys, problem  # of a check of our own, which says it all


def _types(info: Type, table: object, keys: Sequence[str | int]) -> list[Type]:
    """What the value at this place may be."""
    if isinstance(info, inspect.UnionType):
        return [found for one in info.types for found in _types(one, table, keys)]
    if not keys:
        return [info]
    key, *rest = keys
    if isinstance(info, inspect.VarTupleType):
        return _types(info.item_type, _find(table, [key]), rest)
    if isinstance(info, inspect.StructType):
        if info.tag_field and _find(table, [info.tag_field]) != info.tag:
            return [info] if key == info.tag_field else []
        fields = [field for field in info.fields if field.encode_name == key]
        return [found for one in fields for found in _types(one.type, _find(table, [key]), rest)]
    return []


def _structs(types: Iterable[Type]) -> list[inspect.StructType]:
    return [one for one in types if isinstance(one, inspect.StructType)]


def _words(info: Type) -> Iterable[object]:
    return info.values if isinstance(info, inspect.LiteralType) else ()


def _find(table: object, keys: Iterable[str | int]) -> object:
    for key in keys:
        try:
            table = cast(Any, table)[key]
        except (LookupError, TypeError):
            return None
    return table


def _dotted(keys: Iterable[str | int]) -> str:
    text = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in keys)
    return text.removeprefix(".")
