"""Pixel formats of the result, as VapourSynth and as ffmpeg call them."""

from __future__ import annotations

from vsanimesr.errors import EncodeError

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
