"""The source's video: its frames by BestSource, and the exact time of every one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, cast

from vsanimesr.errors import EncodeError

if TYPE_CHECKING:
    from pathlib import Path

    import vapoursynth as vs

_UNKNOWN = -(2**63)  # AV_NOPTS_VALUE, libavutil/avutil.h
_REMUX = "remux it first: ffmpeg -fflags +genpts -i IN -map 0 -c copy FIXED.mkv"


@dataclass(frozen=True, kw_only=True)
class Times:
    """When each frame is shown."""

    pts: list[int]
    """Start of each frame, in units of `base`, strictly increasing."""
    base: Fraction
    """Length of one unit, in seconds."""
    rate: Fraction
    """Frames per second, the average where it varies: what encoders plan their bits by."""
    last: int
    """How long the last frame is shown, in units of `base`."""
    note: str = ""
    """What the user should know about them; empty when nothing."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """A video that can be enlarged."""

    clip: vs.VideoNode
    times: Times


def open_source(path: Path, track: int) -> Source:
    """Open one video stream of a file.

    BestSource's index goes to the user's cache directory, and only where reading it again
    is worth it (its `cachemode=1`).

    Args:
        path: The file.
        track: The stream's number among all streams of the file.

    Raises:
        EncodeError: BestSource is missing, the video cannot be decoded, it
            changes its size or format midway, or its frame times cannot be used.
    """
    import platformdirs
    import vapoursynth as vs

    core: Any = vs.core
    if not hasattr(core, "bs"):
        raise EncodeError(
            "upscale: BestSource, which decodes the video, is not there; "
            "install it: pip install vapoursynth-bestsource"
        )
    try:
        found = core.bs.VideoSource(
            str(path),
            track=track,
            variableformat=-1,
            cachepath=platformdirs.user_cache_dir("vsanimesr", appauthor=False) + "/index",
            showprogress=False,
            exporttimestamps=True,
        )
    except vs.Error as error:
        raise EncodeError(f"upscale: cannot decode {path}: {error}") from error
    clip = cast("vs.VideoNode", found["clip"])
    if clip.format.id == 0 or not (clip.width and clip.height):
        raise EncodeError(
            f"upscale: {path} changes its size or pixel format midway; "
            "cut it at the changes and enlarge the parts"
        )
    stamps = found["timestamps"]
    ticks = [stamps] if isinstance(stamps, int) else list(stamps)
    times = frame_times(
        ticks,
        Fraction(found["timebasenum"], found["timebaseden"]),
        Fraction(clip.fps.numerator, clip.fps.denominator or 1),
        last_duration(path, track, ticks[-1]) if ticks[-1] != _UNKNOWN else 0,
        str(path),
    )
    return Source(clip=clip, times=times)


def last_duration(path: Path, track: int, last: int) -> int:
    """How long the file says its last frame is shown, in stream ticks; 0: it does not say.

    Args:
        path: The file.
        track: The stream's number.
        last: Start of the last frame in stream ticks.
    """
    import av

    with av.open(str(path)) as container:
        stream = container.streams[track]
        if "mp4" in container.format.name and stream.duration:
            # Packets' durations are steps of decoding time there; the track's end is exact.
            return max((stream.start_time or 0) + stream.duration - last, 0)
        container.seek(last, stream=stream)
        found = {p.pts: p.duration or 0 for p in container.demux(stream) if p.size}
    return found.get(last, 0)


def frame_times(
    ticks: list[int], base: Fraction, fps: Fraction, last: int, name: str = "the source"
) -> Times:
    """Turn a container's ticks into exact times.

    Matroska rounds times to its own tick, usually 1 ms. Where every tick is what a constant
    rate rounds to, that rate is what was meant, and its exact times are used: they round to
    the same ticks again, and are right in containers that can do better.

    Args:
        ticks: Start of every frame in units of `base`.
        base: Length of one tick in seconds.
        fps: The rate the file states, frames per second; 0: none.
        last: Duration of the last frame in ticks; 0: unknown, the one before is repeated.
        name: What errors call the source.

    Raises:
        EncodeError: Some times are unknown, or they do not increase.
    """
    if all(tick == _UNKNOWN for tick in ticks):
        if not fps:
            raise EncodeError(f"upscale: {name} states neither frame times nor a rate; {_REMUX}")
        note = f"{name} states no frame times; taken as a constant {fps} frames/s"
        count = range(len(ticks))
        return Times(pts=list(count), base=1 / fps, rate=fps, last=1, note=note)
    for n, tick in enumerate(ticks):
        if tick == _UNKNOWN:
            raise EncodeError(f"upscale: frame {n} of {name} has no time; {_REMUX}")
        if n and tick <= ticks[n - 1]:
            before, now = float(ticks[n - 1] * base), float(tick * base)
            raise EncodeError(
                f"upscale: frame {n} of {name} is shown at {now:.3f} s, "
                f"not after the one before it ({before:.3f} s); {_REMUX}"
            )
    if fps and (constant := _constant(ticks, base, fps, last)):
        return constant
    last = last or (ticks[-1] - ticks[-2] if len(ticks) > 1 else 0)
    last = last or (round(1 / fps / base) if fps else 1)
    rate = Fraction(len(ticks)) / ((ticks[-1] + last - ticks[0]) * base)
    return Times(pts=ticks, base=base, rate=rate.limit_denominator(1001), last=last)


def _constant(ticks: list[int], base: Fraction, fps: Fraction, last: int) -> Times | None:
    """The exact times of a constant rate, if every tick is what one of them rounds to."""
    step = 1 / fps / base  # ticks a frame
    offsets = [tick - n * step for n, tick in enumerate(ticks)]
    low, high = min(offsets), max(offsets)
    if high - low >= 1:
        return None
    half = Fraction(1, 2)
    fits = high - half <= ticks[0] < low + half  # libavformat rounds halves up
    start = (ticks[0] if fits else (low + high) / 2) * base
    shown = 1 / fps
    end = shown if abs(last - step) < 1 or not last else last * base
    unit = Fraction(1, math.lcm(start.denominator, shown.denominator, end.denominator))
    first, each = int(start / unit), int(shown / unit)
    pts = [first + n * each for n in range(len(ticks))]
    return Times(pts=pts, base=unit, rate=fps, last=int(end / unit))
