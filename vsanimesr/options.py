"""The arguments of `Upscale`: their types, defaults and limits, stated once.

The plugin, the command line and the README's table all read them from here.
"""

from dataclasses import dataclass, fields
from typing import Any

from vsanimesr.errors import OptionError

BACKENDS = ("torch",)
PRECISIONS = ("fp32", "fp16", "bf16")
MATRICES = (1, 4, 5, 6, 7, 8, 9, 10)  # 709, FCC, 470BG, 170M, 240M, YCgCo, 2020 (both)


@dataclass(frozen=True, kw_only=True)
class Options:
    """What a user can choose; the clip itself is not part of it."""

    model: str = "v2"
    """`v1`, `v2`, or the path of a `.pth` or `.safetensors` file of this architecture."""
    scale: float = 4.0
    """Enlargement; below 4 the result is resized down (antialiased) to an even size."""
    backend: str = "auto"
    """`auto` or `torch`."""
    device: str = "auto"
    """`auto` (CUDA when there is one), `cpu`, `cuda` or `cuda:N`."""
    precision: str = "auto"
    """`auto`, `fp32`, `fp16`, `bf16`; with bf16 the image and the state stay in 32 bits."""
    format: int = 0
    """VapourSynth format id of the result; 0: the clip's own."""
    block: int = 240
    """Frames between fixed restarts of the recurrence; 0: never."""
    warmup: int = 24
    """Steps run before a block's first frame."""
    scenes: int = 1
    """1: start anew at `_SceneChangePrev` / `_SceneChangeNext`; 0: ignore them."""
    prefetch: int = -1
    """Source frames requested ahead for a one-at-a-time consumer; -1: one per core thread."""
    cache: int = 1024
    """Memory for kept states and source frames, in MB, on the device."""
    matrix: int = -1
    """Matrix of a YUV clip (`vs.MatrixCoefficients`); -1: by `_Matrix`, else by resolution."""
    range: int = -1
    """Range of the clip: 1 full, 0 limited; -1: by `_Range`, else full for RGB only."""

    def __post_init__(self) -> None:
        """Check every value.

        Raises:
            OptionError: A value outside its limits.
        """
        if not 0 < self.scale <= 4:
            raise OptionError(f"scale={self.scale:g}, wanted more than 0 and at most 4")
        _one_of("backend", self.backend, ("auto", *BACKENDS))
        _one_of("precision", self.precision, ("auto", *PRECISIONS))
        _one_of("scenes", self.scenes, (0, 1))
        _one_of("range", self.range, (-1, 0, 1))
        _at_least("block", self.block, 0)
        _at_least("warmup", self.warmup, 0)
        _at_least("prefetch", self.prefetch, -1)
        _at_least("cache", self.cache, 0)
        _one_of("matrix", self.matrix, (-1, *MATRICES))


def _one_of(name: str, value: object, wanted: tuple[object, ...]) -> None:
    if value not in wanted:
        raise OptionError(f"{name}={value}, wanted one of {', '.join(map(str, wanted))}")


def _at_least(name: str, value: int, least: int) -> None:
    if value < least:
        raise OptionError(f"{name}={value}, wanted {least} or more")


def defaults() -> dict[str, Any]:
    """Name and default of every option, in the order of the filter's arguments."""
    return {field.name: field.default for field in fields(Options)}
