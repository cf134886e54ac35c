"""Weights as the kernels of `native/kernels.c` read them."""

from collections.abc import Mapping

import numpy as np

from vsanimesr.engines.maps import zeros
from vsanimesr.engines.native.library import PACK
from vsanimesr.models import IMAGE, SCALE, WINDOW
from vsanimesr.resample import stencil

A, B = 0.5**0.5, 2**0.5
"""The points of F(4, 3), with their negatives, 0 and infinity; kernels.c has them, too."""

type Parameters = tuple[np.ndarray, np.ndarray]
"""Weights and bias, aligned."""


def winograd(kernel: np.ndarray, bias: np.ndarray) -> Parameters:
    """A 3x3 kernel (outputs, inputs, 3, 3) at 36 points: (output groups, 36, inputs, 16)."""
    at = points()
    outputs, inputs = kernel.shape[:2]
    made = kernel.reshape(outputs * inputs, 9).astype(np.float64) @ np.kron(at, at).T
    made = made.reshape(outputs // PACK, PACK, inputs, 36)
    return _aligned(made.transpose(0, 3, 2, 1)), _aligned(bias)


def plain(kernel: np.ndarray, bias: np.ndarray) -> Parameters:
    """A 3x3 kernel (outputs, inputs, 3, 3) tap by tap: (output groups, 9, inputs, 16)."""
    outputs, inputs = kernel.shape[:2]
    made = kernel.reshape(outputs // PACK, PACK, inputs, 9).transpose(0, 3, 2, 1)
    return _aligned(made), _aligned(bias)


def points() -> np.ndarray:
    """G of F(4, 3), (6, 3): a line of three taps at the points, each over what it is divided by."""
    lines = [[1 / (A * B) ** 2, 0, 0]]
    for point, other in ((A, B), (-A, B), (B, A), (-B, A)):
        whole = 2 * point**2 * (point**2 - other**2)
        lines.append([1 / whole, point / whole, point**2 / whole])
    return np.array([*lines, [0, 0, 1]])


def first(weights: Mapping[str, np.ndarray], name: str) -> Parameters:
    """Of the first convolution, for inputs in the order image, hidden state, window, zeros."""
    kernel, bias = parameters(weights, name)
    window, rest = np.split(kernel, [WINDOW], axis=1)
    zeros_behind = ((0, 0), (0, -kernel.shape[1] % PACK), (0, 0), (0, 0))
    return winograd(np.pad(np.concatenate((rest, window), axis=1), zeros_behind), bias)


def parameters(weights: Mapping[str, np.ndarray], name: str) -> Parameters:
    """Of a convolution, as they are."""
    kernel, bias = (weights[f"recurrent_cell.{name}.{part}"] for part in ("weight", "bias"))
    return kernel, bias


def phases() -> Parameters:
    """The enlargement of a frame, the same for each colour: (9, 16)."""
    kernels = stencil()[: IMAGE // 3].reshape(SCALE**2, 9)
    return _aligned(kernels.T), zeros((IMAGE,))


def _aligned(array: np.ndarray) -> np.ndarray:
    made = zeros(array.shape)
    made[...] = array
    return made
