"""The source's video: its frames by BestSource, and the exact time of every one."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any, cast

from vsanimesr.encode.common.messages import indexing
from vsanimesr.encode.common.names import raw, shown, url
from vsanimesr.encode.source.advice import advice
from vsanimesr.encode.source.index import Index, index
from vsanimesr.encode.source.picture import Picture, applied, picture
from vsanimesr.encode.source.pulldown import pulled_down
from vsanimesr.encode.source.ticks import frame_times
from vsanimesr.encode.source.times import UNKNOWN, Times
from vsanimesr.encode.source.whole import changes, lack, last_duration, read
from vsanimesr.errors import EncodeError

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import vapoursynth as vs

_ONE_THREAD = {"theora", "vp3", "vp4"}
"""Codecs whose decoder (libavcodec/vp3.c) loses frames that repeat the one before, now and then,
where several threads run it: 5 in 120 films of 9 frames."""
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


@dataclass(frozen=True, kw_only=True)
class _Container:
    """What is known of the stream before it is decoded."""

    about: Picture
    format: str
    """libavformat's name."""
    codec: str
    pixels: int
    """Of a frame."""
    stated: Fraction
    """Frames per second as the stream itself states them; 0: it does not."""
    restarts: bool
    """Whether the format's clock may start anew, as in a broadcast."""


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
    import vapoursynth as vs

    core: Any = vs.core
    if not hasattr(core, "bs"):
        raise EncodeError(
            "upscale: BestSource, which decodes the video, is not there; "
            "install it: pip install vapoursynth-bestsource"
        )
    before = path.stat()
    container = _container(path, track)
    place = index(path, track, container.format)
    opening = _opening(track, container)
    try:
        with indexing(moved):
            found = core.bs.VideoSource(
                raw(path), **opening, **place.arguments(), exporttimestamps=True
            )
        _unchanged(path, before)
        place.keep(track)
        times, facts = _timed(path, track, found, opening, container, place)
        told = [f"{shown(path)} {facts[name]}" for name in ("missing", "change") if facts[name]]
        if facts["damaged"] and not incomplete:
            raise EncodeError(
                f"upscale: {told[0]}; fetch it again, or wait until it is there, "
                "or give --incomplete to enlarge what can be read"
            )
        clip, notes = applied(cast("vs.VideoNode", found["clip"]), container.about)
    except vs.Error as error:
        raise EncodeError(f"upscale: cannot decode {shown(path)}: {error}") from error
    if not fields:
        clip = core.std.SetFrameProps(clip, _FieldBased=0)
    return Source(
        clip=clip,
        times=times,
        about=container.about,
        notes=tuple(note for note in (place.note, *told, *notes) if note),
    )


def _container(path: Path, track: int) -> _Container:
    import av
    from av.format import Flags

    with av.open(url(path)) as container:
        stream: Any = container.streams[track]
        return _Container(
            about=picture(stream),
            format=container.format.name,
            codec=stream.codec_context.codec.canonical_name,
            pixels=stream.codec_context.width * stream.codec_context.height,
            stated=Fraction(stream.average_rate or 0),
            restarts=bool(container.format.flags & Flags.ts_discont.value),
        )


def _opening(track: int, container: _Container) -> dict[str, Any]:
    """Arguments of BestSource."""
    return {
        **{"track": track, "variableformat": -1, "showprogress": True},
        # BestSource's default of 100 MB is held anew each time a film is read from its start: of
        # small frames that is thousands. Some are needed, for they are asked for out of order.
        "cachesize": min(100, 8 + CACHED * 3 * container.pixels // 10**6),
        "apply_rotation": False,  # what is cropped is cropped before it is turned
        "threads": 1 if container.codec in _ONE_THREAD else -1,
    }


def _timed(
    path: Path,
    track: int,
    found: Mapping[str, Any],
    opening: dict[str, Any],
    container: _Container,
    place: Index,
) -> tuple[Times, dict[str, Any]]:
    """The frames' times; and what reading the file to its end has shown, now or before.

    Args:
        path: The file.
        track: The stream's number.
        found: What BestSource has returned, with time stamps.
        opening: What it was opened with.
        container: What the container says.
        place: The index, beside which such facts are kept.
    """
    clip: vs.VideoNode = found["clip"]
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
            # Not `place`, whose index has its final name by now.
            again = opening | index(path, track, container.format).arguments()
            times = pulled_down(path, again, clip, fps)
        times = times or frame_times(
            *(ticks, base, fps, last, shown(path)),
            stated=container.stated,
            restarts=container.restarts,
        )
    except EncodeError as error:
        raise EncodeError(f"{error}; {advice(path, track, fps)}") from error
    if packets:
        missing, damaged = lack(packets, times)
        facts = {"last": last, "missing": missing, "damaged": damaged, "change": changes(packets)}
        place.remember(track, facts)
    return times, facts


def _unchanged(path: Path, before: os.stat_result) -> None:
    now = path.stat()
    if (now.st_size, now.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
        raise EncodeError(
            f"upscale: {shown(path)} was changed while it was read; wait until it is whole"
        )
