"""What samples mean: formats of planes, matrices, ranges and chroma locations. Pure numbers.

The numbers of matrices, ranges and chroma locations are VapourSynth's (VSConstants4.h), which are
those of ITU-T H.273.
"""

from dataclasses import dataclass
from enum import IntEnum, StrEnum


class Family(StrEnum):
    """What the planes of a frame are."""

    GRAY = "gray"
    RGB = "rgb"
    YUV = "yuv"


class Matrix(IntEnum):
    """Matrix coefficients (H.273 table 4) that can be converted."""

    RGB = 0
    BT709 = 1
    FCC = 4
    BT470_BG = 5
    ST170_M = 6
    ST240_M = 7
    YCGCO = 8
    BT2020_NCL = 9


class ChromaLocation(IntEnum):
    """Where subsampled chroma lies (H.273 figure 1)."""

    LEFT = 0
    CENTER = 1
    TOP_LEFT = 2
    TOP = 3
    BOTTOM_LEFT = 4
    BOTTOM = 5


@dataclass(frozen=True)
class Format:
    """How the planes of a clip hold their samples; the same for all its frames."""

    family: Family
    bits: int
    """8 to 16 for integers (in 1 or 2 bytes, low bits), 16 or 32 for floats."""
    floating: bool = False
    sub_w: int = 0
    """Chroma has 1/2**sub_w of luma's columns."""
    sub_h: int = 0
    """Chroma has 1/2**sub_h of luma's rows."""


@dataclass(frozen=True)
class Colour:
    """What the samples of a frame mean; it may change from frame to frame."""

    matrix: Matrix
    full: bool
    """Full range, else limited; floats are always full."""
    chroma: ChromaLocation = ChromaLocation.LEFT
    """Looked at for subsampled formats only."""
