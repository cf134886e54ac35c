"""The join: finished chunks and the rest of the source into one file, without encoding again.

A step of its own that can be repeated: it reads the chunks and the source and writes one file.
"""

from __future__ import annotations

import contextlib
import heapq
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from vsanimesr.encode.common.names import shown, url
from vsanimesr.encode.join.furnish import furnish, tag
from vsanimesr.encode.join.muxer import reason
from vsanimesr.encode.join.reader import reader
from vsanimesr.encode.join.rest import carriers_of, damage, mux, rest_packets
from vsanimesr.encode.join.stated import stating, template
from vsanimesr.encode.join.video import describe, order, shifted, video_packets
from vsanimesr.errors import EncodeError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from vsanimesr.encode.join.carry import Carrier
    from vsanimesr.encode.join.plan import Plan
    from vsanimesr.encode.source.times import Times


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

    places, delay = order(chunks)
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
            times = shifted(times, rest.shift if rest else Fraction(0))
            made = output.with_name(f"{output.name}.hdr.mkv")
            stack.callback(made.unlink, missing_ok=True)
            said = stating(chunks[0], made)
            more = stack.enter_context(av.open(url(said))).streams.video[0] if said else None
            video = template(result, first.streams.video[0], more)
            describe(video, times, rest, tags, muxer)
            flows: list[Iterator[tuple[Fraction, Any, Carrier | None]]] = [
                video_packets(chunks, places, delay, times, muxer, video)
            ]
            carriers: dict[int, Carrier] = {}
            if rest:
                source = stack.enter_context(reader(rest.source))
                carriers = carriers_of(result, source, rest, times, muxer)
                furnish(result, rest, notes, times, muxer)
                flows.append(rest_packets(source, carriers))
            tag(result, tags, muxer)
            result.start_encoding()
            done = 0
            for _, packet, carrier in heapq.merge(*flows, key=lambda flow: flow[0]):
                if carrier is None:
                    result.mux_one(packet)
                    done += 1
                    moved(done)
                else:
                    mux(result, packet, carrier)
    except (FFmpegError, OSError) as error:
        raise EncodeError(f"upscale: {shown(output)} cannot be written: {reason(error)}") from error
    return [*notes, *damage(carriers, "left out, the rest is kept")]
