"""How large a video was drawn, told from the spectrum of its edges.

A crisp drawing that was enlarged has edges as wide as its own pixels: the spectrum of what changes
from pixel to pixel is level up to about half of one over that width, and falls behind it as the
kernel that enlarged it does. Compression and noise lie under it as a floor. So the spectrum found
is made up, as well as can be, of those of two crisp drawings, reduced and enlarged back by a factor
with each of three kernels, and of such floors; the factor with which that succeeds best is the
answer. `benchmarks/rescale_judged.py` says how often it is right.
"""

from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
from scipy.optimize import nnls

from vsanimesr.training.pictures import Picture
from vsanimesr.training.rescale.artifacts import Luma, luma

WINDOW = 128
"""Pixels of a line whose spectrum is taken at a time, at most."""
LOWEST = 4
"""First frequency compared, in waves of a window: below, it is the drawing that decides."""
GRID = tuple(step / 20 for step in range(2, 21))
"""Factors whose spectra are known."""
BUSIEST = 0.1
"""Share of the windows that is taken, those with most edges."""
SIDE, DISCS = 448, 60
"""Of a drawing from which spectra are learnt: rows and columns, and discs on it."""
FLAT = 1e-6
"""Squares of full scale: windows of less have no edge."""

type Spectrum = np.ndarray[tuple[int], np.dtype[np.float64]]
"""Power of the differences from pixel to pixel, from `LOWEST` to before half a wave a pixel."""


def native(frames: Sequence[Picture]) -> float:
    """The factor by which these frames may be reduced before lines are lost, one of `GRID`.

    Args:
        frames: (h, w, 3) RGB of one size, with edges; 1 where there are none.
    """
    sources = [luma(frame) for frame in frames]
    window = min(WINDOW, min(sources[0].shape) - 1) // 2 * 2
    lines = [part for source in sources for part in (source, source.T)]
    found = spectrum(lines, window) if window > 4 * LOWEST else None
    if found is None:
        return 1.0
    return min(GRID, key=lambda factor: (misfit(found, factor, window), -factor))


def spectrum(lines: Sequence[Luma], window: int) -> Spectrum | None:
    """Mean over the windows with most edges, each of the same weight; None: there are no edges.

    Args:
        lines: (n, length) each, in [0, 1].
        window: Pixels of a window, even; windows overlap by half.
    """
    shape = np.hanning(window + 1)[:window].astype(np.float32)
    steps = [np.diff(one, axis=1) for one in lines]
    cut = np.concatenate(
        [
            one[:, first : first + window] * shape
            for one in steps
            for first in range(0, one.shape[1] - window + 1, window // 2)
        ]
    )
    energy = np.square(cut).sum(axis=1)
    taken = np.argsort(-energy)[: max(1, round(BUSIEST * len(cut)))]
    taken = taken[energy[taken] > FLAT]
    if not len(taken):
        return None
    power = np.square(np.abs(np.fft.rfft(cut[taken], axis=1))) / energy[taken, None]
    return np.asarray(power.mean(axis=0)[LOWEST : window // 2], np.float64)


def misfit(found: Spectrum, factor: float, window: int) -> float:
    """How far a spectrum is from any mixture of those of this factor and of floors; relative.

    Args:
        found: Of `spectrum`.
        factor: Above 0, at most 1.
        window: As for `found`.
    """
    level = np.ones_like(found)
    waves = np.arange(LOWEST, window // 2) / window
    white = np.square(2 * np.sin(np.pi * waves))  # of noise, for differences are looked at
    parts = np.stack([*_of_drawings(factor, window), level, white], axis=1)
    return float(nnls(parts / found[:, None], level)[1])


@cache
def _of_drawings(factor: float, window: int) -> list[Spectrum]:
    """Of both drawings, reduced by a factor and enlarged back by each kernel."""
    small = round(factor * SIDE)
    spectra: list[Spectrum] = []
    for kernel in ((_bilinear, 1), (_bicubic, 2), (_lanczos, 3)):
        there_and_back = _resample(small, SIDE, kernel) @ _resample(SIDE, small, kernel)
        for outlined in (False, True):
            made = np.asarray(there_and_back @ _discs(outlined) @ there_and_back.T, np.float32)
            one = spectrum([made, made.T], window)
            assert one is not None
            spectra.append(one)
    return spectra


@cache
def _discs(outlined: bool) -> Luma:
    """Discs one over the other, half of them with outlines, or none; antialiased over a pixel."""
    random = np.random.default_rng(0)
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float32)
    drawing = np.full((SIDE, SIDE), 0.6, np.float32)
    for number in range(DISCS):
        radius = random.uniform(8, SIDE / 4)
        centre = random.uniform(0, SIDE, 2)
        distance = np.hypot(x - centre[0], y - centre[1])
        shapes = [(radius, random.uniform(0, 1))]
        if outlined and number % 2 == 0:
            shapes.insert(0, (radius + random.uniform(1.5, 4), 0.05))
        for reach, level in shapes:
            covered = np.clip(reach - distance + 0.5, 0, 1)
            drawing += covered * (np.float32(level) - drawing)
    return drawing


type Kernel = Callable[[np.ndarray], np.ndarray]


def _resample(before: int, after: int, kernel: tuple[Kernel, int]) -> Luma:
    """(after, before): what a line is multiplied with; with a low-pass where it is reduced."""
    function, reach = kernel
    scale = max(1.0, before / after)
    centres = (np.arange(after)[:, None] + 0.5) * before / after - 0.5
    distance = np.abs(np.arange(before) - centres) / scale
    weights = np.where(distance < reach, function(distance), 0)
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


def _bilinear(x: np.ndarray) -> np.ndarray:
    return 1 - x


def _bicubic(x: np.ndarray) -> np.ndarray:
    """Of Keys, a = -0.5."""
    inner = 1.5 * x**3 - 2.5 * x**2 + 1
    return np.where(x < 1, inner, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2)


def _lanczos(x: np.ndarray) -> np.ndarray:
    """Of three lobes."""
    return np.sinc(x) * np.sinc(x / 3)
