"""One file in, one file out: decode, enlarge, encode, and keep everything else.

The way of an encode: `source` → `scenes` → `chunks` → `render` → `verify` → `journal` → `join`,
each a folder or a file; `workers` are who renders, `given` is what was chosen, `common` what all of
them use. `job` reads as that list.
"""

from vsanimesr.encode.chunks import CHUNK
from vsanimesr.encode.common.progress import Progress
from vsanimesr.encode.given.checks import SCENES
from vsanimesr.encode.given.containers import MUXERS
from vsanimesr.encode.given.encoders import CRF, ENCODERS, PRESETS, Encoding
from vsanimesr.encode.given.enlarge import AnimeSR
from vsanimesr.encode.given.frames import FORMATS
from vsanimesr.encode.job import upscale_file
from vsanimesr.encode.result import Result

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
