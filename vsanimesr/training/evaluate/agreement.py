"""Whether measures agree on which network is better: Kendall's tau between their orders."""

import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import msgspec
from scipy import stats

from vsanimesr.training.evaluate.compare import Column, Series, mean_of


class Agreement(msgspec.Struct, frozen=True, kw_only=True):
    """How two measures order the networks of a clip, compared."""

    a: str
    """Key of a measure."""
    b: str
    tau: float
    """Kendall's tau-b, each measure's better first, the mean over clips: 1 where both have the same
    order, 0 where one says nothing of the other, -1 where one reverses the other."""
    clips: int
    """That have two or more networks which both measures have judged, and not all as equal."""


def between(columns: Sequence[Column], networks: Sequence[Mapping[str, Series]]) -> list[Agreement]:
    """Of every two measures that can be compared.

    Orders are those within one clip, for clips differ by more than networks do: across them every
    measure would agree with every other on which clip is hard.

    Args:
        columns: The measures.
        networks: What was measured of each, by clip.
    """
    clips = sorted({clip for series in networks for clip in series})
    found: list[Agreement] = []
    for a, b in combinations(columns, 2):
        taus = [
            tau
            for clip in clips
            if (tau := _tau(a, b, [series[clip] for series in networks if clip in series]))
            is not None
        ]
        if taus:
            mean = sum(taus) / len(taus)
            found.append(Agreement(a=a.key, b=b.key, tau=mean, clips=len(taus)))
    return found


def _tau(a: Column, b: Column, networks: Sequence[Series]) -> float | None:
    pairs = [
        (first, second)
        for series in networks
        if (first := mean_of(series, a.key)) is not None
        and (second := mean_of(series, b.key)) is not None
    ]
    if len(pairs) < 2:
        return None
    same = 1 if a.better == b.better else -1
    found: Any = stats.kendalltau(*zip(*pairs, strict=True))
    return None if math.isnan(found.statistic) else same * float(found.statistic)
