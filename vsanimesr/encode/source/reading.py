"""A container's packets, as far as they can be read."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_ATTEMPTS = 1000
_FASTER = Fraction(3, 2)
"""A clock that goes so many times as fast as the packets last counts something else."""
"""Failures in a row after which nothing more is to come."""


def beyond_damage(container: Any, streams: Sequence[Any] = ()) -> Iterator[Any]:  # noqa: ANN401
    """The packets of a source, those behind damage, too: the reader goes on there.

    Args:
        container: Of PyAV.
        streams: Whose; none: those of all.

    Raises:
        av.error.FFmpegError: Nothing more can be read.
    """
    from av.error import InvalidDataError

    failed = 0
    while True:
        try:
            for packet in container.demux(list(streams)) if streams else container.demux():
                failed = 0
                yield packet
            return
        except InvalidDataError:
            failed += 1
            if failed == _ATTEMPTS:
                raise


def counts_otherwise(container: Any, packets: Sequence[Any]) -> bool:  # noqa: ANN401
    """Whether the times of a stream are in other units than it states, and only durations right.

    AVI states no times, but how many units of how many bytes there are; of some codecs (AMR, DTS)
    its reader takes bytes for packets.

    Args:
        container: Of PyAV.
        packets: The first ones of a stream of sound.
    """
    if container.format.name != "avi":
        return False
    steps = [
        (b.pts - a.pts, a.duration)
        for a, b in pairwise(packets)
        if a.pts is not None and b.pts is not None and a.duration
    ]
    return len(steps) > 1 and all(step > _FASTER * lasts for step, lasts in steps)
