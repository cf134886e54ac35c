"""How planes cross to a device and back: the one place where that is decided.

`AsTheyLie` where the provider has the types of samples. `AsWords` where it has not: WebGPU's
shaders know 32-bit numbers only, and floats of 16 bits on some GPUs. Samples of 8 and 16 bits then
cross as the same bytes, four or two in a word of 32, and the graph takes the words apart.
"""

from typing import Protocol

import numpy as np

from vsanimesr.colour import Format
from vsanimesr.engines.onnx.builder import Builder
from vsanimesr.engines.protocol import Plane

SINGLE = np.dtype(np.float32)
WORD = np.dtype(np.uint32)
HUGE = 65504.0
"""Samples beyond it, infinite ones too, are taken for it: no sum can overflow or cancel to NaN."""


class Crossing(Protocol):
    """Both ends of the way: arrays on the host, and what a graph does to them on the device."""

    def arriving(self, b: Builder, name: str, of: Format, shape: tuple[int, int]) -> str:
        """Declare the input of a plane (rows, columns): its samples as float32, all finite."""
        ...

    def leaving(
        self, b: Builder, plane: str, name: str, of: Format, shape: tuple[int, int]
    ) -> None:
        """Make a float32 plane (rows, columns) an output; integers are rounded to even, clamped."""
        ...

    def pack(self, plane: Plane) -> np.ndarray:
        """What the graph takes for a plane."""
        ...

    def unpack(self, there: np.ndarray, plane: Plane) -> None:
        """Write what the graph gave into a plane."""
        ...


class AsTheyLie:
    """Planes in their own types."""

    def arriving(self, b: Builder, name: str, of: Format, shape: tuple[int, int]) -> str:
        """See `Crossing`."""
        x = b.cast(b.input(name, of.dtype, shape), SINGLE)
        if not of.floating:
            return x
        zero, low, high = (b.scalar(value) for value in (0, -HUGE, HUGE))
        return b.add("Clip", b.add("Where", b.add("IsNaN", x), zero, x), low, high)

    def leaving(
        self, b: Builder, plane: str, name: str, of: Format, shape: tuple[int, int]
    ) -> None:
        """See `Crossing`."""
        if not of.floating:
            bounds = (b.scalar(0), b.scalar(of.peak))
            plane = b.add("Clip", b.add("Round", plane), *bounds)
        b.output(b.cast(plane, of.dtype), name, of.dtype, shape)

    def pack(self, plane: Plane) -> np.ndarray:
        """See `Crossing`."""
        return plane

    def unpack(self, there: np.ndarray, plane: Plane) -> None:
        """See `Crossing`."""
        np.copyto(plane, there)


AS_THEY_LIE = AsTheyLie()


class AsWords:
    """Integers as words of 32 bits, rows filled up to whole words; floats as what there is.

    Shaders may take it that no float is NaN or infinite (WGSL, "Floating Point Evaluation"), so
    the host sees to that.
    """

    def __init__(self, *, half: bool) -> None:
        """`half`: the device has floats of 16 bits."""
        self._half = half

    def arriving(self, b: Builder, name: str, of: Format, shape: tuple[int, int]) -> str:
        """See `Crossing`."""
        rows, columns = shape
        if of.floating:
            return b.cast(b.input(name, self._float(of), shape), SINGLE)
        each, base = _per_word(of), _base(b, of)
        words = b.input(name, WORD, (rows, -(-columns // each)))
        samples: list[str] = []
        for _ in range(each):
            rest = b.add("Div", words, base)
            sample = b.cast(b.add("Sub", words, b.add("Mul", rest, base)), SINGLE)
            samples.append(b.reshape(sample, rows, -1, 1))
            words = rest
        filled = b.reshape(b.add("Concat", *samples, axis=2), rows, -1)
        return b.cut(filled, (1,), (0,), (columns,))

    def leaving(
        self, b: Builder, plane: str, name: str, of: Format, shape: tuple[int, int]
    ) -> None:
        """See `Crossing`."""
        rows, columns = shape
        if of.floating:
            b.output(b.cast(plane, self._float(of)), name, self._float(of), shape)
            return
        each, base = _per_word(of), _base(b, of)
        codes = _rounded(b, b.add("Clip", plane, b.scalar(0), b.scalar(of.peak)))
        if missing := -columns % each:
            codes = b.add("Concat", codes, b.constant(np.zeros((rows, missing), SINGLE)), axis=1)
        codes = b.reshape(codes, rows, -1, each)  # float32, for WebGPU cuts no integers
        last, *others = (
            b.cast(b.cut(codes, (2,), (i,), (i + 1,)), WORD) for i in reversed(range(each))
        )
        words = last
        for sample in others:
            words = b.add("Add", b.add("Mul", words, base), sample)
        shape = (rows, (columns + missing) // each)
        b.output(b.reshape(words, *shape), name, WORD, shape)

    def pack(self, plane: Plane) -> np.ndarray:
        """See `Crossing`."""
        if plane.dtype.kind == "f":
            dtype = np.float16 if self._half and plane.dtype.itemsize == 2 else np.float32
            finite = np.nan_to_num(plane, nan=0, posinf=HUGE, neginf=-HUGE).astype(
                dtype, copy=False
            )
            return np.clip(finite, -HUGE, HUGE, dtype=dtype)
        each = WORD.itemsize // plane.dtype.itemsize
        return np.pad(plane, ((0, 0), (0, -plane.shape[1] % each))).view(WORD)

    def unpack(self, there: np.ndarray, plane: Plane) -> None:
        """See `Crossing`."""
        if there.dtype == WORD:
            there = there.view(plane.dtype)[:, : plane.shape[1]]
        np.copyto(plane, there, casting="same_kind")

    def _float(self, of: Format) -> np.dtype:
        return of.dtype if self._half else SINGLE


def _rounded(b: Builder, plane: str) -> str:
    """Floats from 0 to 65535 rounded, halves to the even integer: WebGPU has no Round.

    2**-24 is half the step between floats above a half: only an exact half is tipped by it, and
    only above an odd number.
    """
    two = b.constant(np.array(2, WORD))
    integer = b.cast(plane, WORD)  # towards zero
    odd = b.cast(b.add("Sub", integer, b.add("Mul", b.add("Div", integer, two), two)), SINGLE)
    whole = b.cast(integer, SINGLE)
    tipped = b.add("Add", b.add("Sub", plane, whole), b.add("Mul", odd, b.scalar(2**-24)))
    return b.add("Add", whole, b.cast(b.add("Greater", tipped, b.scalar(0.5)), SINGLE))


def _per_word(of: Format) -> int:
    return WORD.itemsize // of.dtype.itemsize


def _base(b: Builder, of: Format) -> str:
    return b.constant(np.array(2 ** (8 * of.dtype.itemsize), WORD))
