"""The source's video: its frames by BestSource, and the exact time of every one."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any, cast

from vsanimesr.encode.ffmpeg import find_ffmpeg
from vsanimesr.encode.index import index
from vsanimesr.encode.messages import indexing
from vsanimesr.encode.names import raw, shown, url
from vsanimesr.encode.picture import Picture, applied, picture
from vsanimesr.encode.times import UNKNOWN, Times, frame_times
from vsanimesr.encode.whole import changes, lack, last_duration, read
from vsanimesr.errors import EncodeError

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable
    from pathlib import Path

    import vapoursynth as vs

_PULLDOWNS = (Fraction(4, 5), Fraction(24, 25))
"""Frames a frame shown: 2:3 pulldown of film, 24 frames in a second of 25."""
CACHED = 16
"""Source frames that the decoder keeps at least, of 3 bytes a pixel; never more than 100 MB."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """A video that can be enlarged."""

    clip: vs.VideoNode
    times: Times
    notes: tuple[str, ...] = ()
    """What the user should know, one line each; `times.note` is not among them."""
    about: Picture = field(default_factory=Picture)
    """What the container says of the picture."""


def open_source(
    path: Path,
    track: int,
    *,
    incomplete: bool = False,
    fields: bool = True,
    moved: Callable[[int], None] = lambda _: None,
) -> Source:
    """Open one video stream of a file.

    Args:
        path: The file.
        track: The stream's number among all streams of the file.
        incomplete: Whether a source may be shorter than its container states.
        fields: Whether marks of interlaced frames are believed.
        moved: Called with how much of the file is looked at, in percent.

    Raises:
        EncodeError: BestSource is missing, the video cannot be decoded, it changes its size or
            format midway, its frame times cannot be used, or it is not whole.
    """
    import av
    import vapoursynth as vs
    from av.format import Flags

    core: Any = vs.core
    if not hasattr(core, "bs"):
        raise EncodeError(
            "upscale: BestSource, which decodes the video, is not there; "
            "install it: pip install vapoursynth-bestsource"
        )
    before = path.stat()
    with av.open(url(path)) as container:
        stream: Any = container.streams[track]
        about = picture(stream)
        pixels = stream.codec_context.width * stream.codec_context.height
        place = index(path, track, container.format.name)
        stated = Fraction(stream.average_rate or 0)
        restarts = bool(container.format.flags & Flags.ts_discont.value)
    opening: dict[str, Any] = {
        **{"track": track, "variableformat": -1, "showprogress": True},
        # BestSource's default of 100 MB is held anew each time a film is read from its start: of
        # small frames that is thousands. Some are needed, for they are asked for out of order.
        "cachesize": min(100, 8 + CACHED * 3 * pixels // 10**6),
        "apply_rotation": False,  # what is cropped is cropped before it is turned
    }
    try:
        with indexing(moved):
            found = core.bs.VideoSource(
                raw(path), **opening, **place.arguments(), exporttimestamps=True
            )
    except vs.Error as error:
        raise EncodeError(f"upscale: cannot decode {shown(path)}: {error}") from error
    _unchanged(path, before)
    place.keep(track)
    clip = cast("vs.VideoNode", found["clip"])
    if clip.format.id == 0 or not (clip.width and clip.height):
        raise EncodeError(
            f"upscale: {shown(path)} changes its size or pixel format midway; "
            "cut it at the changes and enlarge the parts"
        )
    stamps = found["timestamps"]
    ticks = [stamps] if isinstance(stamps, int) else list(stamps)
    base = Fraction(found["timebasenum"], found["timebaseden"])
    fps = Fraction(clip.fps.numerator, clip.fps.denominator or 1)
    facts = place.recall(track) or {}
    packets = None if facts else read(path, track)
    last = last_duration(packets, ticks[-1]) if packets else int(facts["last"])
    try:
        times = None
        if fps and all(tick == UNKNOWN for tick in ticks):
            opening |= index(path, track, container.format.name).arguments()
            times = _pulled_down(core, path, opening, clip, fps)
        times = times or frame_times(
            ticks, base, fps, last, shown(path), stated=stated, restarts=restarts
        )
    except EncodeError as error:
        raise EncodeError(f"{error}; {_advice(path, track, fps)}") from error
    except vs.Error as error:
        raise EncodeError(f"upscale: cannot decode {shown(path)}: {error}") from error
    if packets:
        missing, damaged = lack(packets, times)
        facts = {"last": last, "missing": missing, "damaged": damaged, "change": changes(packets)}
        place.remember(track, facts)
    told = [f"{shown(path)} {facts[name]}" for name in ("missing", "change") if facts[name]]
    if facts["damaged"] and not incomplete:
        raise EncodeError(
            f"upscale: {told[0]}; fetch it again, or wait until it is there, "
            "or give --incomplete to enlarge what can be read"
        )
    try:
        clip, notes = applied(clip, about)
    except vs.Error as error:
        raise EncodeError(f"upscale: cannot decode {shown(path)}: {error}") from error
    if not fields:
        clip = core.std.SetFrameProps(clip, _FieldBased=0)
    return Source(
        clip=clip,
        times=times,
        about=about,
        notes=tuple(note for note in (place.note, *told, *notes) if note),
    )


def _unchanged(path: Path, before: os.stat_result) -> None:
    now = path.stat()
    if (now.st_size, now.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
        raise EncodeError(
            f"upscale: {shown(path)} was changed while it was read; wait until it is whole"
        )


def _pulled_down(
    core: Any,  # noqa: ANN401
    path: Path,
    opening: dict[str, Any],
    clip: vs.VideoNode,
    fps: Fraction,
) -> Times | None:
    """Times of a stream that states only which fields are shown twice (soft telecine).

    `fps` counts the frames as they are shown then; None: no field is.
    """
    fields = core.bs.VideoSource(raw(path), **opening, rff=True)
    if len(fields) == len(clip):
        return None
    # BestSource tells of fields shown twice by the order of fields only: it turns after each.
    tops = [frame.props.get("TopFieldFirst") for frame in clip.frames(close=True)]
    lengths = [2 + (a != b) for a, b in pairwise(tops)]
    last = 2 * len(fields) - sum(lengths)
    base = 1 / fps / 2
    if last not in (2, 3):  # frames shown twice or thrice, whose fields do not turn
        rate = fps * Fraction(len(clip), len(fields))
        times = frame_times([UNKNOWN] * len(clip), base, rate, 0)
    else:
        ticks = list(accumulate(lengths, initial=0))
        found = ((frame_times(ticks, base, fps * part, last), fps * part) for part in _PULLDOWNS)
        steady = (times for times, rate in found if times.rate == rate)
        times = next(steady, None) or frame_times(ticks, base, Fraction(0), last)
    note = f"{shown(path)} states no frame times; taken from its fields, {times.rate} frames/s"
    return replace(times, note=note)


def _advice(path: Path, track: int, fps: Fraction) -> str:
    """A command that was run on such files: each frame gets the same time."""
    words: Iterable[str] = (
        *(str(find_ffmpeg()), "-i", url(path), "-map", f"0:{track}", "-map", "0:a?"),
        *("-map", "0:s?", "-c", "copy", "-c:v", "ffv1", "-fps_mode", "passthrough"),
        *("-vf", f"setpts=N/({fps or 25}*TB)", "fixed.mkv"),
    )
    rate = "" if fps else ", with the film's frames per second in place of 25"
    return f"give all frames the same duration: {shlex.join(words)}{rate}"
