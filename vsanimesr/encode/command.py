"""ffmpeg's options for the enlarged video: its times, colours and shape."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    import vapoursynth as vs

    from vsanimesr.encode.times import Times


def video_input(frame: vs.VideoFrame, shift: float) -> list[str]:
    """Options before and of input 0. VapourSynth and ffmpeg both number colours as H.273 does.

    As options of the input they tag every frame, so that nothing converts them later.
    """
    props = frame.props
    options = [
        "-copyts",  # else each input is moved to start at 0 and sound shifts against video
        *("-itsoffset", f"{-shift:.6f}"),
        *("-colorspace", str(int(cast("int", props.get("_Matrix", 2))))),
        *("-color_primaries", str(int(cast("int", props.get("_Primaries", 2))))),
        *("-color_trc", str(int(cast("int", props.get("_Transfer", 2))))),
    ]
    if (full := props.get("_Range")) is not None:  # AVCOL_RANGE_JPEG 2, _MPEG 1
        options += ["-color_range", "2" if full == 1 else "1"]
    if (location := props.get("_ChromaLocation")) is not None:  # AVCHROMA_LOC_LEFT is 1
        options += ["-chroma_sample_location", str(int(cast("int", location)) + 1)]
    return [*options, "-f", "nut", "-i", "pipe:0"]


def video_output(frame: vs.VideoFrame, times: Times, shift: float, muxer: str) -> list[str]:
    """Options of the result's first stream, whatever encodes it.

    Args:
        frame: The first frame; its `_SAR*` props are those of the result.
        times: Of all frames.
        shift: Seconds that ffmpeg takes off every time.
        muxer: ffmpeg's name of the result's format.
    """
    base = f"{times.base.numerator}:{times.base.denominator}"
    options = ["-fps_mode:v:0", "passthrough", "-enc_time_base:v:0", base]
    options += ["-bsf:v:0", _last_duration(times, shift, muxer)]
    num, den = frame.props.get("_SARNum"), frame.props.get("_SARDen")
    if num and den:
        options += ["-filter:v:0", f"setsar={num}/{den}:max=1000000"]
    return options


def _last_duration(times: Times, shift: float, muxer: str) -> str:
    """A bitstream filter that says how long the last frame lasts: NUT tells only its start.

    Matroska ends where the frame shown last ends. MP4 ends with the packet decoded last,
    and the span of decoding times is made to equal that of the times of showing.
    """
    last = float(times.last * times.base)
    if muxer == "matroska":
        start = float(times.pts[-1] * times.base) - shift
        which = f"lt(abs(PTS*TB-{start:.9f}),{float(times.base) / 2 + 1e-6:.9f})"
        duration = f"{last:.9f}/TB"
    else:
        span = float((times.pts[-1] - times.pts[0]) * times.base) + last
        which = f"eq(N,{len(times.pts) - 1})"
        duration = f"{span:.9f}/TB-DTS+STARTDTS"
    return f"setts=pts=PTS:dts=DTS:duration='if({which},round({duration}),DURATION)'"
