"""What besides the video goes from the source's container into the result's.

Whether a container can hold a stream is asked of its muxer, which writes a header with it into
memory; no table says so. What it refuses is converted where that loses nothing, else left out with
the muxer's own reason.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import re
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from vsanimesr.encode.names import shown, url
from vsanimesr.encode.picture import picture
from vsanimesr.errors import EncodeError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

MUXERS = {".mkv": "matroska", ".mp4": "mp4", ".m4v": "mp4", ".mov": "mov"}
"""Known extensions of the result and ffmpeg's name of their format."""
_MIME = {"mjpeg": ("image/jpeg", "jpg"), "png": ("image/png", "png")}
# Written by muxers about the stream they wrote; false for the enlarged one.
_STATISTICS = (
    *("BPS", "DURATION", "NUMBER_OF_", "_STATISTICS", "ENCODER", "VENDOR_ID"),
    "VARIANT_BITRATE",
)
# Facts of the old container or the old picture: transparency and the two views of one.
_OLD = ("ALPHA_MODE", "VIDEOALPHAMODE")
_CONTAINER = ("ENCODER", "MAJOR_BRAND", "MINOR_VERSION", "COMPATIBLE_BRANDS", "VARIANT_BITRATE")
_TEXT = ("subrip", "mov_text")
# Of each sample format, what holds its samples exactly, most compact first.
_EXACT = {
    "u8": ("pcm_u8", "flac", "alac", "pcm_s16le"),
    "s16": ("flac", "alac", "pcm_s16le"),
    "s32": ("pcm_s32le",),
    "s24": ("flac", "alac", "pcm_s24le"),
    "flt": ("pcm_f32le",),
    "dbl": ("pcm_f64le",),
}
_WRITTEN = {"pcm_u8": "u8", "pcm_s16le": "s16", "pcm_f32le": "flt", "pcm_f64le": "dbl"}

_LAYOUTS = {1: "mono", 2: "stereo", 3: "2.1", 4: "4.0", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}
"""As libavutil's av_channel_layout_default has them."""
_LOOK, _ENOUGH = 2000, 5
"""Packets of a file that are looked at, and of a stream."""


@dataclass(frozen=True, kw_only=True)
class Carried:
    """A stream of the source that goes along."""

    number: int
    """In the source."""
    name: str
    """What messages call it."""
    encoder: str = ""
    """What it is encoded with; empty: it is copied."""
    samples: str = ""
    """Sample format that the encoder takes, of sound that is encoded."""
    codec: str = ""
    """Its codec's name, where FFmpeg's libraries here cannot decode it."""
    tags: dict[str, str] = field(default_factory=dict[str, str])
    disposition: int = 0


@dataclass(frozen=True, kw_only=True)
class Attached:
    """A file in the result: a font, a cover."""

    name: str
    mime: str
    data: bytes = field(repr=False)
    tags: dict[str, str] = field(default_factory=dict[str, str])


@dataclass(kw_only=True)
class Plan:
    """What goes along, and what stays behind."""

    source: Path
    muxer: str
    track: int = -1
    """Number of the video stream to enlarge; -1: none of this file."""
    shift: Fraction = Fraction(0)
    """Seconds to take off every time of the source."""
    streams: list[Carried] = field(default_factory=list[Carried])
    files: list[Attached] = field(default_factory=list[Attached])
    tags: dict[str, str] = field(default_factory=dict[str, str])
    video_tags: dict[str, str] = field(default_factory=dict[str, str])
    video_disposition: int = 0
    chapters: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    notes: list[str] = field(default_factory=list[str])
    """What is converted or cannot be carried over, one line each."""


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


def plan(path: Path, muxer: str, *, track: int | None = None, video: bool = True) -> Plan:
    """Look at a file and decide what to carry over.

    Args:
        path: The source.
        muxer: ffmpeg's name of the result's format.
        track: Number of the video stream to enlarge, among all streams; None: the default one.
        video: Whether a video of this file is enlarged; else only what is beside them is taken.

    Raises:
        EncodeError: The file is missing, is no media file, or holds no such video.
    """
    try:
        import av
        from av.error import FFmpegError
        from av.format import Flags
    except ImportError as error:
        raise EncodeError("upscale: PyAV is missing; install it: pip install av") from error
    if not path.is_file():
        raise EncodeError(f"upscale: {shown(path)} is not there, or is no file")
    try:
        container = av.open(url(path))
    except (FFmpegError, OSError) as error:
        raise EncodeError(
            f"upscale: {shown(path)} is not a video that can be read: {error.strerror or error}"
        ) from error
    with container:
        chosen = Plan(source=path, muxer=muxer)
        if video:
            stream = _chosen(container, path, track)
            chosen.track = stream.index
            _describe(chosen, stream)
        # A broadcast's clock starts anywhere; files of other kinds start where they mean to.
        if container.format.flags & Flags.ts_discont.value:
            chosen.shift = _start(container)
        chosen.tags = _without(container.metadata, _CONTAINER)
        chosen.chapters = [dict(chapter) for chapter in container.chapters()]
        said, first = _described(container), _first(container)
        for stream in container.streams:
            other_video = stream.type == "video" and not _is_cover(stream)
            if stream.index != chosen.track and (video or not other_video):
                number = stream.index
                _carry(chosen, container, stream, said.get(number, ""), first.get(number, []))
    return chosen


def _chosen(container: Any, path: Path, track: int | None) -> Any:  # noqa: ANN401
    from av.stream import Disposition

    streams: list[Any] = list(container.streams)
    videos = [s for s in streams if s.type == "video" and not _is_cover(s)]
    if not videos:
        held = ", ".join(sorted({str(s.type) for s in streams})) or "no stream at all"
        raise EncodeError(f"upscale: {shown(path)} holds no video (it holds: {held})")
    if track is None:
        return next((s for s in videos if s.disposition & Disposition.default), videos[0])
    for stream in videos:
        if stream.index == track:
            return stream
    numbers = ", ".join(f"{s.index} ({s.width}x{s.height})" for s in videos)
    raise EncodeError(f"upscale: track {track} of {shown(path)} is no video; wanted: {numbers}")


def _start(container: Any) -> Fraction:  # noqa: ANN401
    """Where a container starts, in seconds: exactly, where it is rounded to microseconds."""
    import av

    start = Fraction(container.start_time or 0, av.time_base)
    exact = [s.start_time * Fraction(s.time_base) for s in container.streams if s.start_time]
    return next((one for one in exact if abs(one - start) * av.time_base <= 1), start)


def _describe(chosen: Plan, stream: Any) -> None:  # noqa: ANN401
    """Take over what the container says of the video, as far as it stays true."""
    chosen.video_disposition = int(stream.disposition)
    chosen.video_tags = _without(stream.metadata, (*_STATISTICS, *_OLD))
    views = picture(stream).stereo
    if chosen.muxer == "matroska" and views:
        chosen.video_tags.setdefault("stereo_mode", views)
    elif views or chosen.video_tags.pop("stereo_mode", "mono") != "mono":
        chosen.notes.append(f"that the picture is two views is not said in {chosen.muxer}")


def _first(container: Any) -> dict[int, list[Any]]:  # noqa: ANN401
    """The first packets of each stream, as far as they come early in the file."""
    from av.error import FFmpegError

    found = dict[int, list[Any]]()
    with contextlib.suppress(FFmpegError):
        for packet in itertools.islice(container.demux(), _LOOK):
            own = found.setdefault(packet.stream_index, [])
            if packet.size and len(own) < _ENOUGH:
                own.append(packet)
    return found


def _carry(
    chosen: Plan,
    container: Any,  # noqa: ANN401
    stream: Any,  # noqa: ANN401
    said: str,
    first: Sequence[Any],
) -> None:
    name = _name(stream, said)
    tags = dict(stream.metadata)
    if stream.type == "attachment":
        if chosen.muxer == "matroska":
            file = tags.pop("filename", "") or f"attachment {stream.index}"
            mime = tags.pop("mimetype", "") or "application/octet-stream"
            chosen.files.append(Attached(name=file, mime=mime, data=stream.data, tags=tags))
        else:
            chosen.notes.append(f"{name} is left out: {chosen.muxer} holds no attachments")
        return
    if _is_cover(stream) and chosen.muxer == "matroska":
        # A cover copied as it is becomes a video track of one frame there.
        chosen.files.append(_cover(container, stream))
        return
    if stream.type == "data" and _kept_otherwise(chosen, stream, said):
        return
    if stream.type == "data" and ("Data: bin_data" in said or "Data: none" in said):
        chosen.notes.append(f"{name} is left out: FFmpeg's libraries do not know what it is")
        return
    carried: dict[str, Any] = {"number": stream.index, "name": name}
    carried["disposition"] = int(stream.disposition)
    if stream.codec_context is None and stream.type != "data":
        carried["codec"] = _codec(stream, said)
    reason = refusal(stream, chosen.muxer, codec=carried.get("codec", ""), packets=first)
    if reason and stream.type == "audio":
        _opened(stream, first)
    if not reason and _is_cover(stream) and not _holds_cover(container, stream, chosen.muxer):
        reason = f"{chosen.muxer} holds no covers"
    if not reason:
        chosen.streams.append(Carried(**carried, tags=tags))
        return
    for encoder, samples in _conversions(stream):
        if not refusal(stream, chosen.muxer, encoder, samples):
            one = Carried(**carried, encoder=encoder, samples=samples, tags=_converted(tags))
            chosen.streams.append(one)
            loss = "its styling is lost" if stream.type == "subtitle" else _loss(stream)
            chosen.notes.append(f"{name} becomes {encoder}: {loss} ({reason})")
            return
    chosen.notes.append(f"{name} is left out: {reason}")


def _opened(stream: Any, first: Sequence[Any]) -> None:  # noqa: ANN401
    """Decode a little where only that tells the format of the samples."""
    from av.error import FFmpegError

    for packet in first:
        if stream.codec_context is None or stream.codec_context.format is not None:
            return
        with contextlib.suppress(FFmpegError, ValueError):  # the latter: without a decoder
            stream.decode(packet)


def _conversions(stream: Any) -> list[tuple[str, str]]:  # noqa: ANN401
    """Encoders, with the sample format each takes, that hold all of what is decoded."""
    context = stream.codec_context
    if context is None:
        return []
    if stream.type == "subtitle":
        return [(encoder, "") for encoder in _TEXT] if context.codec.text_sub else []
    if stream.type != "audio" or context.format is None:
        return []
    exact = context.format.name.removesuffix("p")
    if exact == "s32" and (context.bits_per_raw_sample or 32) <= 24:
        exact = "s24"
    if context.codec.lossy and not context.codec.lossless and exact in ("flt", "dbl"):
        exact = "s24"  # what is decoded is itself an estimate, far coarser than 24 bits
    wider = {"flac": "s16" if exact in ("u8", "s16") else "s32"}
    wider["alac"] = wider["flac"] + "p"
    return [
        (encoder, wider.get(encoder) or _WRITTEN.get(encoder, "s32"))
        for encoder in _EXACT.get(exact, ())
    ]


def _loss(stream: Any) -> str:  # noqa: ANN401
    if "Atmos" in str(stream.profile) or "DTS:X" in str(stream.profile):
        return "its objects are lost, its channels are kept"
    if stream.codec_context.codec.lossy and not stream.codec_context.codec.lossless:
        return "what is decoded of it is kept whole"
    return "nothing is lost"


def refusal(
    stream: Any,  # noqa: ANN401
    muxer: str,
    encoder: str = "",
    samples: str = "",
    codec: str = "",
    packets: Sequence[Any] = (),
) -> str:
    """Why a muxer takes no such stream, in its own words; empty: it does.

    Args:
        stream: Of PyAV.
        muxer: ffmpeg's name of the result's format.
        encoder: What it is encoded with; empty: it is copied.
        samples: Sample format that the encoder takes.
        codec: The name of a codec that cannot be decoded here.
        packets: The stream's first, for some muxers look at them.
    """
    import av
    import av.logging
    from av.error import FFmpegError

    before = av.logging.get_level()
    av.logging.set_level(av.logging.ERROR)
    said = list[tuple[int, str, str]]()
    try:
        with av.logging.Capture() as said, av.open(io.BytesIO(), "w", format=muxer) as trial:
            one = added(trial, stream, encoder, samples, codec)
            trial.start_encoding()
            for packet in packets:  # some are looked at only when the file is ended
                copy = av.Packet(bytes(packet))
                copy.stream, copy.time_base = one, packet.time_base
                copy.pts = copy.dts = packet.pts if packet.pts is not None else packet.dts
                copy.duration, copy.is_keyframe = packet.duration or 0, packet.is_keyframe
                with contextlib.suppress(FFmpegError):  # damaged: that is another matter
                    trial.mux(copy)
    except (FFmpegError, ValueError, NotImplementedError) as error:
        why = reason(error, said)
        if codec and "does not support" not in why:
            why = f"FFmpeg's libraries here cannot decode {codec}, only copy it ({why})"
        return why
    finally:
        av.logging.set_level(before)
    return ""


def reason(error: Exception, said: Sequence[tuple[int, str, str]] = ()) -> str:
    """What FFmpeg's libraries say was wrong: their own line, else the kind of error."""
    log = getattr(error, "log", None)
    words = [" ".join(text.split()).rstrip(".!") for _, _, text in (*said, *([log] if log else ()))]
    words = [text.split(", add '-")[0] for text in words]  # advice for ffmpeg's own command
    return words[0] if words else str(getattr(error, "strerror", None) or error)


def added(
    container: Any,  # noqa: ANN401
    stream: Any,  # noqa: ANN401
    encoder: str = "",
    samples: str = "",
    codec: str = "",
) -> Any:  # noqa: ANN401
    """Add a stream to an output of PyAV.

    Args:
        container: The output.
        stream: Of the source.
        encoder: What it is encoded with; empty: it is copied.
        samples: Sample format that the encoder takes.
        codec: The name of a codec that cannot be decoded here.
    """
    if codec:
        return container.add_mux_stream(codec)
    if not encoder:
        return container.add_stream_from_template(stream, opaque=True)
    if stream.type == "audio":
        context = stream.codec_context
        one = container.add_stream(encoder, rate=context.sample_rate)
        layout = context.layout.name
        if layout.endswith(" channels"):  # their number is all that is known
            layout = _LAYOUTS.get(context.channels, layout)
        one.layout, one.format = layout, samples
        return one
    one = container.add_stream(encoder)
    stream.codec_context.open(strict=False)  # only then does it say how it is styled
    one.codec_context.subtitle_header = stream.codec_context.subtitle_header
    one.time_base = Fraction(1, 1000)
    return one


def _kept_otherwise(chosen: Plan, stream: Any, said: str) -> bool:  # noqa: ANN401
    """Whether what a data stream holds is carried over by other means."""
    if "(text /" in said and chosen.chapters:  # QuickTime's way to write chapters
        return True
    if "(tmcd /" in said:  # a time code, which is a tag, too
        timecode = stream.metadata.get("timecode")
        if timecode:
            chosen.video_tags.setdefault("timecode", timecode)
        return bool(timecode)
    return False


def _is_cover(stream: Any) -> bool:  # noqa: ANN401 (PyAV's streams differ by kind)
    from av.stream import Disposition

    return bool(stream.disposition & Disposition.attached_pic)


def _picture_of(container: Any, stream: Any) -> Any:  # noqa: ANN401
    import av

    again: Any = av.open(container.name)  # leaves the other where it is
    with again:
        one = again.streams[stream.index]
        return next((bytes(p) for p in again.demux(one) if p.size), b"")


def _cover(container: Any, stream: Any) -> Attached:  # noqa: ANN401
    codec = stream.codec_context.codec.canonical_name if stream.codec_context else "picture"
    mime, suffix = _MIME.get(codec, (f"image/{codec}", codec))
    tags = dict(stream.metadata)
    name = tags.pop("filename", "") or f"cover.{suffix}"
    tags.pop("mimetype", "")
    return Attached(name=name, mime=mime, data=_picture_of(container, stream), tags=tags)


def _holds_cover(container: Any, stream: Any, muxer: str) -> bool:  # noqa: ANN401
    """Whether a cover is still there when the file is read: a muxer may drop it silently."""
    import av
    from av.error import FFmpegError

    memory = io.BytesIO()
    try:
        with av.open(memory, "w", format=muxer) as trial:
            one = added(trial, stream)
            one.disposition = stream.disposition
            packet = av.Packet(_picture_of(container, stream))
            packet.stream, packet.pts, packet.dts = one, 0, 0
            packet.time_base = one.time_base
            packet.is_keyframe = True
            trial.mux(packet)
        with av.open(io.BytesIO(memory.getvalue())) as trial:
            return any(_is_cover(one) for one in trial.streams)
    except (FFmpegError, ValueError):
        return False


def _without(tags: dict[str, str], prefixes: tuple[str, ...]) -> dict[str, str]:
    return {key: value for key, value in tags.items() if not key.upper().startswith(prefixes)}


def _converted(tags: dict[str, str]) -> dict[str, str]:
    return _without(tags, _STATISTICS)


def _described(container: Any) -> dict[int, str]:  # noqa: ANN401
    """What `av_dump_format` says of each stream, by its number: it names unknown codecs, too."""
    import av.logging

    before = av.logging.get_level()
    av.logging.set_level(av.logging.INFO)
    try:
        text = container.dumps_format()
    finally:
        av.logging.set_level(before)
    parts = re.split(r"^ +Stream #\d+:(\d+)", text, flags=re.MULTILINE)
    return {int(n): said for n, said in zip(parts[1::2], parts[2::2], strict=True)}


def _codec(stream: Any, said: str) -> str:  # noqa: ANN401
    if stream.codec_context:
        return stream.codec_context.codec.canonical_name
    known = re.search(r": \w+: ([\w-]+)", said)
    return known[1] if known else "unknown"


def _name(stream: Any, said: str) -> str:  # noqa: ANN401
    label = stream.metadata.get("filename") or _codec(stream, said)
    return f"stream {stream.index} ({stream.type}, {label})"
