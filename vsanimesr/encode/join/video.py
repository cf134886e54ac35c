"""The chunks' packets in one row, each with the film's time; and what the video says of itself."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from vsanimesr.encode.common.names import shown, url
from vsanimesr.errors import EncodeError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from vsanimesr.encode.join.carry import Carrier
    from vsanimesr.encode.join.plan import Plan
    from vsanimesr.encode.source.times import Times

_HIGHEST = 2**31 - 1  # libav's rationals are two ints


def order(chunks: Sequence[Path]) -> tuple[list[list[int]], int]:
    """Each chunk's packets' places in the order of showing, and the greatest delay by reordering.

    The delay is how many packets a decoder is given before it can show the first frame.
    """
    import av
    from av.error import FFmpegError

    found, delay = list[list[int]](), 0
    for path in chunks:
        try:
            with av.open(url(path)) as container:
                stream = container.streams.video[0]
                own = [p.pts or 0 for p in container.demux(stream) if p.size]
        except (FFmpegError, OSError, IndexError) as error:
            raise EncodeError(
                f"upscale: the chunk {shown(path)} cannot be read: {error}"
            ) from error
        ranks = {pts: rank for rank, pts in enumerate(sorted(own))}
        if len(ranks) != len(own):
            raise EncodeError(f"upscale: the chunk {shown(path)} shows two frames at one time")
        found.append([ranks[pts] for pts in own])
        delay = max(delay, *(n - rank for n, rank in enumerate(found[-1])))
    return found, delay


def shifted(times: Times, shift: Fraction) -> Times:
    """Times that start elsewhere, exactly: in a unit of which both are multiples."""
    if not shift:
        return times
    den = math.lcm(times.base.denominator, shift.denominator)
    if den > _HIGHEST:  # as near as libav's rationals allow
        den = times.base.denominator * (_HIGHEST // times.base.denominator)
    unit = Fraction(1, den)
    scale, offset = times.base / unit, round(shift / unit)
    assert scale.denominator == 1
    pts = [pts * scale.numerator - offset for pts in times.pts]
    return replace(times, pts=pts, base=unit, last=times.last * scale.numerator)


def describe(
    video: Any,  # noqa: ANN401
    times: Times,
    rest: Plan | None,
    tags: Mapping[str, str],
    muxer: str,
) -> None:
    """Say of the result's video what its film says, and how it was encoded."""
    video.time_base = times.base
    video.codec_context.framerate = times.rate
    if muxer != "matroska" and video.codec_context.codec.canonical_name == "hevc":
        video.codec_context.codec_tag = "hvc1"  # Apple's players refuse hev1
    video.metadata.update(dict(rest.video_tags if rest else {}) | dict(tags))
    if rest:
        video.disposition = rest.video_disposition


def video_packets(
    chunks: Sequence[Path],
    places: Sequence[Sequence[int]],
    delay: int,
    times: Times,
    muxer: str,
    video: Any,  # noqa: ANN401
) -> Iterator[tuple[Fraction, Any, Carrier | None]]:
    """The video's packets in their order of decoding, with the film's times.

    Packet i is decoded when frame i - delay is shown: that is never after it is shown itself, and
    increases as the times do, however uneven they are.
    """
    import av

    base = times.base
    count = len(times.pts)
    step = times.pts[1] - times.pts[0] if count > 1 else times.last
    first = times.pts[0]
    # Matroska ends where the frame shown last ends; MP4 where the packet decoded last does, and
    # the span of decoding times is made that of the times of showing.
    span = times.pts[-1] + times.last - first
    start, i = 0, 0
    for path, ranks in zip(chunks, places, strict=True):
        with av.open(url(path)) as container:
            stream = container.streams.video[0]
            own = (p for p in container.demux(stream) if p.size)
            for packet, rank in zip(own, ranks, strict=True):
                n = start + rank
                shown_for = times.pts[n + 1] - times.pts[n] if n + 1 < count else times.last
                dts = times.pts[i - delay] if i >= delay else first - (delay - i) * step
                packet.stream = video
                packet.time_base = base
                packet.pts, packet.dts = times.pts[n], dts
                packet.duration = shown_for
                if muxer != "matroska" and i == count - 1:
                    packet.duration = max(span - (dts - (first - delay * step)), 1)
                i += 1
                yield dts * base, packet, None
        start += len(ranks)
