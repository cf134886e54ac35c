"""Whether an encoded chunk is what it should be: frame by frame, to the last one."""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from vsanimesr.encode.common.durable import digest
from vsanimesr.encode.common.names import url
from vsanimesr.errors import EncodeError

if TYPE_CHECKING:
    from pathlib import Path

_ROUNDED = Fraction(2, 1000)
"""Most that steps of an even rate differ by in Matroska, which counts in ms."""


@dataclass(frozen=True, kw_only=True)
class Made:
    """What a chunk's file is."""

    sha256: str
    """Of the file."""
    size: int
    """Bytes of the file."""
    frames: int
    """Pictures in it."""
    pixels: str
    """ffmpeg's name of their format."""
    head: str
    """SHA-256 of what decoders are set up with; chunks are joined only where it is the same."""


def verify(path: Path, frames: int) -> Made:
    """Decode a chunk to its end.

    Args:
        path: The file.
        frames: How many pictures it should have.

    Raises:
        EncodeError: It cannot be decoded, begins with no key frame, or has other frames than it
            should, or at other times.
    """
    import av
    from av.error import FFmpegError

    try:
        with av.open(url(path)) as container:
            stream = container.streams.video[0]
            packets = [p for p in container.demux(stream) if p.size]
            times = sorted(Fraction((p.pts or 0) * stream.time_base) for p in packets)
            codec = stream.codec_context
            head = codec.name.encode() + (codec.extradata or b"")
        with av.open(url(path)) as container:
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            # Smoothing comes after all that a stream says is read, and costs an eighth.
            options = {"err_detect": "explode", "skip_loop_filter": "all"}
            stream.codec_context.options = options
            pixels, count = "", 0
            for frame in container.decode(stream):
                pixels, count = frame.format.name, count + 1
    except (FFmpegError, OSError, IndexError) as error:
        raise EncodeError(f"upscale: what ffmpeg made cannot be decoded: {error}") from error
    if len(packets) != frames or count != frames:
        raise EncodeError(
            f"upscale: ffmpeg made {count} frames in {len(packets)} packets of {frames}; wanted: "
            "one each (do the options for ffmpeg drop or add frames?)"
        )
    if not packets[0].is_keyframe:
        raise EncodeError("upscale: what ffmpeg made begins with no key frame; wanted: closed GOPs")
    steps = {later - earlier for earlier, later in itertools.pairwise(times)}
    if steps and (min(steps) <= 0 or max(steps) - min(steps) > _ROUNDED):
        raise EncodeError("upscale: what ffmpeg made has uneven times; wanted: those it was given")
    return Made(
        sha256=digest(path),
        size=path.stat().st_size,
        frames=count,
        pixels=pixels,
        head=hashlib.sha256(head).hexdigest(),
    )
