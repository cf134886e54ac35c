"""`native/kernels.c` in Python: the plugin's own library, whose kernels know no VapourSynth."""

import ctypes
import importlib.util
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np

from vsanimesr.engines.maps import Map, zeros
from vsanimesr.engines.processor import has_avx512, has_fma
from vsanimesr.errors import EngineError

PACK = 16
"""Channels of a group."""
ROOM = 512 * 2**10
"""Bytes of a thread's scratch memory for tiles: they should stay in the cache (performance.md)."""
FILES = ("libanimesr.so", "animesr.dll", "libanimesr.dylib")
NAMES = ("winograd", "halve", "enlarge", "join", "unfold")

type Places = Sequence[int]
"""Where each group lies, as an address."""


class Layer(ctypes.Structure):
    """`struct layer`; keeps what it points to."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("inputs", "outputs", "weights", "bias")),
        *((name, ctypes.c_void_p) for name in ("slopes", "added")),
        *((name, ctypes.c_int32) for name in ("input_groups", "output_groups")),
        *((name, ctypes.c_int32) for name in ("input_stride", "output_stride", "rows", "columns")),
    )

    def __init__(
        self,
        inputs: Places,
        outputs: Places,
        *,
        size: tuple[int, int],
        strides: tuple[int, int],
        parameters: tuple[np.ndarray, np.ndarray] | None = None,
        slopes: Sequence[float] = (),
        added: Sequence[bool] = (),
    ) -> None:
        """Describe a layer of one frame size.

        Args:
            inputs: What the output's first pixel sees first, one row and one column before.
            outputs: Where the output's first pixel lies.
            size: Rows and columns of the output.
            strides: Pixels from row to row in inputs and outputs.
            parameters: Weights as the kernel reads them, and bias, aligned.
            slopes: Of each group of outputs, for what is negative: 1 changes nothing.
            added: Whether a group is added to what lies there.
        """
        groups = len(outputs)
        weights, bias = parameters or (None, None)
        self._kept = (
            np.array(inputs, np.uintp),
            np.array(outputs, np.uintp),
            np.array(slopes or [1] * groups, np.float32),
            np.array(added or [False] * groups, np.int32),
            weights,
            bias,
        )
        given, made, slope, add, *_ = (x.ctypes.data for x in self._kept[:4])
        super().__init__(
            given,
            made,
            weights.ctypes.data if weights is not None else 0,
            bias.ctypes.data if bias is not None else 0,
            slope,
            add,
            len(inputs),
            groups,
            *strides,
            *size,
        )


class Kernels:
    """The functions, for this processor. Each computes rows first … last - 1 of a layer."""

    def __init__(self) -> None:
        """Load the library.

        Raises:
            EngineError: There is none, or the processor is too old.
        """
        self._library = found()
        self._wide = has_avx512()

    def winograd(self, layer: Layer, first: int, last: int, scratch: np.ndarray) -> None:
        """A 3x3 convolution; `scratch` has `ROOM` bytes, aligned."""
        self._library.animesr_winograd(
            ctypes.byref(layer), first, last, self._wide, scratch.ctypes.data, scratch.nbytes
        )

    def halve(self, layer: Layer, first: int, last: int) -> None:
        """A 3x3 convolution that takes every second pixel."""
        self._library.animesr_halve(ctypes.byref(layer), first, last, self._wide)

    def enlarge(self, layer: Layer, first: int, last: int, scale: int) -> None:
        """Bilinear enlargement."""
        self._library.animesr_enlarge(ctypes.byref(layer), first, last, self._wide, scale)

    def join(self, layer: Layer, first: int, last: int) -> None:
        """Planes, in a border each, to the channels of one group."""
        self._library.animesr_join(ctypes.byref(layer), first, last, self._wide)

    def unfold(self, layer: Layer, first: int, last: int) -> None:
        """A frame's planes, in a border each, to the folded image of their enlargement."""
        self._library.animesr_unfold(ctypes.byref(layer), first, last, self._wide)


def scratch() -> np.ndarray:
    """Memory for `Kernels.winograd`, of one thread."""
    return zeros((ROOM // 4,))


def seen(source: Map) -> list[int]:
    """A map as a convolution's input."""
    return [group.ctypes.data for group in source.bordered]


def placed(target: Map) -> list[int]:
    """A map as an output."""
    return [group.ctypes.data for group in target.inside]


def stride(of: Map) -> int:
    """Pixels from row to row."""
    return of.bordered.shape[2]


def fault() -> str:
    """Why the kernels cannot be used: they are not there, or the processor is too old; or empty."""
    try:
        found()
    except EngineError as error:
        return str(error)
    return ""


@cache
def found() -> ctypes.CDLL:
    """The library, loaded.

    Raises:
        EngineError: There is none, or the processor is too old.
    """
    if not has_fma():
        raise EngineError(
            "backend=native wants a processor with AVX2 and FMA, or an ARM of 64 bits: use another "
            "backend"
        )
    try:
        return _declared(ctypes.CDLL(str(_path())))
    except (OSError, AttributeError) as error:
        raise EngineError(
            f"backend=native, but its kernels are not there ({error}): "
            "pip install --force-reinstall --no-deps vapoursynth-animesr"
        ) from error


def _path() -> Path:
    """The plugin's library, where VapourSynth looks for it."""
    spec = importlib.util.find_spec("vapoursynth")
    if spec is None or spec.origin is None:
        raise OSError("VapourSynth is not installed")
    folder = Path(spec.origin).parent / "plugins" / "animesr"
    for name in FILES:
        if (folder / name).is_file():
            return folder / name
    raise OSError(f"no library in {folder}")


def _declared(library: ctypes.CDLL) -> ctypes.CDLL:
    whole, place = ctypes.c_int, ctypes.c_void_p
    common = (place, whole, whole, whole)
    for name in NAMES:
        function = getattr(library, f"animesr_{name}")
        function.restype, function.argtypes = None, common
    library.animesr_winograd.argtypes = (*common, place, ctypes.c_size_t)
    library.animesr_enlarge.argtypes = (*common, whole)
    return library
