"""Whether encoder and container take such a film: tried before anything takes its time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vsanimesr.encode.common.ffmpeg import Process, find_ffmpeg
from vsanimesr.encode.common.names import url
from vsanimesr.encode.given.enlarge import format_id
from vsanimesr.encode.given.frames import pixel_format
from vsanimesr.encode.join.muxer import video_refusal
from vsanimesr.encode.join.stated import unsaid_shape
from vsanimesr.encode.render.command import command
from vsanimesr.encode.verify import verify
from vsanimesr.errors import EncodeError

if TYPE_CHECKING:
    from pathlib import Path

    from vsanimesr.encode.given.film import Film
    from vsanimesr.encode.source.media import Source


def try_encoder(film: Film, video: Source, path: Path, muxer: str) -> str:
    """Encode a gray frame of the result's size; whoever renders, no engine is wanted for it.

    Args:
        film: What is to be rendered.
        video: Its source.
        path: A file that is written and removed.
        muxer: ffmpeg's name of the result's format.

    Returns:
        What will be lost of the picture's shape, or nothing.

    Raises:
        EncodeError: The encoder refuses it, or makes something else of it; or the result's
            container cannot hold what it makes.
    """
    import vapoursynth as vs

    core: Any = vs.core
    encoding = film.encoding
    form = format_id(encoding.format)
    width, height = film.upscale.size(video.clip, form)
    blank = core.std.BlankClip(None, width, height, form, length=1, keep=True)
    shape = {k: v for k, v in video.clip.get_frame(0).props.items() if k.startswith("_SAR")}
    frame = blank.std.SetFrameProps(**shape).get_frame(0)
    program = find_ffmpeg(encoding.codec)
    words = command(program, frame, video.times.rate, encoding.options())
    process = Process([*words, url(path)])
    try:
        process.write(frame.readchunks())
        process.finish()
        made = verify(path, 1)
        refused = video_refusal(path, muxer)
        unsaid = "" if refused else unsaid_shape(path, muxer)
    except EncodeError as error:
        raise EncodeError(
            f"upscale: frames of {width}x{height} in {encoding.format} cannot be encoded with "
            f"{encoding.settings()}: {error}"
        ) from error
    finally:
        process.kill()
        path.unlink(missing_ok=True)
    if refused:
        raise EncodeError(f"upscale: {refused}")
    wanted = pixel_format(encoding.format)
    if made.pixels.replace("yuvj", "yuv") != wanted and not any(
        word.startswith("-pix_fmt") for word in encoding.arguments
    ):
        raise EncodeError(
            f"upscale: the encoder does not take {encoding.format} and would make "
            f"{made.pixels} of it; give another --format or --encoder"
        )
    return unsaid
