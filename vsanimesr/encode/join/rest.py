"""What goes along with the video, packet by packet, beyond what is damaged."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vsanimesr.encode.common.names import shown, url
from vsanimesr.encode.join.carry import Carrier
from vsanimesr.encode.join.muxer import added, reason
from vsanimesr.encode.join.reader import reader
from vsanimesr.encode.source.reading import beyond_damage
from vsanimesr.errors import EncodeError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from vsanimesr.encode.join.plan import Plan
    from vsanimesr.encode.source.times import Times


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
            carriers = carriers_of(result, source, rest, None, rest.muxer)
            result.start_encoding()
            for _, packet, carrier in rest_packets(source, carriers):
                if carrier:
                    mux(result, packet, carrier)
    except (FFmpegError, OSError) as error:
        raise EncodeError(
            f"upscale: what goes along with the video of {shown(rest.source)} cannot be carried "
            f"over: {reason(error)}"
        ) from error
    return damage(carriers, "will be left out")


def damage(carriers: Mapping[int, Carrier], what: str) -> list[str]:
    """What was damaged, one line for each stream, and what becomes of it."""
    return [
        f"{one.name}: {one.damaged} damaged packet{'s' * (one.damaged > 1)} {what}"
        for one in carriers.values()
        if one.damaged
    ]


def carriers_of(
    result: Any,  # noqa: ANN401
    source: Any,  # noqa: ANN401
    rest: Plan,
    times: Times | None,
    muxer: str,
) -> dict[int, Carrier]:
    """Add all that goes along to a result of PyAV; by its number in the source, what carries it."""
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


def rest_packets(
    source: Any,  # noqa: ANN401
    carriers: Mapping[int, Carrier],
) -> Iterator[tuple[Fraction, Any, Carrier | None]]:
    """What goes along, packet by packet, each with when it is due in seconds."""
    from av.error import InvalidDataError

    if not carriers:
        return
    now = Fraction(0)
    try:
        for packet in beyond_damage(source, [source.streams[number] for number in carriers]):
            carrier = carriers.get(packet.stream_index)
            if carrier is None:
                continue
            for made in carrier.carry(packet):
                if made.dts is not None:
                    now = made.dts * Fraction(made.time_base)
                yield now, made, carrier
    except InvalidDataError:  # nothing more can be read: of each there may have been more
        for carrier in carriers.values():
            carrier.damaged += 1
    for carrier in carriers.values():
        for made in carrier.end():
            yield now, made, carrier


def mux(result: Any, packet: Any, carrier: Carrier) -> None:  # noqa: ANN401
    """Write a packet of the source; one that the muxer finds damaged is counted."""
    from av.error import ArgumentError, InvalidDataError

    try:
        result.mux_one(packet)
    except (InvalidDataError, ArgumentError):
        carrier.damaged += 1
