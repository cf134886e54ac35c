"""ffmpeg's command for one chunk: frames by a pipe, their colours and shape, the encoder."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, cast

from vsanimesr.encode.given.encoders import own_option
from vsanimesr.encode.given.frames import pixel_format

if TYPE_CHECKING:
    from pathlib import Path

    import vapoursynth as vs

FASTEST = 500
"""Frames per second of chunks, at most: Matroska, which holds what every encoder makes, counts in
ms. When frames are shown is nothing that a chunk has to know; `join` gives them their times."""


def command(ffmpeg: Path, frame: vs.VideoFrame, rate: Fraction, options: list[str]) -> list[str]:
    """The command, but for the file to write, which comes last.

    VapourSynth and ffmpeg both number colours as H.273 does. As options of the input they tag every
    frame, so that nothing converts them.

    Args:
        ffmpeg: The program.
        frame: The film's first frame, enlarged; its colours and its `_SAR*` are those of the film.
        rate: Frames per second, the average where it varies: encoders plan their bits by it.
        options: Of the encoder.
    """
    props = frame.props
    words = [str(ffmpeg), "-hide_banner", "-nostdin", "-nostats", "-loglevel", "error", "-y"]
    for name, prop in (("colorspace", "_Matrix"), ("color_primaries", "_Primaries")):
        words += [f"-{name}", str(int(cast("int", props.get(prop, 2))))]
    words += ["-color_trc", str(int(cast("int", props.get("_Transfer", 2))))]
    if (full := props.get("_Range")) is not None:  # AVCOL_RANGE_JPEG 2, _MPEG 1
        words += ["-color_range", "2" if full == 1 else "1"]
    if (location := props.get("_ChromaLocation")) is not None:  # AVCHROMA_LOC_LEFT is 1
        words += ["-chroma_sample_location", str(int(cast("int", location)) + 1)]
    rate = min(rate, Fraction(FASTEST))
    pixels = pixel_format(frame.format.name)
    words += ["-f", "rawvideo", "-pixel_format", pixels]
    words += ["-video_size", f"{frame.width}x{frame.height}", "-framerate", _fraction(rate)]
    words += ["-i", "pipe:0", "-map", "0:v:0", "-fps_mode:v:0", "passthrough"]
    words += ["-enc_time_base:v:0", f"{rate.denominator}:{rate.numerator}"]
    given = list(options)
    num, den = props.get("_SARNum"), props.get("_SARDen")
    if num and den:
        shape, place = f"setsar={num}/{den}:max=1000000", own_option(given, "-vf|-filter")
        if place is None:
            given += ["-filter:v:0", shape]
        else:  # first, for theirs may change the shape
            given[place] = f"{shape},{given[place]}"
    return [*words, *given, "-fflags", "+bitexact", "-f", "matroska"]  # no random numbers


def _fraction(rate: Fraction) -> str:
    return f"{rate.numerator}/{rate.denominator}"
