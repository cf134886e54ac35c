"""A container's packets, as far as they can be read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_ATTEMPTS = 1000
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
