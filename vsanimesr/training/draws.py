"""What the degradations draw: a generator for each operator, and checks of ranges and weights.

A clip's seed and an operator's name make its generator, so that adding or removing an operator
leaves the draws of the others as they were.
"""

import zlib

import msgspec
import numpy as np

from vsanimesr.errors import OptionError

MOST = 10**6
"""Of a weight: beyond it lies nothing that anybody means."""

type Range = tuple[float, float]
"""Least and greatest value, drawn from uniformly."""


def generator(seed: int, name: str, occurrence: int = 0) -> np.random.Generator:
    """The generator of one operator for one clip.

    Args:
        seed: Of the clip, 0 or more.
        name: Of the operator.
        occurrence: How many operators of this name come before it in the recipe.

    Raises:
        OptionError: A negative seed.
    """
    if seed < 0:
        raise OptionError(f"degrade: seed {seed}, wanted 0 or more")
    key = (zlib.crc32(name.encode()), occurrence)
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))


def happens(random: np.random.Generator, probability: float) -> bool:
    """True with this probability."""
    return bool(random.random() < probability)


def uniform(random: np.random.Generator, values: Range) -> float:
    """A number from the range."""
    return float(random.uniform(*values))


def choose(random: np.random.Generator, weights: msgspec.Struct) -> str:
    """The name of a field of `weights`, drawn in proportion to its value."""
    names, values = zip(*msgspec.structs.asdict(weights).items(), strict=True)
    return str(names[random.choice(len(names), p=np.divide(values, sum(values)))])


def field_seed(random: np.random.Generator) -> int:
    """A seed for torch's generator, where one number a pixel or a line is drawn."""
    return int(random.integers(2**63))


def check_probability(name: str, value: float) -> None:
    """Raise OptionError, naming the field, unless it is a probability."""
    if not 0 <= value <= 1:
        raise OptionError(f"{name} = {value}, wanted a probability from 0 to 1")


def check_range(name: str, values: Range, least: float = 0, most: float = np.inf) -> None:
    """Raise OptionError, naming the field, unless it is a range within these bounds."""
    low, high = values
    if not least <= low <= high <= most:  # NaN fails too
        bounds = f"from {least:g}" if most == np.inf else f"within {least:g} and {most:g}"
        raise OptionError(f"{name} = [{low}, {high}], wanted [least, greatest] {bounds}")


def check_weights(name: str, weights: msgspec.Struct) -> None:
    """Raise OptionError, naming the field, unless one of them can be chosen."""
    table = msgspec.structs.asdict(weights)
    values = np.array(list(table.values()), float)
    if not ((values >= 0) & (values <= MOST)).all() or not values.any():  # NaN fails too
        raise OptionError(f"{name} = {table}, wanted weights from 0 to {MOST:,}, not all 0")
