"""What is measured of every picture of a comparison, in code values of 255 where it has a unit."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vsanimesr.still import Luma, luma

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


@dataclass(frozen=True, kw_only=True)
class Measure:
    """A column of the table."""

    key: str
    title: str
    meaning: str
    digits: int = 2


MEASURES = (
    Measure(
        key="faithful",
        title="to the source, dB",
        meaning="PSNR of luma of the result, averaged down to the source's size, against the "
        "source: what was made up, moved or blurred lowers it",
    ),
    Measure(
        key="brightness",
        title="brightness",
        meaning="mean luma of the result less that of the source, in code values of 255",
    ),
    Measure(
        key="detail",
        title="detail",
        meaning="mean length of luma's gradient, code values of 255 a pixel: noise counts, too",
    ),
    Measure(
        key="flicker",
        title="flicker",
        meaning="where the source stands still (mean change of the 5x5 square about a pixel at "
        "most one code value of 255), mean absolute change of the result's luma to the next frame, "
        "in code values of 255; over the frames of the strips",
        digits=3,
    ),
    Measure(
        key="boiling",
        title="boiling",
        meaning="mean absolute distance of the result's luma from the median of itself and the "
        "same pixel a frame before and after, in code values of 255; over the frames of the "
        "strips. Moving thin lines have some, too: compare within one clip",
        digits=3,
    ),
    Measure(
        key="niqe",
        title="NIQE",
        meaning="how far the picture's statistics are from those of photographs, without any "
        "original (Mittal et al. 2013): less is more natural, of a photograph. Drawings are none",
    ),
    Measure(key="psnr", title="PSNR, dB", meaning="against the original, RGB"),
    Measure(
        key="ssim",
        title="SSIM",
        meaning="against the original, luma, Gaussian windows of 11x11 (Wang et al. 2004): 1 is "
        "equal",
        digits=4,
    ),
    Measure(
        key="ssimulacra2",
        title="SSIMULACRA2",
        meaning="against the original: 100 is equal, 90 looks equal, 30 is poor",
        digits=1,
    ),
)

type Values = dict[str, float | None]
"""By measure; None where it could not be taken."""


def of_picture(picture: np.ndarray, source: np.ndarray) -> Values:
    """The measures that need no original.

    Args:
        picture: (H, W, 3) uint8.
        source: (h, w, 3) uint8, the source's picture.
    """
    large, small = luma(picture), luma(source)
    shrunk = _shrunk(large, *small.shape)
    down, right = np.gradient(large) if min(large.shape) > 1 else (large * 0, large * 0)
    return {
        "faithful": psnr(shrunk, small),
        "brightness": float(large.mean(dtype=np.float64) - small.mean(dtype=np.float64)),
        "detail": float(np.hypot(down, right).mean(dtype=np.float64)),
    }


def against(picture: np.ndarray, original: np.ndarray) -> Values:
    """The measures that need an original, two (H, W, 3) uint8 pictures."""
    return {"psnr": psnr(picture, original), "ssim": ssim(luma(picture), luma(original))}


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    """Peak signal to noise ratio in dB, peak 255; infinite for equal pictures."""
    error = np.square(a.astype(np.float64) - b).mean()
    return float(10 * math.log10(255**2 / error)) if error else math.inf


_BELL = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
WINDOW = _BELL / _BELL.sum()
"""Weights of SSIM's pixels along a side: sigma 1.5, 11 of them."""


def ssim(a: Luma, b: Luma) -> float | None:
    """Structural similarity of luma: the mean over all windows that lie within the picture.

    Wang et al., IEEE Transactions on Image Processing 13(4), 2004, with their constants. None for
    pictures with a side under 11.
    """
    if min(a.shape) < len(WINDOW):
        return None
    x, y = a.astype(np.float64), b.astype(np.float64)
    mean_x, mean_y = _blurred(x), _blurred(y)
    both = mean_x * mean_y
    squares = mean_x**2 + mean_y**2
    covariance = _blurred(x * y) - both
    variances = _blurred(x * x + y * y) - squares
    steady, textured = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    similar = (2 * both + steady) * (2 * covariance + textured)
    return float((similar / ((squares + steady) * (variances + textured))).mean())


def _blurred(x: np.ndarray) -> np.ndarray:
    """Weighted means over the windows that lie within; 10 rows and columns less."""
    height, width = (side - len(WINDOW) + 1 for side in x.shape)
    down, both = np.zeros((height, x.shape[1])), np.zeros((height, width))
    for i, weight in enumerate(WINDOW):
        down += weight * x[i : i + height]
    for i, weight in enumerate(WINDOW):
        both += weight * down[:, i : i + width]
    return both


def _shrunk(large: Luma, height: int, width: int) -> Luma:
    from PIL import Image

    small = Image.fromarray(large).resize((width, height), Image.Resampling.BOX)
    return np.asarray(small, np.float32)


def means(values: Iterable[Mapping[str, float | None]]) -> Values:
    """Mean of each measure over the pictures that have it."""
    found: dict[str, list[float]] = {}
    for one in values:
        for key, value in one.items():
            if value is not None:
                found.setdefault(key, []).append(value)
    return {key: float(np.mean(several)) for key, several in found.items()}
