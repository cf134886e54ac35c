"""Mastering display and light level for the result's container, from what its frames say.

Encoders write them into the stream, and PyAV cannot write them into a container: it only copies
them from a stream whose container has them. ffmpeg makes such a stream when it encodes a frame
that has them, so one frame is encoded anew, and all but its metadata is thrown away.
"""

from __future__ import annotations

import contextlib
import io
import subprocess
from typing import TYPE_CHECKING, Any

from vsanimesr.encode.common.ffmpeg import find_ffmpeg
from vsanimesr.encode.common.names import url
from vsanimesr.errors import EncodeError

if TYPE_CHECKING:
    from pathlib import Path

_STATIC = {"mastering_display_metadata", "content_light_level"}
_ENCODERS = {
    "hevc": ("libx265", "-preset", "ultrafast", "-x265-params", "log-level=none"),
    "h264": ("libx264", "-preset", "ultrafast"),
    "av1": ("libsvtav1", "-preset", "10"),
}


def stating(chunk: Path, made: Path) -> Path | None:
    """A file of the chunk's kind whose container states what the chunk's frames do.

    Args:
        chunk: The first chunk.
        made: The file to write, Matroska.

    Returns:
        `made`; None where there is nothing to state, or the chunk's container states it itself, or
        this ffmpeg cannot.
    """
    import av
    from av.sidedata.sidedata import Type

    kinds = {Type.MASTERING_DISPLAY_METADATA, Type.CONTENT_LIGHT_LEVEL}
    with av.open(url(chunk)) as container:
        stream = container.streams.video[0]
        codec = stream.codec_context.codec.canonical_name
        if _STATIC & set(stream.codec_context.coded_side_data) or codec not in _ENCODERS:
            return None
        frame = next(container.decode(stream), None)
        if frame is None or not kinds & set(frame.side_data):
            return None
    for program in _ffmpegs():
        words = [program, "-nostdin", "-v", "quiet", "-y", "-i", url(chunk), "-frames:v", "1"]
        words += ["-c:v", *_ENCODERS[codec], "-f", "matroska", url(made)]
        done = subprocess.run(words, check=False, stdin=subprocess.DEVNULL, capture_output=True)
        if not done.returncode:
            with av.open(url(made)) as container:
                said = container.streams.video[0].codec_context.coded_side_data
                if _STATIC & set(said):
                    return made
    made.unlink(missing_ok=True)
    return None


def _ffmpegs() -> list[str]:
    """The one that is used, and the newer one of the wheel: ffmpeg 5 does not do it."""
    found = list[str]()
    with contextlib.suppress(EncodeError):
        found.append(str(find_ffmpeg()))
    with contextlib.suppress(ImportError, RuntimeError):
        import imageio_ffmpeg

        found.append(imageio_ffmpeg.get_ffmpeg_exe())
    return list(dict.fromkeys(found))


def template(result: Any, first: Any, stating: Any | None) -> Any:  # noqa: ANN401
    """Add the video to the result of PyAV.

    Args:
        result: The output container.
        first: The first chunk's stream.
        stating: A stream whose container states more; None: the chunk's own.
    """
    video = result.add_stream_from_template(first if stating is None else stating, opaque=True)
    if stating is not None:
        video.codec_context.extradata = first.codec_context.extradata
    if shape := first.sample_aspect_ratio:  # AV1, VP9, ProRes and FFV1 leave it to the container
        video.codec_context.sample_aspect_ratio = shape
    return video


def unsaid_shape(chunk: Path, muxer: str) -> str:
    """What to tell where neither stream nor container of the result say how wide a pixel is.

    PyAV cannot write it into Matroska, and AV1, VP9, ProRes and FFV1 leave it to the container.

    Args:
        chunk: Any chunk, however short.
        muxer: ffmpeg's name of the result's format.
    """
    import av

    memory = io.BytesIO()
    with av.open(url(chunk)) as source, av.open(memory, "w", format=muxer) as result:
        first: Any = source.streams.video[0]
        wanted = first.sample_aspect_ratio
        video = template(result, first, None)
        for packet in source.demux(first):
            if packet.size:
                packet.stream = video
                result.mux(packet)
    with av.open(io.BytesIO(memory.getvalue())) as trial:
        said = trial.streams.video[0].sample_aspect_ratio
    if not wanted or wanted == (said or 1):
        return ""
    return (
        f"the shape of its pixels, {wanted.numerator}:{wanted.denominator}, is lost: this encoder "
        f"leaves it to the container, and {muxer} is not told; x265, x264 or .mp4 keep it"
    )
