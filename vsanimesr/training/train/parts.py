"""Whether a checkpoint has every part that a run goes on from, each as this run would write it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor
from torch.optim import Optimizer

from vsanimesr.errors import brief

MEMORIES = ("exp_avg", "exp_avg_sq")
"""What Adam keeps of each parameter, beside the number of its steps."""
OPTIONS = ("params", "lr", "betas", "eps", "initial_lr")
"""Of Adam, those that a run cannot do without; versions of torch add others."""

KINDS = {
    **{"dict": "a table", "OrderedDict": "a table", "list": "a list", "tuple": "a list"},
    **{"str": "text", "NoneType": "none", "bool": "true or false", "Tensor": "a tensor"},
    **{"int": "a whole number", "float": "a number"},
}


def of_adam(adam: Optimizer) -> dict[str, Any]:
    """What the state of an optimiser looks like once it has made a step."""
    state = adam.state_dict()
    values = [value for group in adam.param_groups for value in group["params"]]
    return {
        "state": {
            number: {"step": torch.tensor(0.0), **dict.fromkeys(MEMORIES, value)}
            for number, value in enumerate(values)
        },
        "param_groups": state["param_groups"],
    }


def differences(found: object, wanted: object, name: str) -> Iterator[str]:
    """What is missing, of another type or size, or not finite.

    Args:
        found: A part of a checkpoint.
        wanted: The same of this run; its numbers do not matter.
        name: Of the part.
    """
    match wanted:
        case Tensor():
            yield from _of_tensor(found, wanted, name)
        case Mapping():
            table = cast(Mapping[object, object], wanted)
            if not isinstance(found, Mapping):
                yield f"{name} is {_kind(found)}, wanted a table"
                return
            other = cast(Mapping[object, object], found)
            of_versions = "lr" in table
            for key, value in table.items():
                if key in other:
                    yield from differences(other[key], value, f"{name}.{key}")
                elif not of_versions or key in OPTIONS:
                    yield f"no {name}.{key}"
            if of_versions:
                yield from _of_numbers(other.get("params"), table["params"], f"{name}.params")
            if not of_versions:
                yield from (f"unknown {name}.{brief(key)}" for key in other if key not in table)
        case list() | tuple():
            items = cast(Sequence[object], wanted)
            if not isinstance(found, list | tuple):
                yield f"{name} is {_kind(found)}, wanted a list"
            elif len(cast(Sequence[object], found)) != len(items):
                yield f"{name} has {len(cast(Sequence[object], found))}, wanted {len(items)}"
            else:
                pairs = zip(cast(Sequence[object], found), items, strict=True)
                for place, (one, other) in enumerate(pairs):
                    yield from differences(one, other, f"{name}[{place}]")
        case None:
            if found is not None and not isinstance(found, float | bool):
                yield f"{name} is {_kind(found)}, wanted none or a number"
        case float():
            if isinstance(found, bool) or not isinstance(found, int | float):
                yield f"{name} is {_kind(found)}, wanted a number"
        case _:
            if type(found) is not type(wanted):
                yield f"{name} is {_kind(found)}, wanted {_kind(wanted)}"


def _of_tensor(found: object, wanted: Tensor, name: str) -> Iterator[str]:
    if not isinstance(found, Tensor):
        yield f"{name} is {_kind(found)}, wanted a tensor"
    elif found.shape != wanted.shape:
        yield f"{name} is {tuple(found.shape)}, wanted {tuple(wanted.shape)}"
    elif found.dtype != wanted.dtype:
        yield f"{name} is {found.dtype}, wanted {wanted.dtype}"
    elif found.is_floating_point() and not found.isfinite().all():
        yield f"{name} holds NaN or infinite values"


def _of_numbers(found: object, wanted: object, name: str) -> Iterator[str]:
    """Adam finds a parameter's memories by its number: another one would leave it without."""
    if isinstance(found, list | tuple):
        pairs = zip(cast(Sequence[object], found), cast(Sequence[object], wanted), strict=False)
        for place, (one, other) in enumerate(pairs):
            if one != other:
                yield f"{name}[{place}] is {brief(one)}, wanted {other}"


def _kind(value: object) -> str:
    return KINDS.get(type(value).__name__, type(value).__name__)
