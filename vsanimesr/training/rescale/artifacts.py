"""How much an enlarged picture suffers at its edges, told from its gradients alone.

The paper ranks rescaling factors by "simple gradient statistics" on patches with edges, and does
not define them; these are this project's. They rest on what animation looks like: lines and flat
areas. Next to a clean edge there is nothing; next to a bad one there is ringing, mosquito noise, or
the blur of the edge itself, all of which are gradients.
"""

import cv2
import msgspec
import numpy as np

from vsanimesr.training.pictures import Picture

BAND = (3, 12)
"""Pixels of a pseudo HR from an edge between which artefacts are looked for: further than a clean
edge is wide, nearer than an 8x8 block of the codec, which is 16 pixels here, is long."""
type Luma = np.ndarray[tuple[int, int], np.dtype[np.float32]]


class Statistics(msgspec.Struct, frozen=True, kw_only=True):
    """Of the pseudo HR that one factor makes, means over all patches."""

    factor: float
    halo: float
    """Mean gradient 3 to 12 pixels from edges, by that on the edges: 0 is clean."""
    strength: float
    """Mean gradient on the edges, of full scale a pixel: how sharp they are."""
    kept: float
    """Correlation of the gradients with those of the source, at its size: 1 keeps every line."""


def edge_patches(picture: Picture, side: int, count: int) -> list[tuple[int, int]]:
    """Left and top of the patches with the clearest edges, best first, none overlapping another.

    Clear is an edge that is strong (the 95th percentile of the gradient) and has flat areas beside
    it (the median, taken off twice): dense texture shows less of what is wrong.

    Args:
        picture: (h, w, 3) RGB.
        side: Of a square patch; less where the picture is smaller.
        count: As many at most.
    """
    strength = gradient(luma(picture))
    height, width = strength.shape
    rows, columns = min(side, height), min(side, width)

    def clearness(corner: tuple[int, int]) -> float:
        left, top = corner
        patch = strength[top : top + rows, left : left + columns]
        return float(np.percentile(patch, 95) - 2 * np.median(patch))

    corners = [
        (left, top)
        for top in range(0, height - rows + 1, rows)
        for left in range(0, width - columns + 1, columns)
    ]
    return sorted(corners, key=clearness, reverse=True)[:count]


def measure(factor: float, enlarged: list[Picture], sources: list[Picture]) -> Statistics:
    """Statistics over the patches (2h, 2w, 3) of a pseudo HR and those of its source (h, w, 3)."""
    each = [_of_patch(luma(a), luma(b)) for a, b in zip(enlarged, sources, strict=True)]
    halo, strength, kept = np.mean(each, axis=0).tolist()
    return Statistics(factor=factor, halo=halo, strength=strength, kept=kept)


def rank(statistics: list[Statistics], native: float) -> list[Statistics]:
    """Best first: nearest to how large the video was drawn, the larger of two as near.

    Args:
        statistics: Of all factors.
        native: As `resolution.native` finds it.
    """
    return sorted(statistics, key=lambda one: (round(abs(one.factor - native), 6), -one.factor))


def luma(picture: Picture) -> Luma:
    """(h, w) in [0, 1], BT.601 weights."""
    return cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32) / np.float32(255)


def gradient(image: Luma) -> Luma:
    """Magnitude by Scharr's operator, of full scale a pixel; borders replicated."""
    x, y = (
        cv2.Scharr(image, cv2.CV_32F, dx, dy, scale=1 / 32, borderType=cv2.BORDER_REPLICATE)
        for dx, dy in ((1, 0), (0, 1))
    )
    return np.asarray(cv2.magnitude(x, y), np.float32)


def _of_patch(enlarged: Luma, source: Luma) -> tuple[float, float, float]:
    strength = gradient(enlarged)
    edges = (strength >= 0.5 * np.percentile(strength, 99)).astype(np.uint8)
    near, far = (cv2.dilate(edges, _disc(radius)) > 0 for radius in BAND)
    band = far & ~near
    on_edges = float(strength[edges > 0].mean())
    halo = float(strength[band].mean()) / max(on_edges, 1e-6) if band.any() else 0.0
    small = cv2.resize(enlarged, source.shape[::-1], interpolation=cv2.INTER_AREA)
    small = small.astype(np.float32)
    return halo, on_edges, _correlation(gradient(small), gradient(source))


def _disc(radius: int) -> np.ndarray:
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))


def _correlation(a: Luma, b: Luma) -> float:
    a, b = a - a.mean(), b - b.mean()
    scale = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / scale if scale else 1.0
