"""What a muxer holds: asked of it, by writing what it should hold into memory."""

from __future__ import annotations

import contextlib
import io
import itertools
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from vsanimesr.encode.common.names import url

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

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


def video_refusal(chunk: Path, muxer: str) -> str:
    """Why the result's container cannot hold what an encoder makes; empty: it can.

    Args:
        chunk: Any chunk, however short.
        muxer: ffmpeg's name of the result's format.
    """
    import av

    with av.open(url(chunk)) as container:
        stream: Any = container.streams.video[0]
        packets = list(itertools.islice((p for p in container.demux(stream) if p.size), _ENOUGH))
        why = refusal(stream, muxer, packets=packets)
        codec = stream.codec_context.codec.canonical_name
    if not why:
        return ""
    return (
        f"the result's container, {muxer}, takes no {codec} video: {why}; choose another encoder "
        "or another container"
    )


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


def conversions(stream: Any) -> list[tuple[str, str]]:  # noqa: ANN401
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


def lost(stream: Any) -> str:  # noqa: ANN401
    """What is lost when a stream is converted, in words."""
    if stream.type == "subtitle":
        return "its styling is lost"
    if "Atmos" in str(stream.profile) or "DTS:X" in str(stream.profile):
        return "its objects are lost, its channels are kept"
    if stream.codec_context.codec.lossy and not stream.codec_context.codec.lossless:
        return "what is decoded of it is kept whole"
    return "nothing is lost"


def first_packets(container: Any) -> dict[int, list[Any]]:  # noqa: ANN401
    """The first packets of each stream, as far as they come early in the file."""
    from av.error import FFmpegError

    found = dict[int, list[Any]]()
    with contextlib.suppress(FFmpegError):
        for packet in itertools.islice(container.demux(), _LOOK):
            own = found.setdefault(packet.stream_index, [])
            if packet.size and len(own) < _ENOUGH:
                own.append(packet)
    return found


def opened(stream: Any, packets: Sequence[Any]) -> None:  # noqa: ANN401
    """Decode a little where only that tells the format of the samples."""
    from av.error import FFmpegError

    for packet in packets:
        if stream.codec_context is None or stream.codec_context.format is not None:
            return
        with contextlib.suppress(FFmpegError, ValueError):  # the latter: without a decoder
            stream.decode(packet)
