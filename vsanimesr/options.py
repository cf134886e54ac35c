"""The arguments of `Upscale`: types, defaults, limits and what they mean, stated once.

The plugin, the command line and the README's table all read them from here.
"""

import re
from dataclasses import dataclass, field, fields
from typing import Any

from vsanimesr.errors import OptionError
from vsanimesr.models import SCALE
from vsanimesr.strips import AUTO

BACKENDS = ("torch", "onnx", "openvino", "ncnn", "native")
PRECISIONS = ("fp32", "tf32", "fp16", "bf16")
MATRICES = (1, 4, 5, 6, 7, 8, 9)  # those of colour.Matrix for YUV
DEVICE = re.compile("auto|cpu|(cuda|xpu)(:[0-9]+)?|mps|webgpu")


def _option(default: Any, meaning: str) -> Any:  # noqa: ANN401 - the field has the type
    return field(default=default, metadata={"meaning": meaning})


@dataclass(frozen=True, kw_only=True)
class Options:
    """What a user can choose; the clip itself is not part of it.

    Raises:
        OptionError: A value outside its limits.
    """

    model: str = _option(
        "v2", "`v1`, `v2`, or a `.pth` or `.safetensors` file of this network or of VQD-SR's"
    )
    scale: float = _option(
        4.0, "enlargement, at most 4; below, the result is resized down (antialiased) to even sizes"
    )
    backend: str = _option(
        "auto",
        "`torch`, `onnx`, `openvino`, `ncnn`, `native` (needs none of these), or `auto`: the "
        "fastest of those installed",
    )
    device: str = _option(
        "auto",
        "`auto` (a GPU if there is one), `cpu`, `cuda` or `cuda:N`; `webgpu` (onnx); `mps`, `xpu` "
        "or `xpu:N` (torch)",
    )
    precision: str = _option(
        "auto",
        "`fp32`, `tf32` (GPU), `fp16`, `bf16`, or `auto`: the fastest that keeps 50 dB to fp32",
    )
    providers: str = _option(
        "",
        "of ONNX Runtime: `cpu`, `cuda`, `tensorrt`, `webgpu`, or several; empty: the best at hand",
    )
    format: int = _option(0, "format of the result, such as `vs.YUV420P10`; 0: that of the clip")
    dither: int = _option(0, "1: ordered dithering when integers are written; 0: rounding")
    block: int = _option(120, "frames between fixed restarts of the recurrence; 0: never")
    warmup: int = _option(12, "steps run before the first frame of a block")
    scenes: int = _option(
        1, "1: start anew at `_SceneChangePrev` and `_SceneChangeNext`; 0: ignore them"
    )
    dedup: float = _option(
        -1.0,
        "held drawings repeat their result: frames no further than this from the last one computed "
        "(mean of the worst 16x16 square in 8 bit code values; 0: equal ones only); -1: off",
    )
    prefetch: int = _option(
        -1, "source frames asked for ahead when frames are asked for one by one; -1: one a thread"
    )
    cache: int = _option(1024, "MB for kept states and source frames, on the device")
    strips: int = _option(
        AUTO, "strips of rows a step is computed in, for less memory; -1: by memory; 0: none"
    )
    memory: int = _option(0, "MB of the device that strips are chosen for; 0: all it has")
    compile: int = _option(0, "1: torch.compile the step (takes a while, wants a C++ compiler)")
    matrix: int = _option(
        -1, "matrix of the clip (`vs.MatrixCoefficients`); -1: by `_Matrix`, else by its size"
    )
    range: int = _option(
        -1, "range of the clip: 1 full, 0 limited; -1: by `_Range`, else full for RGB only"
    )

    def __post_init__(self) -> None:
        if not 0 < self.scale <= 4:
            raise OptionError(f"scale={self.scale:.12g}, wanted more than 0 and at most 4")
        _one_of("backend", self.backend, ("auto", *BACKENDS))
        if not DEVICE.fullmatch(self.device):
            raise OptionError(
                f"device={self.device}, wanted auto, cpu, cuda, cuda:N, webgpu, mps, xpu or xpu:N"
            )
        _one_of("precision", self.precision, ("auto", *PRECISIONS))
        _one_of("scenes", self.scenes, (0, 1))
        _one_of("dither", self.dither, (0, 1))
        _one_of("range", self.range, (-1, 0, 1))
        if not (self.dedup >= 0 or self.dedup == -1):
            raise OptionError(f"dedup={self.dedup:.12g}, wanted -1, or 0 or more")
        _at_least("block", self.block, 0)
        _at_least("warmup", self.warmup, 0)
        _at_least("prefetch", self.prefetch, -1)
        _at_least("cache", self.cache, 0)
        _at_least("strips", self.strips, AUTO)
        _at_least("memory", self.memory, 0)
        _one_of("compile", self.compile, (0, 1))
        _one_of("matrix", self.matrix, (-1, *MATRICES))

    def size(self, width: int, height: int, shared: tuple[int, int]) -> tuple[int, int]:
        """Columns and rows of the result.

        Args:
            width: Columns of the clip.
            height: Its rows.
            shared: Columns and rows of the result that share a chroma sample.
        """
        if self.scale == SCALE:
            return width * SCALE, height * SCALE
        across, down = (max(2, n) for n in shared)
        return (
            max(across, round(width * self.scale / across) * across),
            max(down, round(height * self.scale / down) * down),
        )


def _one_of(name: str, value: object, wanted: tuple[object, ...]) -> None:
    if value not in wanted:
        raise OptionError(f"{name}={value}, wanted one of {', '.join(map(str, wanted))}")


def _at_least(name: str, value: int, least: int) -> None:
    if value < least:
        raise OptionError(f"{name}={value}, wanted {least} or more")


def defaults() -> dict[str, Any]:
    """Name and default of every option, in the order of the filter's arguments."""
    return {option.name: option.default for option in fields(Options)}


def meanings() -> dict[str, str]:
    """Name and meaning of every option, in Markdown."""
    return {option.name: option.metadata["meaning"] for option in fields(Options)}


def table() -> str:
    """The options as a Markdown table."""
    rows = ["| argument | default | meaning |", "|---|---|---|"]
    rows += [f"| `{k}` | `{v!r}` | {meanings()[k]} |" for k, v in defaults().items()]
    return "\n".join(rows)
