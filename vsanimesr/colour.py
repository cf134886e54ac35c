"""What samples mean: formats, matrices, ranges, chroma locations, and the numbers they stand for.

The numbers of matrices, ranges and chroma locations are VapourSynth's (VSConstants4.h), which are
those of ITU-T H.273. Everything here is float64 and knows no device; `resample.py` has the filters
for subsampled chroma.

Sample values are called **codes**: what lies in a plane, 0 to 2**bits - 1 for integers. **Nominal**
values are 0 to 1 for RGB and luma, -0.5 to 0.5 for chroma. Float planes hold nominal values.
"""

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Any

import numpy as np

from vsanimesr.errors import OptionError

type Array = np.ndarray[tuple[int, ...], np.dtype[np.float64]]


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


def matrix_by_size(width: int, height: int) -> Matrix:
    """Matrix of YUV that does not say: the rule of mpv and libplacebo, stored columns and rows.

    HD, which is BT.709, has 1280 columns or more, or more than 576 rows
    (`pl_color_system_guess_ycbcr`); what has 576 rows is of 625 lines, the rest of 525 (as its
    `pl_color_primaries_guess` has it). The two matrices of SD are the same numbers.
    """
    if width >= 1280 or height > 576:
        return Matrix.BT709
    return Matrix.BT470_BG if height == 576 else Matrix.ST170_M


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

    @property
    def planes(self) -> int:
        """Planes of a frame: 1 for GRAY, else 3."""
        return 1 if self.family == Family.GRAY else 3

    @property
    def peak(self) -> int:
        """The highest code of an integer format."""
        return 2**self.bits - 1

    @property
    def half(self) -> bool:
        """Whether samples are half floats."""
        return self.floating and self.bits == 16

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of a plane's samples."""
        if self.floating:
            return np.dtype(np.float16 if self.bits == 16 else np.float32)
        return np.dtype(np.uint8 if self.bits == 8 else np.uint16)

    def shapes(self, height: int, width: int) -> list[tuple[int, int]]:
        """Rows and columns of each plane of a frame."""
        luma, chroma = (height, width), (height >> self.sub_h, width >> self.sub_w)
        return [luma, chroma, chroma] if self.family == Family.YUV else [luma] * self.planes


@dataclass(frozen=True)
class Colour:
    """What the samples of a frame mean; it may change from frame to frame."""

    matrix: Matrix
    full: bool
    """Full range, else limited; floats are always full."""
    chroma: ChromaLocation = ChromaLocation.LEFT
    """Looked at for subsampled formats only."""


RGBS = Format(Family.RGB, 32, floating=True)
"""Float32 R, G, B: VapourSynth's RGBS."""

FULL_RGB = Colour(Matrix.RGB, full=True)
"""The colour of float RGB."""


@dataclass(frozen=True)
class Affine:
    """Output channels as `matrix @ input channels + offset`."""

    matrix: Array
    """(outputs, inputs)"""
    offset: Array
    """(outputs,)"""


# K_R and K_B of H.273 equations 39 to 44, by table 4.
_WEIGHTS = {
    Matrix.BT709: (0.2126, 0.0722),
    Matrix.FCC: (0.30, 0.11),
    Matrix.BT470_BG: (0.299, 0.114),
    Matrix.ST170_M: (0.299, 0.114),
    Matrix.ST240_M: (0.212, 0.087),
    Matrix.BT2020_NCL: (0.2627, 0.0593),
}


def to_yuv(matrix: Matrix) -> Array:
    """(3, 3): nominal Y, U, V from nominal R, G, B.

    The identity for `Matrix.RGB`. YCgCo has Cg for U and Co for V, as H.273 orders them.
    """
    if matrix == Matrix.RGB:
        return np.eye(3)
    if matrix == Matrix.YCGCO:  # H.273 equations 58 to 60
        return np.array([[0.25, 0.5, 0.25], [-0.25, 0.5, -0.25], [0.5, 0.0, -0.5]])
    red, blue = _WEIGHTS[matrix]
    luma = np.array([red, 1 - red - blue, blue])
    r, _, b = np.eye(3)
    return np.stack([luma, (b - luma) / (2 - 2 * blue), (r - luma) / (2 - 2 * red)])


def from_yuv(matrix: Matrix) -> Array:
    """(3, 3): nominal R, G, B from nominal Y, U, V; the inverse of `to_yuv`."""
    inverse = np.linalg.inv(to_yuv(matrix))
    return np.where(np.abs(inverse) < 1e-12, 0.0, inverse)  # zeros without rounding errors


def levels(of: Format, colour: Colour) -> tuple[Array, Array]:
    """Scale and offset (planes,) of each plane: code = scale * nominal + offset.

    Full range has the whole of 0 … 2**bits - 1 for luma and RGB, and for chroma as much about
    2**(bits - 1); limited range has 219 steps of 2**(bits - 8) from 16 of them for luma and RGB,
    224 about 128 for chroma, 219 about 128 for that of YCgCo, which is made of limited RGB
    (H.273 section 8.3). Floats are nominal whatever the range.
    """
    chroma = np.arange(of.planes) > (0 if of.family == Family.YUV else of.planes)
    if of.floating:
        return np.ones(of.planes), np.zeros(of.planes)
    if colour.full:
        return np.full(of.planes, float(of.peak)), np.where(chroma, 2.0 ** (of.bits - 1), 0.0)
    step = 2.0 ** (of.bits - 8)
    swing = 219 if colour.matrix == Matrix.YCGCO else 224
    return np.where(chroma, swing, 219) * step, np.where(chroma, 128, 16) * step


def reading(source: Format, colour: Colour) -> Affine:
    """Nominal R, G, B from the codes of the planes at one place, chroma as dense as luma.

    GRAY becomes R = G = B. The matrix is looked at for YUV only.

    Raises:
        OptionError: YUV with the matrix of RGB.
    """
    scale, offset = levels(source, colour)
    matrix = np.ones((3, 1)) if source.family == Family.GRAY else from_yuv(_matrix(source, colour))
    matrix = matrix / scale
    return Affine(matrix, -matrix @ offset)


def writing(target: Format, colour: Colour) -> Affine:
    """Codes of the planes, neither rounded nor clamped, from nominal R, G, B; undoes `reading`.

    GRAY is luma by the colour's matrix.

    Raises:
        OptionError: YUV or GRAY with the matrix of RGB.
    """
    scale, offset = levels(target, colour)
    matrix = to_yuv(_matrix(target, colour))[: target.planes]
    return Affine(scale[:, None] * matrix, offset)


def dither_pattern(size: int = 8) -> Array:
    """(size, size) of Bayer's ordered dithering (1973), size a power of two, tiled over a plane.

    Multiples of 1/size**2 between -0.5 and 0.5 with mean 0, all different. Added to codes before
    they are rounded, as many of the pattern's places round up as the fraction asks for, and whole
    codes stay as they are.
    """
    pattern = np.zeros((1, 1))
    while len(pattern) < size:
        pattern = np.block([[4 * pattern, 4 * pattern + 2], [4 * pattern + 3, 4 * pattern + 1]])
    return (pattern + 0.5) / size**2 - 0.5


def _matrix(of: Format, colour: Colour) -> Matrix:
    if of.family == Family.RGB:
        return Matrix.RGB
    if colour.matrix == Matrix.RGB:
        raise OptionError(
            f"a {of.family} frame has the matrix of RGB, wanted one that makes luma: set matrix=1 "
            "(BT.709) or whichever the frame was made with"
        )
    return colour.matrix
