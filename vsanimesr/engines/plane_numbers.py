"""What converts planes to RGB and back, in plain numbers, for engines without graphs for it."""

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from vsanimesr.colour import Affine, Colour, Format
from vsanimesr.resample import SITES, Filter


class Line(NamedTuple):
    """A `resample.Filter` in plain numbers."""

    before: int
    after: int
    ratio: int
    phases: list[list[float]]


class Numbers(NamedTuple):
    """What a conversion computes with: `colour.Affine` by output channel, and chroma's filters."""

    rows: list[tuple[list[float], float]]
    """Weights and offset. Of GRAY's three equal channels, one."""
    along: Line
    down: Line


@lru_cache(maxsize=64)
def numbers_of(
    of: Format,
    colour: Colour,
    affine: Callable[[Format, Colour], Affine],
    design: Callable[[int, float], Filter],
) -> Numbers:
    """The numbers of a conversion between planes of a format and colour, and RGB.

    Args:
        of: Format of the planes.
        colour: What their samples mean.
        affine: `colour.reading` or `colour.writing`.
        design: `resample.enlarging` or `resample.shrinking`.

    Raises:
        OptionError: As `affine`.
    """
    values = affine(of, colour)
    rows = list(zip(values.matrix.tolist(), values.offset.tolist(), strict=True))[: of.planes]
    lines: list[Line] = []
    for sub, site in zip((of.sub_w, of.sub_h), SITES[colour.chroma], strict=True):
        found = design(1 << sub, site)
        phases = np.atleast_2d(found.taps).tolist()
        lines.append(Line(found.before, found.after, 1 << sub, phases))
    return Numbers(rows, *lines)
