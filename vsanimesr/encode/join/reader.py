"""A source opened by PyAV, with all that can be known of its streams before they are read."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from vsanimesr.encode.common.names import url
from vsanimesr.encode.join.muxer import first_packets, opened

if TYPE_CHECKING:
    from pathlib import Path

_PATIENT = {"probesize": str(200 * 10**6), "analyzeduration": str(300 * 10**6)}
"""Bytes and microseconds that are looked at for streams that begin late, as in broadcasts: 5 MB and
5 s are FFmpeg's own, and what is not found in them has no rate and no channels."""


def reader(path: Path) -> Any:  # noqa: ANN401 (PyAV is partly typed)
    """Open a file to read packets from.

    Raises:
        av.error.FFmpegError: It cannot be opened.
        OSError: The same.
    """
    import av
    from av.error import FFmpegError

    container = av.open(url(path))
    # Program streams have no list of streams at all: one that begins late would not be there.
    if any(map(_is_unknown, container.streams)) or container.format.name == "mpeg":
        container.close()
        container = av.open(url(path), options=_PATIENT)
    if any(map(_is_unknown, container.streams)):  # what only packets themselves tell
        packets = first_packets(container)
        for stream in filter(_is_unknown, container.streams):
            opened(stream, packets.get(stream.index, []))
        with contextlib.suppress(FFmpegError):  # it cannot be sought in: as far as it was read
            container.seek(0, unsupported_byte_offset=True)
    return container


def _is_unknown(stream: Any) -> bool:  # noqa: ANN401
    context = stream.codec_context
    return stream.type == "audio" and context is not None and not context.sample_rate
