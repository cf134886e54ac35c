"""What besides the video goes from the source's container into the result's.

Whether a container can hold a stream is asked of its muxer, which writes a header with it into
memory; no table says so. What it refuses is converted where that loses nothing, else left out with
the muxer's own reason.
"""

from __future__ import annotations

import io
import re
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from vsanimesr.encode.muxer import added, conversions, first_packets, lost, opened, refusal
from vsanimesr.encode.names import shown
from vsanimesr.encode.picture import picture
from vsanimesr.encode.reader import reader
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
        import av.error
        from av.format import Flags
    except ImportError as error:
        raise EncodeError("upscale: PyAV is missing; install it: pip install av") from error
    if not path.is_file():
        raise EncodeError(f"upscale: {shown(path)} is not there, or is no file")
    try:
        container = reader(path)
    except (av.error.FFmpegError, OSError) as error:
        raise EncodeError(
            f"upscale: {shown(path)} is not a video that can be read: {error.strerror or error}"
        ) from error
    with container:
        chosen = Plan(source=path, muxer=muxer)
        if video:
            stream = _chosen(container, path, track)
            if stream.codec_context is None:
                codec = _codec(stream, _described(container).get(stream.index, ""))
                raise EncodeError(
                    f"upscale: track {stream.index} of {shown(path)} is {codec} video, of which "
                    "FFmpeg's libraries here know no decoder"
                )
            chosen.track = stream.index
            _describe(chosen, stream)
        # A broadcast's clock starts anywhere; files of other kinds start where they mean to.
        if container.format.flags & Flags.ts_discont.value:
            chosen.shift = _start(container)
        chosen.tags = _without(container.metadata, _CONTAINER)
        chosen.chapters = [dict(chapter) for chapter in container.chapters()]
        said, first = _described(container), first_packets(container)
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
        opened(stream, first)
    if not reason and _is_cover(stream) and not _holds_cover(container, stream, chosen.muxer):
        reason = f"{chosen.muxer} holds no covers"
    if not reason:
        chosen.streams.append(Carried(**carried, tags=tags))
        return
    for encoder, samples in conversions(stream):
        if not refusal(stream, chosen.muxer, encoder, samples):
            one = Carried(**carried, encoder=encoder, samples=samples, tags=_converted(tags))
            chosen.streams.append(one)
            chosen.notes.append(f"{name} becomes {encoder}: {lost(stream)} ({reason})")
            return
    chosen.notes.append(f"{name} is left out: {reason}")


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
