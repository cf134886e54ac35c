"""What besides the video goes from the source's container into the result's."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from vsanimesr.encode.names import url
from vsanimesr.errors import EncodeError

if TYPE_CHECKING:
    from pathlib import Path

MUXERS = {".mkv": "matroska", ".mp4": "mp4", ".m4v": "mp4", ".mov": "mov"}
"""Known extensions of the result and ffmpeg's name of their format."""
_TEXT = {"matroska": "subrip", "mp4": "mov_text", "mov": "mov_text"}
_MIME = {"mjpeg": ("image/jpeg", "jpg"), "png": ("image/png", "png")}
# Written by muxers about the stream they wrote; false for the enlarged one.
_STATISTICS = ("BPS", "DURATION", "NUMBER_OF_", "_STATISTICS", "ENCODER", "VENDOR_ID")


@dataclass(kw_only=True)
class Plan:
    """Which options of ffmpeg carry the rest over, and what stays behind."""

    track: int
    """Number of the video stream to enlarge."""
    shift: float = 0.0
    """Seconds to take off every time of the source."""
    options: list[str] = field(default_factory=list[str])
    """Output options of ffmpeg; the source is its input 1 and the new video its input 0."""
    notes: list[str] = field(default_factory=list[str])
    """What cannot be carried over, one line each."""


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
            f"upscale: {output.name} has no known extension; wanted: {known}"
        ) from None


def plan(path: Path, muxer: str, folder: Path) -> Plan:
    """Look at a file and decide what to carry over.

    Args:
        path: The source.
        muxer: ffmpeg's name of the result's format.
        folder: Where cover pictures are put that have to be attached anew.

    Raises:
        EncodeError: The file is missing, is no media file, or holds no video.
    """
    try:
        import av
        from av.error import FFmpegError
        from av.format import Flags
    except ImportError as error:
        raise EncodeError("upscale: PyAV is missing; install it: pip install av") from error
    if not path.is_file():
        raise EncodeError(f"upscale: {path} is not there, or is no file")
    try:
        container = av.open(url(path))
    except (FFmpegError, OSError) as error:
        raise EncodeError(f"upscale: {path} is not a video that can be read: {error}") from error
    with container:
        streams: list[Any] = list(container.streams)
        videos = [s for s in streams if s.type == "video" and not _is_cover(s)]
        if not videos:
            held = ", ".join(sorted({str(s.type) for s in streams})) or "no stream at all"
            raise EncodeError(f"upscale: {path} holds no video (it holds: {held})")
        chosen = Plan(track=videos[0].index)
        # A broadcast's clock starts anywhere; files of other kinds start where they mean to.
        if container.format.flags & Flags.ts_discont.value:
            chosen.shift = (container.start_time or 0) / av.time_base
        chosen.options += ["-map", "0:v:0", *_video_tags(videos[0])]
        place = 1  # number of the next stream in the result
        covers: list[tuple[Path, str, str]] = []
        for stream in streams:
            if stream.index == chosen.track:
                continue
            if _is_cover(stream) and muxer == "matroska":
                covers.append(_cover(stream, folder))
            elif codec := _codec_for(stream, muxer):
                chosen.options += ["-map", f"1:{stream.index}", f"-c:{place}", codec]
                if codec != "copy":
                    chosen.notes.append(f"{_name(stream)} becomes {codec}: its styling is lost")
                place += 1
            else:
                chosen.notes.append(f"{_name(stream)} is left out: {muxer} cannot hold it")
        for number, (file, mime, name) in enumerate(covers, place):
            tags = (f"mimetype={mime}", f"filename={name}")
            chosen.options += ["-attach", str(file)]
            chosen.options += [word for tag in tags for word in (f"-metadata:s:{number}", tag)]
        chosen.options += ["-map_metadata", "1", "-map_chapters", "1"]
    return chosen


def _is_cover(stream: Any) -> bool:  # noqa: ANN401 (PyAV's streams differ by kind)
    from av.stream import Disposition

    return bool(stream.disposition & Disposition.attached_pic)


def _codec_for(stream: Any, muxer: str) -> str | None:  # noqa: ANN401
    """`copy`, a subtitle codec to convert to, or None: the container cannot hold it."""
    if stream.type == "attachment":
        return "copy" if muxer == "matroska" else None
    if stream.type == "data" or stream.codec_context is None:
        return None
    if stream.type == "video" and not _is_cover(stream):
        return "copy" if _holds(stream, muxer) else None
    if _is_cover(stream):
        return "copy" if muxer == "mp4" else None  # ffmpeg's mov muxer writes no covers
    # Matroska holds any sound (as ACM where it has no name of its own), though not by query.
    if _holds(stream, muxer) or (muxer == "matroska" and stream.type == "audio"):
        return "copy"
    return _TEXT[muxer] if stream.codec_context.codec.text_sub else None


def _holds(stream: Any, muxer: str) -> bool:  # noqa: ANN401
    import io

    import av

    with av.open(io.BytesIO(), "w", format=muxer) as container:
        return stream.codec_context.codec.name in container.supported_codecs


def _cover(stream: Any, folder: Path) -> tuple[Path, str, str]:  # noqa: ANN401
    """Save a cover picture; return its file, MIME type and name, to attach it again.

    ffmpeg copies a cover into Matroska as a video track of one frame.
    """
    codec = stream.codec_context.codec.canonical_name
    mime, suffix = _MIME.get(codec, (f"image/{codec}", codec))
    packet = next(p for p in stream.container.demux(stream) if p.size)
    saved = folder / f"{stream.index}.{suffix}"
    saved.write_bytes(bytes(packet))
    return saved, mime, stream.metadata.get("filename") or f"cover.{suffix}"


def _video_tags(stream: Any) -> list[str]:  # noqa: ANN401
    from av.stream import Disposition

    kept = [str(d.name) for d in Disposition if stream.disposition & d]
    options = ["-disposition:0", "+".join(kept) or "0"]
    for key, value in stream.metadata.items():
        if not key.upper().startswith(_STATISTICS):
            options += ["-metadata:s:0", f"{key}={value}"]
    return options


def _name(stream: Any) -> str:  # noqa: ANN401
    codec = stream.codec_context.codec.canonical_name if stream.codec_context else "unknown"
    label = stream.metadata.get("filename") or codec
    return f"stream {stream.index} ({stream.type}, {label})"
