"""One file in, one file out: decode, enlarge, encode, and keep everything else.

The way of an encode: `video` (source) → `scenes` → `chunks` → `render` → `verify` → `journal` →
`join`; `job` reads as that list.
"""

from vsanimesr.encode.checks import SCENES
from vsanimesr.encode.chunks import CHUNK
from vsanimesr.encode.encoders import CRF, ENCODERS, PRESETS, Encoding
from vsanimesr.encode.enlarge import AnimeSR
from vsanimesr.encode.frames import FORMATS
from vsanimesr.encode.job import Result, upscale_file
from vsanimesr.encode.progress import Progress
from vsanimesr.encode.streams import MUXERS

__all__ = [
    "CHUNK",
    "CRF",
    "ENCODERS",
    "FORMATS",
    "MUXERS",
    "PRESETS",
    "SCENES",
    "AnimeSR",
    "Encoding",
    "Progress",
    "Result",
    "upscale_file",
]
