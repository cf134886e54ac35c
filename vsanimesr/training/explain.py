"""What is wrong with a key of a recipe, in the words of TOML and with the bounds of the struct."""

import re
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any, cast

from msgspec import inspect
from msgspec.inspect import Type

from vsanimesr.errors import brief

type Keys = list[str | int]
"""From the top of a recipe to a value in it: names of tables and keys, places in lists."""


def explain(message: str, table: object, root: object) -> tuple[Keys, str]:
    """Keys and plain words from an error of msgspec: `Expected `int`, got `str` - at `$.a.b``.

    Args:
        message: Of the error.
        table: What was to be converted.
        root: To what: a struct, or a union of tagged ones.
    """
    said = re.fullmatch(r"(?P<problem>.*?)(?: - at `\$(?P<path>.*)`)?", message, re.DOTALL)
    assert said
    parts = re.findall(r"\.([^.\[\]]+)|\[(\d+)\]", said["path"] or "")
    keys: Keys = [name or int(index) for name, index in parts]
    problem = said["problem"]
    info = _info(root)
    if unknown := re.fullmatch(r"Object contains unknown field `(.*)`", problem, re.DOTALL):
        held = find(table, keys)
        structs = _structs(_types(info, table, keys))
        fitting = [
            one for one in structs if one.tag_field and find(held, [one.tag_field]) == one.tag
        ]
        known = sorted({field.encode_name for one in fitting or structs for field in one.fields})
        return [*keys, unknown[1]], f"unknown key, wanted one of {', '.join(known)}"
    if missing := re.fullmatch(r"Object missing required field `(.*)`", problem):
        return [*keys, missing[1]], "missing"
    if not problem.startswith(("Invalid", "Expected")):
        return keys, problem  # of a check of our own, which says it all
    above = _structs(_types(info, table, keys[:-1]))
    tags = [str(one.tag) for one in above if keys and one.tag_field == keys[-1]]
    wanted = f"one of {', '.join(sorted(tags))}" if tags else _phrase(_types(info, table, keys))
    return keys, f"{shown(find(table, keys))}, wanted {wanted}"


def find(table: object, keys: Iterable[str | int]) -> object:
    """The value at this place; None where there is none."""
    for key in keys:
        try:
            table = cast(Any, table)[key]
        except (LookupError, TypeError):
            return None
    return table


@cache
def _info(root: object) -> Type:
    return inspect.type_info(root)


def _types(info: Type, table: object, keys: Sequence[str | int]) -> list[Type]:
    """What the value at this place may be."""
    if isinstance(info, inspect.UnionType):
        return [found for one in info.types for found in _types(one, table, keys)]
    if not keys:
        return [info]
    key, *rest = keys
    inner = find(table, [key])
    if isinstance(info, inspect.VarTupleType):
        return _types(info.item_type, inner, rest)
    if isinstance(info, inspect.TupleType) and isinstance(key, int):
        return _types(info.item_types[key], inner, rest)
    if isinstance(info, inspect.StructType):
        if info.tag_field and find(table, [info.tag_field]) != info.tag:
            return [info] if key == info.tag_field else []
        fields = [field for field in info.fields if field.encode_name == key]
        return [found for one in fields for found in _types(one.type, inner, rest)]
    return []


def _structs(types: Iterable[Type]) -> list[inspect.StructType]:
    return [one for one in types if isinstance(one, inspect.StructType)]


def _phrase(types: Iterable[Type]) -> str:
    """What is wanted, such as `a list of at least one whole number of 1 or more`."""
    phrases = [_one(info) for info in types if not isinstance(info, inspect.NoneType)]
    return " or ".join(dict.fromkeys(phrases))


def _one(info: Type) -> str:
    match info:
        case inspect.BoolType():
            return "true or false"
        case inspect.IntType():
            return f"a whole number{_bounds(info)}"
        case inspect.FloatType():
            return f"a number{_bounds(info)}"
        case inspect.LiteralType():
            return f"one of {', '.join(sorted(map(str, info.values)))}"
        case inspect.StructType():
            return "a table"
        case inspect.VarTupleType():
            least = f" of {info.min_length} or more" if info.min_length else ""
            return f"a list{least}, each {_phrase([info.item_type])}"
        case inspect.TupleType():
            return f"a list of {len(info.item_types)}, each {_phrase(info.item_types)}"
        case inspect.CustomType():
            return "the path of a file or folder"
        case _:
            return "text"


def _bounds(info: inspect.IntType | inspect.FloatType) -> str:
    bounds = {"above": info.gt, "from": info.ge, "below": info.lt, "to": info.le}
    said = [
        f" {word} {int(bound) if bound == int(bound) else bound:,}"
        for word, bound in bounds.items()
        if bound is not None
    ]
    return "".join(said)


def shown(value: object) -> str:
    """As TOML writes it, more or less; cut, so that what is wanted can be read behind it."""
    return str(value).lower() if isinstance(value, bool) else brief(repr(value), 200)
