"""Covers: pictures that containers hold as streams or as files."""

from __future__ import annotations

import io
from typing import Any

from vsanimesr.encode.join.muxer import added
from vsanimesr.encode.join.plan import Attached

_MIME = {"mjpeg": ("image/jpeg", "jpg"), "png": ("image/png", "png")}


def is_cover(stream: Any) -> bool:  # noqa: ANN401 (PyAV's streams differ by kind)
    """Whether a stream is a picture that goes with the file."""
    from av.stream import Disposition

    return bool(stream.disposition & Disposition.attached_pic)


def cover(container: Any, stream: Any) -> Attached:  # noqa: ANN401
    """A cover as a file."""
    codec = stream.codec_context.codec.canonical_name if stream.codec_context else "picture"
    mime, suffix = _MIME.get(codec, (f"image/{codec}", codec))
    tags = dict(stream.metadata)
    name = tags.pop("filename", "") or f"cover.{suffix}"
    tags.pop("mimetype", "")
    return Attached(name=name, mime=mime, data=_picture_of(container, stream), tags=tags)


def holds_cover(container: Any, stream: Any, muxer: str) -> bool:  # noqa: ANN401
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
            return any(is_cover(one) for one in trial.streams)
    except (FFmpegError, ValueError):
        return False


def _picture_of(container: Any, stream: Any) -> Any:  # noqa: ANN401
    import av

    again: Any = av.open(container.name)  # leaves the other where it is
    with again:
        one = again.streams[stream.index]
        return next((bytes(p) for p in again.demux(one) if p.size), b"")
