"""One stream on its way from the source into the result: its packets, with the result's times."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

from vsanimesr.encode.join.recode import Sound, Text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vsanimesr.encode.join.plan import Carried
    from vsanimesr.encode.source.times import Times

_LONGEST = Fraction(10)
"""Seconds of one packet of sound. Ogg states the end of a stream as a count of samples, and where
that is before the last packet's start, its duration comes out as one of hours."""
_BACK = Fraction(1, 10)
"""A clock has started anew where time falls by so many seconds."""
_COVER = 0x400
"""AV_DISPOSITION_ATTACHED_PIC of libavformat/avformat.h: one picture, without a time."""


class Carrier:
    """Gives a stream's packets new times; encodes them where the muxer takes no copy."""

    def __init__(
        self,
        one: Carried,
        source: Any,  # noqa: ANN401 (PyAV's streams differ by kind)
        result: Any,  # noqa: ANN401
        times: Times | None,
        shift: Fraction,
        even: bool,
    ) -> None:
        """Prepare.

        Args:
            one: What is to be done.
            source: PyAV's stream of the source.
            result: PyAV's stream of the result.
            times: The video's times, which say how the container's clock went; None: evenly.
            shift: Seconds to take off every time.
            even: Whether the muxer takes packets that are decoded at the same time.
        """
        self.name = one.name
        self.damaged = 0
        self._source, self._result = source, result
        self._base = Fraction(source.time_base)
        self._clocks = times.clocks if times else (Fraction(0),)
        self._shift, self._even = shift, even
        self._clock = 0
        self._counted = one.counted
        self._next: int | None = None
        self._still = bool(one.disposition & _COVER)
        self._raw: int | None = None
        self._last: int | None = None
        self._ticks = Fraction(1)
        self._usual = 0  # duration of packets, in the source's ticks
        self._waiting = list[Any]()
        self._coder = None
        if one.encoder and source.type == "audio":
            self._coder = Sound(source, result, one.samples, self._damage)
        elif one.encoder:
            self._coder = Text(source, result, self._damage)

    def carry(self, packet: Any) -> Iterator[Any]:  # noqa: ANN401
        """Packets of the result that a packet of the source brings about."""
        if not packet.size or self._cut_away(packet):
            return
        # Sound that is decoded goes on where it was; what is copied wants a time.
        if not (packet.pts is packet.dts is None and isinstance(self._coder, Sound)):
            if not self._timed(packet):
                self.damaged += 1
                return
            self._shifted(packet)
        if self._coder is None:
            yield from self._ordered(packet)
            return
        for made in self._coder.encode(packet):
            yield self._fitted(made)

    def end(self) -> Iterator[Any]:
        """Packets that are still to come when the source has ended."""
        if self._coder is not None:
            for made in self._coder.end():
                yield self._fitted(made)
        elif self._waiting:
            yield from self._released(self._waiting[-1].pts)

    def _cut_away(self, packet: Any) -> bool:  # noqa: ANN401
        """Whether an edit list of MP4 begins after it: it would be heard before the first frame.

        The packet just before that is kept, for decoders want it.
        """
        early = packet.pts is not None and packet.pts + (packet.duration or 0) < 0
        return early and packet.is_discard

    def _damage(self) -> None:
        self.damaged += 1

    def _timed(self, packet: Any) -> bool:  # noqa: ANN401
        """Give a packet the time it lacks, where that is known."""
        if self._counted:
            if self._next is not None:
                packet.pts = packet.dts = self._next
            self._next = (packet.pts or 0) + (packet.duration or 0)
        if packet.dts is not None or packet.pts is not None:
            return True
        if self._source.type == "audio":  # some containers state the time of the first only
            packet.pts = packet.dts = 0 if self._raw is None else self._raw + self._usual
        elif self._still:
            packet.pts = packet.dts = 0
        return packet.pts is not None

    def _shifted(self, packet: Any) -> None:  # noqa: ANN401
        """Put a packet on the result's clock, in the source's ticks."""
        base = self._base
        raw = packet.dts if packet.dts is not None else packet.pts
        if self._raw is not None and (self._raw - raw) * base > _BACK:
            self._clock = min(self._clock + 1, len(self._clocks) - 1)
        self._raw = raw
        offset = round((self._clocks[self._clock] - self._shift) / base)
        packet.time_base = base
        packet.pts = (packet.pts if packet.pts is not None else raw) + offset
        if self._source.type == "video":
            packet.dts = packet.dts + offset if packet.dts is not None else None
        else:  # nothing is reordered: what counts is when it is heard or read
            packet.dts = packet.pts
        if self._source.type == "audio" and (packet.duration or 0) * base > _LONGEST:
            packet.duration = 0

    def _ordered(self, packet: Any) -> Iterator[Any]:  # noqa: ANN401
        """Packets to copy, each with a time of decoding; the first ones of a video may lack it."""
        if packet.dts is None and self._last is None:
            self._waiting.append(packet)
            return
        if packet.dts is None:
            packet.dts = packet.pts if not self._last else int(self._last / self._ticks) + 1
        if self._waiting:
            yield from self._released(packet.dts)
        yield self._fitted(packet)

    def _released(self, until: int) -> Iterator[Any]:
        early = min(packet.pts for packet in self._waiting)
        count = len(self._waiting)
        for n, packet in enumerate(self._waiting):
            packet.dts = min(until, early) - count + n
            yield self._fitted(packet)
        self._waiting.clear()

    def _fitted(self, packet: Any) -> Any:  # noqa: ANN401
        """Round to the result's ticks, in which times of decoding must increase."""
        packet.stream = self._result
        here, there = Fraction(packet.time_base), Fraction(self._result.time_base)
        self._ticks = here / there
        if packet.duration and self._source.type == "audio":
            self._usual = packet.duration
        # Where the container states none, the last packet would have no length in MP4.
        duration = packet.duration or (self._usual if self._source.type == "audio" else 0)
        pts, dts = round(packet.pts * self._ticks), round(packet.dts * self._ticks)
        if self._last is not None:
            dts = max(dts, self._last + (0 if self._even else 1))
            if not packet.duration:
                self._usual = round((dts - self._last) / self._ticks)
        packet.time_base = there
        packet.pts = pts if self._source.type == "video" else max(pts, dts)
        packet.dts = self._last = dts
        packet.duration = round(duration * self._ticks)
        return packet
