"""What becomes of one stream beside the video: copied, converted, attached, or left out.

Whether a container can hold a stream is asked of its muxer, which writes a header with it into
memory; no table says so. What it refuses is converted where that loses nothing, else left out with
the muxer's own reason.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vsanimesr.encode.join.covers import cover, holds_cover, is_cover
from vsanimesr.encode.join.muxer import conversions, lost, opened, refusal
from vsanimesr.encode.join.plan import Attached, Carried, Plan
from vsanimesr.encode.join.words import STATISTICS, codec_name, stream_name, without
from vsanimesr.encode.source.reading import counts_otherwise

if TYPE_CHECKING:
    from collections.abc import Sequence


def carry(
    chosen: Plan,
    container: Any,  # noqa: ANN401
    stream: Any,  # noqa: ANN401
    said: str,
    first: Sequence[Any],
) -> None:
    """Decide on a stream, and enter it or the reason why not into the plan.

    Args:
        chosen: The plan.
        container: The source, of PyAV.
        stream: One of its streams.
        said: What `words.described` has of it.
        first: Its first packets.
    """
    name = stream_name(stream, said)
    tags = dict(stream.metadata)
    if stream.type == "attachment":
        if chosen.muxer == "matroska":
            file = tags.pop("filename", "") or f"attachment {stream.index}"
            mime = tags.pop("mimetype", "") or "application/octet-stream"
            chosen.files.append(Attached(name=file, mime=mime, data=stream.data, tags=tags))
        else:
            chosen.notes.append(f"{name} is left out: {chosen.muxer} holds no attachments")
        return
    if is_cover(stream) and chosen.muxer == "matroska":
        # A cover copied as it is becomes a video track of one frame there.
        chosen.files.append(cover(container, stream))
        return
    if stream.type == "data" and _kept_otherwise(chosen, stream, said):
        return
    if stream.type == "data" and ("Data: bin_data" in said or "Data: none" in said):
        chosen.notes.append(f"{name} is left out: FFmpeg's libraries do not know what it is")
        return
    carried: dict[str, Any] = {"number": stream.index, "name": name}
    carried["disposition"] = int(stream.disposition)
    if stream.codec_context is None and stream.type != "data":
        carried["codec"] = codec_name(stream, said)
    if stream.type == "audio":
        carried["counted"] = counts_otherwise(container, first)
    reason = refusal(stream, chosen.muxer, codec=carried.get("codec", ""), packets=first)
    if reason and stream.type == "audio":
        if not first:
            reason = f"nothing of it was found ({reason})"
        opened(stream, first)
    if not reason and is_cover(stream) and not holds_cover(container, stream, chosen.muxer):
        reason = f"{chosen.muxer} holds no covers"
    if not reason:
        chosen.streams.append(Carried(**carried, tags=tags))
        return
    for encoder, samples in conversions(stream):
        if not refusal(stream, chosen.muxer, encoder, samples):
            one = Carried(
                **carried, encoder=encoder, samples=samples, tags=without(tags, STATISTICS)
            )
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
