"""Frames as a NUT stream: raw planes with exact times, which is all that ffmpeg needs.

yuv4mpeg has no time stamps and Matroska rounds them; NUT has a free time base.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING

from vsanimesr.errors import EncodeError

if TYPE_CHECKING:
    from fractions import Fraction

    import vapoursynth as vs

    from vsanimesr.encode.times import Times

_FAMILIES = ("yuv420p", "yuv422p", "yuv444p")
FORMATS = tuple(f"{family}{bits}" for bits in (8, 10, 12) for family in _FAMILIES)
"""Pixel formats of the result: VapourSynth's names in lower case."""


def pixel_format(name: str) -> str:
    """Name that ffmpeg gives to a format of VapourSynth.

    Raises:
        EncodeError: Not one of `FORMATS`.
    """
    lower = name.lower()
    if lower not in FORMATS:
        raise EncodeError(f"upscale: cannot encode {name} frames; wanted: {', '.join(FORMATS)}")
    return lower.removesuffix("8") if lower.endswith("p8") else f"{lower}le"


class NutWriter:
    """Wraps frames of one format into a NUT stream.

    It writes into memory and the caller passes the bytes on: a Ctrl-C that arrives while
    libavformat calls back into Python would be lost there.
    """

    def __init__(self, clip: vs.VideoNode, times: Times) -> None:
        import av

        self._times = times
        self._chunks: list[bytes] = []
        # Only `write`: an object that cannot seek makes a stream that needs no seeking. And
        # a method written in C: no signal handler of Python's runs inside of it.
        sink = SimpleNamespace(write=self._chunks.append)
        self._nut = av.open(sink, "w", format="nut", buffer_size=1 << 20)
        self._stream = self._nut.add_stream("rawvideo", rate=_small(times.rate))
        self._stream.width, self._stream.height = clip.width, clip.height
        self._stream.pix_fmt = pixel_format(clip.format.name)
        self._stream.time_base = times.base

    def frame(self, n: int, frame: vs.VideoFrame) -> list[bytes]:
        """Bytes to send for frame `n`."""
        import av

        packet = av.Packet(b"".join(frame.readchunks()))
        packet.stream, packet.time_base = self._stream, self._times.base
        packet.pts = packet.dts = self._times.pts[n]
        packet.is_keyframe = True
        self._nut.mux(packet)
        return self._taken()

    def end(self) -> list[bytes]:
        """Bytes that end the stream."""
        self._nut.close()
        return self._taken()

    def _taken(self) -> list[bytes]:
        data = self._chunks.copy()
        self._chunks.clear()
        return data


def _small(rate: Fraction) -> Fraction:
    return rate.limit_denominator(1001)
