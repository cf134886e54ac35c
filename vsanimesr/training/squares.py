"""Frames of one clip in one file, as lossless compressed squares of `SQUARE` pixels.

Blosc2, zstd. A crop so costs the squares it touches instead of whole frames: docs/data_path.md has
the measurement behind the choice.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import blosc2
import numpy as np

from vsanimesr.errors import TrainingError

SQUARE = 128

type Frames = np.ndarray[Any, np.dtype[np.uint8]]
"""(t, h, w, 3) RGB."""


def write(path: Path, name: str, frames: Iterable[Frames]) -> tuple[int, ...]:
    """Write the frames one by one, and give their common shape (t, h, w, 3).

    Args:
        path: Of the file.
        name: Of the clip, for what is said of it.
        frames: (h, w, 3) each.

    Raises:
        TrainingError: No frames, none of RGB in 8 bits, or frames of several sizes.
        OSError, RuntimeError: They cannot be written.
    """
    array: Any = None
    for i, frame in enumerate(frames):
        if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
            raise TrainingError(
                f"clip {name}: frame {i} is {frame.dtype} {frame.shape}, wanted RGB"
            )
        if array is None:
            square = (1, min(SQUARE, frame.shape[0]), min(SQUARE, frame.shape[1]), 3)
            array = blosc2.empty(
                (0, *frame.shape),
                dtype=np.dtype(np.uint8),
                chunks=square,
                blocks=square,
                urlpath=str(path),
                mode="w",
                cparams=blosc2.CParams(
                    codec=blosc2.Codec.ZSTD,
                    clevel=1,
                    typesize=3,
                    filters=[blosc2.Filter.SHUFFLE],
                    nthreads=1,
                ),
                dparams=blosc2.DParams(nthreads=1),  # it is kept in the file
            )
        if array.shape[1:] != frame.shape:
            raise TrainingError(
                f"clip {name}: frame {i} is {frame.shape[1]}x{frame.shape[0]}, the first one "
                f"{array.shape[2]}x{array.shape[1]}; wanted one size"
            )
        array.resize((i + 1, *frame.shape))
        array[i] = frame
    if array is None:
        raise TrainingError(f"clip {name} has no frames")
    return array.shape


def read(path: Path, indices: Sequence[int], crop: tuple[int, int, int, int]) -> Frames:
    """Frames of a file, which must have them.

    Args:
        path: Of the file.
        indices: Which frames, in any order.
        crop: Left column, top row, width and height.

    Raises:
        TrainingError: The file is missing or damaged.
    """
    try:
        stored = _opened(str(path))
    except (OSError, RuntimeError) as error:
        raise TrainingError(
            f"{path}: cannot be opened ({error}); remove the folder and build again"
        ) from error
    x, y, w, h = crop
    result = np.empty((len(indices), h, w, 3), np.uint8)
    for place, i in enumerate(indices):
        result[place] = stored[i, y : y + h, x : x + w]
    return result


def forget() -> None:
    """Close what is kept open: files have been replaced."""
    _opened.cache_clear()


@lru_cache(maxsize=256)
def _opened(path: str) -> Any:  # noqa: ANN401 - blosc2 is not typed
    return blosc2.open(path, mode="r")
