"""Whether a source is whole: what its container states against what it holds."""

from __future__ import annotations

import contextlib
import re
import statistics
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from vsanimesr.encode.common.names import url
from vsanimesr.encode.source.ending import asf_length, ending
from vsanimesr.encode.source.reading import beyond_damage
from vsanimesr.encode.source.times import UNKNOWN

if TYPE_CHECKING:
    from pathlib import Path

    from vsanimesr.encode.source.times import Times

_SLACK = 0.5, 0.001
"""A source may lack half a second and a thousandth of what its container states: some state
times in whole seconds, some end with a frame that is held."""
_SHARE = 0.2
"""And of its video no more than this share, where that is stated by itself and is short."""
_GAP = 1.0, 5.0
"""Frames are missing where the next one comes after a second and five frames' time."""


@dataclass(kw_only=True)
class Packets:
    """What reading a file to its end shows."""

    stated: float
    """How long the container says it lasts, in seconds; 0: it does not say."""
    held: float = 0.0
    """How long what it holds lasts."""
    lasts: float = 0.0
    """When the container says that the video itself ends, in seconds; 0: it does not say."""
    ends: float = 0.0
    """When it does."""
    resumes: bool = False
    """Whether the format is one of broadcasts, whose signal may fail for a while."""
    durations: dict[int, int] = field(default_factory=dict[int, int])
    """Of the video's packets, by their times, both in the stream's ticks."""
    video: list[float] = field(default_factory=list[float])
    sound: list[float] = field(default_factory=list[float])
    """Times of the packets, in seconds, sorted."""
    shapes: list[tuple[float, Fraction]] = field(default_factory=list[tuple[float, Fraction]])
    """When the shape of the pixels changes, in seconds, and to what; the first, too."""
    failed: str = ""
    """Why reading ended before the file did; empty: it did not."""
    ending: str = ""
    """What the file's end tells, in words that go on from its name."""
    end: int | None = None
    """End of the video where the container's own table states it, in the stream's ticks."""


def read(path: Path, track: int) -> Packets:
    """Read all packets of a file, and decode the video's key frames: they state its shape.

    Args:
        path: The file.
        track: Number of the video stream.
    """
    import av
    from av.error import FFmpegError

    with av.open(url(path)) as container:
        stream: Any = container.streams[track]
        # Matroska counts from 0, not from its first packet.
        counted = "matroska" not in container.format.name
        start = (container.start_time or 0) / av.time_base if counted else 0.0
        found = Packets(
            stated=(container.duration or 0) / av.time_base,
            resumes="mpegts" in container.format.name,
        )
        if container.format.name == "avi" and stream.average_rate:
            # `duration` is cut to the file's size there; the header's count of frames is not.
            found.stated = max(found.stated, stream.frames / float(stream.average_rate))
        if container.format.name == "asf":  # `duration` is reckoned from the size there
            found.stated = max(found.stated, asf_length(path))
        found.ending = ending(path, container.format.name)
        if "mp4" in container.format.name and stream.duration:
            found.end = (stream.start_time or 0) + stream.duration
            found.lasts = float(found.end * stream.time_base)
        if not counted:
            found.lasts = _tagged(stream)
        stream.codec_context.skip_frame = "NONKEY"
        lasted = dict[int, int]()  # by stream, all durations
        avi = container.format.name == "avi"
        try:
            for packet in beyond_damage(container):
                at = packet.pts if packet.pts is not None else packet.dts
                if not packet.size or at is None:
                    continue
                if avi and packet.stream.type == "audio":  # see `reading.counts_otherwise`
                    before = lasted.get(packet.stream_index, 0)
                    lasted[packet.stream_index] = before + (packet.duration or 0)
                    at = before if 0 < 3 * before < 2 * at else at
                second = float(at * packet.time_base)
                end = float((at + (packet.duration or 0)) * packet.time_base)
                found.held = max(found.held, end - start)
                if packet.stream_index == track:
                    found.ends = max(found.ends, end)
                    found.video.append(second)
                    if packet.is_keyframe:
                        _shape(packet, stream, second, found.shapes)
                    if packet.pts is not None:
                        found.durations[packet.pts] = packet.duration or 0
                elif packet.stream.type == "audio":
                    found.sound.append(second)
        except FFmpegError as error:
            found.failed = error.strerror or str(error)
    found.video.sort()
    found.sound.sort()
    return found


def _tagged(stream: Any) -> float:  # noqa: ANN401
    """When a track of Matroska ends, as whoever wrote it has noted (`DURATION`); 0: nobody has."""
    for name, value in stream.metadata.items():
        clock = re.fullmatch(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)", value)
        if clock and name.upper().startswith("DURATION"):
            return int(clock[1]) * 3600 + int(clock[2]) * 60 + float(clock[3])
    return 0.0


def _shape(packet: Any, stream: Any, second: float, shapes: list[tuple[float, Fraction]]) -> None:  # noqa: ANN401
    """Enter what a key frame says of the shape of its pixels, if that is new."""
    from av.error import FFmpegError

    with contextlib.suppress(FFmpegError, ValueError):  # damaged, or there is no decoder
        stream.decode(packet)
        shape = Fraction(stream.codec_context.sample_aspect_ratio or 0)
        if shape and (not shapes or shapes[-1][1] != shape):
            shapes.append((second, shape))


def changes(packets: Packets) -> str:
    """Words that go on from the file's name: what changes midway and cannot be kept, or nothing."""
    if len(packets.shapes) < 2:
        return ""
    (_, first), (second, then) = packets.shapes[:2]
    more = f", and {len(packets.shapes) - 2} times more" if len(packets.shapes) > 2 else ""
    return (
        f"changes the shape of its pixels from {first.numerator}:{first.denominator} to "
        f"{then.numerator}:{then.denominator} at {second:.2f} s{more}; the result keeps one shape"
    )


def last_duration(packets: Packets, last: int) -> int:
    """How long the file says its last frame is shown, in stream ticks; 0: it does not say.

    Args:
        packets: Of the file.
        last: Start of the last frame in stream ticks.
    """
    if last == UNKNOWN:
        return 0
    if packets.end is not None:
        # Packets' durations are steps of decoding time there; the track's end is exact.
        return max(packets.end - last, 0)
    return packets.durations.get(last, 0)


def lack(packets: Packets, times: Times) -> tuple[str, bool]:
    """What is missing from a file.

    Args:
        packets: Of the file.
        times: Of the frames that could be decoded.

    Returns:
        Words that go on from the file's name, empty where nothing is; and whether the film is
        damaged, which a broadcast whose signal fails for a while is not.
    """
    slack = _SLACK[0] + _SLACK[1] * packets.stated
    if packets.stated - packets.held > slack:
        lengths = f"{packets.held:.2f} s of the {packets.stated:.2f} s that it states"
        why = f" ({packets.failed})" if packets.failed else ""
        return f"is not whole: it holds {lengths}{why}", True
    if packets.failed and not packets.stated:
        return f"cannot be read beyond {packets.held:.2f} s ({packets.failed})", True
    if packets.ending:
        return packets.ending, True
    if packets.lasts - packets.ends > min(slack, _SHARE * packets.lasts):
        lengths = f"{packets.ends:.2f} s of video, and states {packets.lasts:.2f} s of it"
        return f"is not whole: it holds {lengths}", True
    if len(times.clocks) > 1 or len(times.pts) < 2 or not packets.video:
        return "", False
    shown_at = [float(pts * times.base) for pts in times.pts]
    begin, end = min(shown_at[0], packets.video[0]), packets.video[-1]
    if end - shown_at[-1] > slack:
        lengths = f"{shown_at[-1] - begin:.2f} s of its {end - begin:.2f} s"
        return f"is damaged: only the first {lengths} can be decoded", True
    usual = statistics.median(b - a for a, b in pairwise(shown_at))
    holes = [
        (a, b)
        for a, b in pairwise(shown_at)
        if b - a > _GAP[0] + _GAP[1] * usual and _lost(packets, a, b, usual)
    ]
    if not holes:
        return "", False
    lost = sum(b - a for a, b in holes)
    a, b = holes[0]
    return (
        f"is damaged: {lost:.2f} s of its {end - begin:.2f} s cannot be decoded, "
        f"the first from {a:.2f} to {b:.2f} s",
        not packets.resumes,
    )


def _lost(packets: Packets, a: float, b: float, usual: float) -> bool:
    """Whether frames between two times are lost, rather than none meant to be there."""
    inside = [t for t in packets.video if a + usual / 2 < t < b - usual / 2]
    if len(inside) > 1:
        return True
    # Sound that goes on over a frame that is held tells that nothing is missing. In a program
    # stream the bytes of the sound lie up to two seconds from those of the picture.
    return any(
        d - c > max(_GAP[0], (b - a) / 2) and d > a - 2 and c < b + 2
        for c, d in pairwise(packets.sound)
    )
