"""The join: finished chunks and the rest of the source into one file, without encoding again.

A step of its own that can be repeated: it reads the chunks and the source and writes one file.
"""

from __future__ import annotations

import contextlib
import heapq
import math
import os
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vsanimesr.encode.carry import Carrier
from vsanimesr.encode.muxer import added, reason
from vsanimesr.encode.names import shown, url
from vsanimesr.encode.reader import reader
from vsanimesr.encode.stated import stating, template
from vsanimesr.errors import EncodeError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from vsanimesr.encode.streams import Plan
    from vsanimesr.encode.times import Times

_HIGHEST = 2**31 - 1  # libav's rationals are two ints
_TAGS = {"mp4": "encoding_tool", "mov": "comment"}
"""Where tags of the video go, in containers that hold none of streams: what of the few names that
their muxers write comes nearest."""
_ATTEMPTS = 1000  # to read on behind damage


def join(
    chunks: Sequence[Path],
    output: Path,
    *,
    times: Times,
    rest: Plan | None,
    muxer: str,
    tags: Mapping[str, str],
    moved: Callable[[int], None] = lambda _: None,
) -> list[str]:
    """Write the result.

    Args:
        chunks: Files of the enlarged video, in order: one video stream each, of the same
            parameters, its first packet a key frame, one packet a frame.
        output: The file to write; one that is there is replaced.
        times: Of all frames. Of a chunk's own times only the order counts.
        rest: What goes along; None: nothing.
        muxer: ffmpeg's name of the result's format.
        tags: More tags of the video.
        moved: Called with the number of frames written, after each.

    Returns:
        What the user should know, one line each.

    Raises:
        EncodeError: A chunk cannot be read, the chunks hold another number of frames than
            `times`, or the file cannot be written.
    """
    import av
    from av.error import FFmpegError

    places, delay = _order(chunks)
    if sum(map(len, places)) != len(times.pts):
        raise EncodeError(
            f"upscale: the chunks hold {sum(map(len, places))} frames, wanted {len(times.pts)}"
        )
    notes = list[str]()
    try:
        with contextlib.ExitStack() as stack:
            # Bit-exact, as muxers say it: no versions, dates or random numbers are written.
            options = {"fflags": "+bitexact"}
            result = stack.enter_context(
                av.open(url(output), "w", format=muxer, container_options=options)
            )
            first = stack.enter_context(av.open(url(chunks[0])))
            times = _shifted(times, rest.shift if rest else Fraction(0))
            made = output.with_name(f"{output.name}.hdr.mkv")
            stack.callback(made.unlink, missing_ok=True)
            said = stating(chunks[0], made)
            more = stack.enter_context(av.open(url(said))).streams.video[0] if said else None
            video = template(result, first.streams.video[0], more)
            _describe(video, times, rest, tags, muxer)
            flows: list[Iterator[tuple[Fraction, Any, Carrier | None]]] = [
                _chunks(chunks, places, delay, times, muxer, video)
            ]
            carriers = dict[int, Carrier]()
            if rest:
                source = stack.enter_context(reader(rest.source))
                carriers = _carriers(result, source, rest, times, muxer)
                _furnish(result, rest, notes, times, muxer)
                flows.append(_rest(source, carriers))
            if place := _TAGS.get(muxer):
                said = " ".join(f"{name}={value}" for name, value in tags.items())
                result.metadata.setdefault(place, said)
            result.start_encoding()
            done = 0
            for _, packet, carrier in heapq.merge(*flows, key=lambda flow: flow[0]):
                if carrier is None:
                    result.mux_one(packet)
                    done += 1
                    moved(done)
                else:
                    _mux(result, packet, carrier)
    except (FFmpegError, OSError) as error:
        raise EncodeError(f"upscale: {shown(output)} cannot be written: {reason(error)}") from error
    for carrier in carriers.values():
        if carrier.damaged:
            notes.append(
                f"{carrier.name}: {carrier.damaged} damaged packet"
                f"{'s are' if carrier.damaged > 1 else ' is'} left out, the rest is kept"
            )
    return notes


def _shifted(times: Times, shift: Fraction) -> Times:
    """Times that start elsewhere, exactly: in a unit of which both are multiples."""
    if not shift:
        return times
    den = math.lcm(times.base.denominator, shift.denominator)
    if den > _HIGHEST:  # as near as libav's rationals allow
        den = times.base.denominator * (_HIGHEST // times.base.denominator)
    unit = Fraction(1, den)
    scale, offset = times.base / unit, round(shift / unit)
    assert scale.denominator == 1
    pts = [pts * scale.numerator - offset for pts in times.pts]
    return replace(times, pts=pts, base=unit, last=times.last * scale.numerator)


def _order(chunks: Sequence[Path]) -> tuple[list[list[int]], int]:
    """Each chunk's packets' places in the order of showing, and the greatest delay by reordering.

    The delay is how many packets a decoder is given before it can show the first frame.
    """
    import av
    from av.error import FFmpegError

    found, delay = list[list[int]](), 0
    for path in chunks:
        try:
            with av.open(url(path)) as container:
                stream = container.streams.video[0]
                own = [p.pts or 0 for p in container.demux(stream) if p.size]
        except (FFmpegError, OSError, IndexError) as error:
            raise EncodeError(
                f"upscale: the chunk {shown(path)} cannot be read: {error}"
            ) from error
        ranks = {pts: rank for rank, pts in enumerate(sorted(own))}
        if len(ranks) != len(own):
            raise EncodeError(f"upscale: the chunk {shown(path)} shows two frames at one time")
        found.append([ranks[pts] for pts in own])
        delay = max(delay, *(n - rank for n, rank in enumerate(found[-1])))
    return found, delay


def _describe(
    video: Any,  # noqa: ANN401
    times: Times,
    rest: Plan | None,
    tags: Mapping[str, str],
    muxer: str,
) -> None:
    video.time_base = times.base
    video.codec_context.framerate = times.rate
    if muxer != "matroska" and video.codec_context.codec.canonical_name == "hevc":
        video.codec_context.codec_tag = "hvc1"  # Apple's players refuse hev1
    video.metadata.update(dict(rest.video_tags if rest else {}) | dict(tags))
    if rest:
        video.disposition = rest.video_disposition


def _chunks(
    chunks: Sequence[Path],
    places: Sequence[Sequence[int]],
    delay: int,
    times: Times,
    muxer: str,
    video: Any,  # noqa: ANN401
) -> Iterator[tuple[Fraction, Any, Carrier | None]]:
    """The video's packets in their order of decoding, with the film's times.

    Packet i is decoded when frame i - delay is shown: that is never after it is shown itself, and
    increases as the times do, however uneven they are.
    """
    import av

    base = times.base
    count = len(times.pts)
    step = times.pts[1] - times.pts[0] if count > 1 else times.last
    first = times.pts[0]
    # Matroska ends where the frame shown last ends; MP4 where the packet decoded last does, and
    # the span of decoding times is made that of the times of showing.
    span = times.pts[-1] + times.last - first
    start, i = 0, 0
    for path, ranks in zip(chunks, places, strict=True):
        with av.open(url(path)) as container:
            stream = container.streams.video[0]
            own = (p for p in container.demux(stream) if p.size)
            for packet, rank in zip(own, ranks, strict=True):
                n = start + rank
                shown_for = times.pts[n + 1] - times.pts[n] if n + 1 < count else times.last
                dts = times.pts[i - delay] if i >= delay else first - (delay - i) * step
                packet.stream = video
                packet.time_base = base
                packet.pts, packet.dts = times.pts[n], dts
                packet.duration = shown_for
                if muxer != "matroska" and i == count - 1:
                    packet.duration = max(span - (dts - (first - delay * step)), 1)
                i += 1
                yield dts * base, packet, None
        start += len(ranks)


def _carriers(
    result: Any,  # noqa: ANN401
    source: Any,  # noqa: ANN401
    rest: Plan,
    times: Times | None,
    muxer: str,
) -> dict[int, Carrier]:
    from av.stream import Discard

    carriers = dict[int, Carrier]()
    for one in rest.streams:
        stream = source.streams[one.number]
        target = added(result, stream, one.encoder, one.samples, one.codec)
        target.metadata.update(one.tags)
        target.disposition = one.disposition
        even = muxer == "matroska"
        carriers[one.number] = Carrier(one, stream, target, times, rest.shift, even)
    for stream in source.streams:
        if stream.index not in carriers:
            stream.discard = Discard.all
    return carriers


def _furnish(result: Any, rest: Plan, notes: list[str], times: Times, muxer: str) -> None:  # noqa: ANN401
    """Put in what has no packets: attachments, chapters, tags."""
    for file in rest.files:
        attached = result.add_attachment(file.name, file.mime, file.data)
        attached.metadata.update(file.tags)
    result.metadata.update(rest.tags)
    chapters = rest.chapters
    if muxer != "matroska":
        end = (times.pts[-1] + times.last) * times.base
        chapters = _bounded(chapters, end, notes)
    if chapters:
        result.set_chapters(chapters)


def _bounded(
    chapters: list[dict[str, Any]], end: Fraction, notes: list[str]
) -> list[dict[str, Any]]:
    """Chapters as MP4 holds them: each with a title, none after the end, for that is moved."""
    kept = list[dict[str, Any]]()
    for number, chapter in enumerate(chapters, 1):
        base = Fraction(chapter["time_base"])
        if chapter["start"] * base >= end:
            continue
        tags = dict(chapter["metadata"])
        tags.setdefault("title", f"Chapter {number}")
        tags["title"] = tags["title"] or f"Chapter {number}"
        last = min(chapter["end"], int(end / base))
        kept.append(chapter | {"metadata": tags, "end": last})
    if late := len(chapters) - len(kept):
        notes.append(f"{late} chapter{'s' * (late > 1)} after the end of the film left out")
    return kept


def _rest(
    source: Any,  # noqa: ANN401
    carriers: Mapping[int, Carrier],
) -> Iterator[tuple[Fraction, Any, Carrier | None]]:
    if not carriers:
        return
    now = Fraction(0)
    for packet in _read(source, [source.streams[number] for number in carriers]):
        carrier = carriers.get(packet.stream_index)
        if carrier is None:
            continue
        for made in carrier.carry(packet):
            if made.dts is not None:
                now = made.dts * Fraction(made.time_base)
            yield now, made, carrier
    for carrier in carriers.values():
        for made in carrier.end():
            yield now, made, carrier


def _read(source: Any, streams: list[Any]) -> Iterator[Any]:  # noqa: ANN401
    """The packets of a source, beyond what is damaged."""
    from av.error import InvalidDataError

    failed = 0
    while failed < _ATTEMPTS:
        try:
            for packet in source.demux(streams):
                failed = 0
                yield packet
            return
        except InvalidDataError:  # the reader goes on behind it
            failed += 1


def _mux(result: Any, packet: Any, carrier: Carrier) -> None:  # noqa: ANN401
    """Write a packet of the source; one that the muxer finds damaged is counted."""
    from av.error import ArgumentError, InvalidDataError

    try:
        result.mux_one(packet)
    except (InvalidDataError, ArgumentError):
        carrier.damaged += 1


def tried(rest: Plan) -> list[str]:
    """Read what goes along to its end, write it nowhere, and say what is damaged in it.

    Raises:
        EncodeError: It cannot be carried over at all.
    """
    import av
    from av.error import FFmpegError

    if not rest.streams:
        return []
    try:
        with (
            # No object of Python: an interrupt while libavformat calls one would be lost.
            av.open(url(Path(os.devnull)), "w", format=rest.muxer) as result,
            reader(rest.source) as source,
        ):
            carriers = _carriers(result, source, rest, None, rest.muxer)
            result.start_encoding()
            for _, packet, carrier in _rest(source, carriers):
                if carrier:
                    _mux(result, packet, carrier)
    except (FFmpegError, OSError) as error:
        raise EncodeError(
            f"upscale: what goes along with the video of {shown(rest.source)} cannot be carried "
            f"over: {reason(error)}"
        ) from error
    return [
        f"{carrier.name}: {carrier.damaged} damaged packet{'s' * (carrier.damaged > 1)} will be "
        "left out"
        for carrier in carriers.values()
        if carrier.damaged
    ]
