"""Sound and subtitles that the result's container does not hold: decoded and encoded as others."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_HOLE = Fraction(1, 50)
"""Seconds of sound that are missing before silence is put in; less is a matter of rounding."""
_SILENCE = 3600
"""Seconds of silence at most: more is no hole but another clock."""


class Sound:
    """Decodes sound and encodes it again; puts silence where it is missing."""

    def __init__(
        self,
        source: Any,  # noqa: ANN401
        result: Any,  # noqa: ANN401
        samples: str,
        damaged: Callable[[], None],
    ) -> None:
        """Prepare.

        Args:
            source: PyAV's stream of the source.
            result: PyAV's stream of the result.
            samples: Sample format that the encoder takes.
            damaged: Called for each packet that cannot be decoded.
        """
        import av

        context = source.codec_context
        self._source, self._result, self._damaged = source, result, damaged
        self._rate: int = context.sample_rate
        self._layout = result.codec_context.layout.name
        self._fits = dict[tuple[str, str, int], Any]()
        self._due: int | None = None
        self._samples = samples
        # Some AVI files count in other units than they state: beyond the end there is no time.
        stated = Fraction(source.container.duration or 0, av.time_base)
        self._end = int((stated + 1) * self._rate) if stated else math.inf
        self._begin = 0

    def encode(self, packet: Any) -> Iterator[Any]:  # noqa: ANN401
        """Packets of the result that one of the source brings about; without a time it follows."""
        for frame in self._decoded(packet):
            yield from self._frame(frame)

    def end(self) -> Iterator[Any]:
        """Packets that are still to come."""
        for frame in self._decoded(None):
            yield from self._frame(frame)
        yield from self._result.encode(None)

    def _decoded(self, packet: Any) -> Sequence[Any]:  # noqa: ANN401
        from av.error import FFmpegError

        try:
            return self._source.decode(packet)
        except FFmpegError:
            self._damaged()
            return ()

    def _frame(self, frame: Any) -> Iterator[Any]:  # noqa: ANN401
        rate = self._rate
        if frame.pts is not None:
            at = round(frame.pts * Fraction(frame.time_base) * rate)
            if self._due is None:
                self._due = self._begin = at
            missing = at - self._due
            possible = missing < _SILENCE * rate and at - self._begin < self._end
            if missing > _HOLE * rate and possible:
                while missing > 0:
                    yield from self._send(self._silent(min(missing, rate)))
                    missing -= rate
        self._due = self._due or 0
        for fitted in self._fitting(frame).resample(frame):
            yield from self._send(fitted)

    def _fitting(self, frame: Any) -> Any:  # noqa: ANN401
        """What makes such frames fit the encoder; a broadcast changes its channels now and then."""
        import av

        kind = (frame.format.name, frame.layout.name, frame.sample_rate)
        if kind not in self._fits:
            self._fits[kind] = av.AudioResampler(
                format=self._samples, layout=self._layout, rate=self._rate
            )
        return self._fits[kind]

    def _send(self, frame: Any) -> Iterator[Any]:  # noqa: ANN401
        frame.pts, frame.time_base = self._due, Fraction(1, self._rate)
        self._due = (self._due or 0) + frame.samples
        yield from self._result.encode(frame)

    def _silent(self, samples: int) -> Any:  # noqa: ANN401
        import av

        frame = av.AudioFrame(format=self._samples, layout=self._layout, samples=samples)
        level = b"\x80" if self._samples == "u8" else b"\0"  # the middle of unsigned samples
        for plane in frame.planes:
            plane.update(level * plane.buffer_size)
        frame.sample_rate = self._rate
        return frame


class Text:
    """Decodes subtitles of text and encodes them as others."""

    def __init__(self, source: Any, result: Any, damaged: Callable[[], None]) -> None:  # noqa: ANN401
        """See `Sound`."""
        self._source, self._result, self._damaged = source, result, damaged

    def encode(self, packet: Any) -> Iterator[Any]:  # noqa: ANN401
        """The packet of the result that one of the source becomes, with its times."""
        from av.error import FFmpegError

        try:
            found = self._source.codec_context.decode2(packet)
        except FFmpegError:
            self._damaged()
            return
        if found is None or not found.rects:
            return
        coded = self._result.codec_context.encode_subtitle(found)
        coded.time_base, coded.pts, coded.dts = packet.time_base, packet.pts, packet.dts
        coded.duration = packet.duration or round(
            Fraction(found.end_display_time, 1000) / Fraction(packet.time_base)
        )
        yield coded

    def end(self) -> Iterator[Any]:
        """None are still to come."""
        yield from ()
