"""Containers that a result can have."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vsanimesr.encode.common.names import shown
from vsanimesr.errors import EncodeError

if TYPE_CHECKING:
    from pathlib import Path

MUXERS = {".mkv": "matroska", ".mp4": "mp4", ".m4v": "mp4", ".mov": "mov"}
"""Known extensions of the result and ffmpeg's name of their format."""


def muxer_of(output: Path) -> str:
    """Name ffmpeg's format for an output file.

    Raises:
        EncodeError: Unknown extension.
    """
    try:
        return MUXERS[output.suffix.lower()]
    except KeyError:
        known = ", ".join(MUXERS)
        raise EncodeError(
            f"upscale: {shown(output)} has no known extension; wanted: {known}"
        ) from None
