"""What goes along with the video: a source is looked at, its muxer asked, before frame 0."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

from vsanimesr.encode.common.names import shown
from vsanimesr.encode.join.covers import is_cover
from vsanimesr.encode.join.muxer import first_packets
from vsanimesr.encode.join.plan import Plan
from vsanimesr.encode.join.reader import reader
from vsanimesr.encode.join.streams import carry
from vsanimesr.encode.join.words import STATISTICS, codec_name, described, without
from vsanimesr.encode.source.picture import picture
from vsanimesr.errors import EncodeError

if TYPE_CHECKING:
    from pathlib import Path

# Facts of the old container or the old picture: transparency and the two views of one.
_OLD = ("ALPHA_MODE", "VIDEOALPHAMODE")
_CONTAINER = ("ENCODER", "MAJOR_BRAND", "MINOR_VERSION", "COMPATIBLE_BRANDS", "VARIANT_BITRATE")


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
                codec = codec_name(stream, described(container).get(stream.index, ""))
                raise EncodeError(
                    f"upscale: track {stream.index} of {shown(path)} is {codec} video, of which "
                    "FFmpeg's libraries here know no decoder"
                )
            chosen.track = stream.index
            _describe(chosen, stream)
        # A broadcast's clock starts anywhere; files of other kinds start where they mean to.
        if container.format.flags & Flags.ts_discont.value:
            chosen.shift = _start(container)
        chosen.tags = without(container.metadata, _CONTAINER)
        chosen.chapters = [dict(chapter) for chapter in container.chapters()]
        said, first = described(container), first_packets(container)
        for stream in container.streams:
            other_video = stream.type == "video" and not is_cover(stream)
            if stream.index != chosen.track and (video or not other_video):
                number = stream.index
                carry(chosen, container, stream, said.get(number, ""), first.get(number, []))
    return chosen


def _chosen(container: Any, path: Path, track: int | None) -> Any:  # noqa: ANN401
    from av.stream import Disposition

    streams: list[Any] = list(container.streams)
    videos = [s for s in streams if s.type == "video" and not is_cover(s)]
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
    chosen.video_tags = without(stream.metadata, (*STATISTICS, *_OLD))
    views = picture(stream).stereo
    if chosen.muxer == "matroska" and views:
        chosen.video_tags.setdefault("stereo_mode", views)
    elif views or chosen.video_tags.pop("stereo_mode", "mono") != "mono":
        chosen.notes.append(f"that the picture is two views is not said in {chosen.muxer}")
