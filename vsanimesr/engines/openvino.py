"""The network on OpenVINO: any CPU, fastest where it multiplies bf16 (AMX, AVX512). No torch.

Letters: h, w rows and columns of a source frame; H, W the same after padding to multiples of 4.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from math import prod

import numpy as np
import openvino as ov
from onnx import ModelProto

from vsanimesr.colour import Colour
from vsanimesr.engines.choice import precision_on_cpu
from vsanimesr.engines.memory import advising
from vsanimesr.engines.onnx.colour import (
    reading_graph,
    reading_numbers,
    writing_graph,
    writing_numbers,
)
from vsanimesr.engines.onnx.graph import addition_graph, residual_graph
from vsanimesr.engines.processor import processor
from vsanimesr.engines.protocol import Plane, Setup
from vsanimesr.errors import EngineError
from vsanimesr.models import FEATURES, IMAGE

PRECISIONS = ("fp32", "bf16")
SINGLE = np.dtype(np.float32)


@dataclass(frozen=True)
class State:
    """What a step leaves behind: `image` (1, 48, H, W), folded, and `hidden` (1, 64, H, W)."""

    image: ov.Tensor
    hidden: ov.Tensor


@cache
def _core() -> ov.Core:
    """The runtime, kept for the life of the process.

    On processors with AMX its CPU plugin gives the thread that loads it a stack for signals, and
    when unloaded frees that stack: in use still, if another thread unloads it. The next signal, as
    Ctrl-C, would then be handled in memory of someone else's.
    """
    return ov.Core()


class OpenVinoEngine:
    """Sources are (1, 3, H, W) tensors. Only the convolutions of the step run in `precision`.

    The last addition has a graph of its own, for within one graph the runtime would round the
    enlarged frame to bf16 as well, which costs 8 dB.
    """

    overlaps = False

    def __init__(
        self,
        weights: Mapping[str, np.ndarray],
        setup: Setup,
    ) -> None:
        """Compile the graphs. The device is `auto` or `cpu`, precisions are `PRECISIONS`.

        Raises:
            EngineError: Device or precision is not to be had, or memory ran out.
        """
        if setup.device not in ("auto", "cpu"):
            raise EngineError(f"device={setup.device}, but backend=openvino runs on the cpu only")
        core = _core()
        precision = pick_precision(setup.precision, core)
        self._setup = setup
        size = (setup.rows, setup.columns)
        self.source_bytes = 3 * prod(size) * SINGLE.itemsize
        self.state_bytes = (IMAGE + FEATURES) * prod(size) * SINGLE.itemsize
        self.description = f"openvino {ov.__version__.partition('-')[0]}, cpu, {precision}"
        self._advice = (
            f"out of memory on cpu at {setup.width}x{setup.height}; lower cache=, close other "
            "programs that use the device, use backend='torch', which can compute in strips, or "
            "upscale a smaller clip"
        )
        self._numbers: dict[tuple[bool, Colour], dict[str, ov.Tensor]] = {}
        with advising(self._advice):
            self._read = _Graph(core, reading_graph(setup, SINGLE))
            self._write = _Graph(core, writing_graph(setup, SINGLE))
            hint = "bf16" if precision == "bf16" else "f32"
            self._residual = _Graph(core, residual_graph(weights), size, hint)
            self._add = _Graph(core, addition_graph(), size)
            self._zero = State(
                *(ov.Tensor(np.zeros((1, n, *size), SINGLE)) for n in (IMAGE, FEATURES))
            )

    def upload(self, planes: Sequence[Plane], colour: Colour) -> ov.Tensor:
        """See `Engine.upload`."""
        with advising(self._advice):
            numbers = self._tensors(colour, written=False)
            copies = {f"plane_{i}": ov.Tensor(np.array(x)) for i, x in enumerate(planes)}
            (image,) = self._read(copies | numbers)
            return image

    def step(
        self, previous: ov.Tensor, current: ov.Tensor, following: ov.Tensor, state: State | None
    ) -> State:
        """See `Engine.step`."""
        state = state or self._zero
        frames = {"previous": previous, "current": current, "following": following}
        with advising(self._advice):
            residual, hidden = self._residual(
                frames | {"image_in": state.image, "hidden_in": state.hidden}
            )
            (image,) = self._add({"residual": residual, "current": current})
            return State(image, hidden)

    def write(self, state: State, planes: Sequence[Plane], colour: Colour) -> None:
        """See `Engine.write`."""
        with advising(self._advice):
            made = self._write({"image": state.image} | self._tensors(colour, written=True))
            for there, here in zip(made, planes, strict=True):
                np.copyto(here, there.data)

    def close(self) -> None:
        """See `Engine.close`."""
        del self._read, self._residual, self._add, self._write, self._zero, self._numbers

    def _tensors(self, colour: Colour, *, written: bool) -> dict[str, ov.Tensor]:
        """The numbers of a colour, made once."""
        key = (written, colour)
        if key not in self._numbers:
            numbers = (
                writing_numbers(self._setup, colour)
                if written
                else reading_numbers(self._setup, colour)
            )
            self._numbers[key] = {name: ov.Tensor(array) for name, array in numbers.items()}
        return self._numbers[key]


class _Graph:
    """A graph that makes new tensors in each run. Run from one thread at a time."""

    def __init__(
        self,
        core: ov.Core,
        graph: ModelProto,
        size: tuple[int, int] | None = None,
        precision: str = "f32",
    ) -> None:
        """Compile; `size` is rows and columns of all inputs, where the graph leaves them open."""
        model = core.read_model(graph.SerializeToString())
        if size:
            model.reshape({i: [1, i.partial_shape[1].get_length(), *size] for i in model.inputs})
        compiled = core.compile_model(
            model,
            "CPU",
            {
                "INFERENCE_PRECISION_HINT": precision,
                "NUM_STREAMS": 1,
                "ENABLE_CPU_PINNING": False,  # other programs need the cores too
            },
        )
        self._request = compiled.create_infer_request()
        self._outputs = [
            (output.any_name, output.element_type, output.shape) for output in compiled.outputs
        ]

    def __call__(self, inputs: Mapping[str, ov.Tensor]) -> list[ov.Tensor]:
        """Run the graph.

        Args:
            inputs: By name.

        Returns:
            The outputs, in the graph's order.
        """
        for name, tensor in inputs.items():
            self._request.set_tensor(name, tensor)
        made: list[ov.Tensor] = []
        for name, element, shape in self._outputs:
            made.append(ov.Tensor(element, shape))
            self._request.set_tensor(name, made[-1])
        self._request.infer()
        return made


def pick_precision(name: str, core: ov.Core) -> str:
    """The precision called `name`; `auto` is bf16 where that is faster here.

    Raises:
        EngineError: It is not offered, or not on this CPU.
    """
    if name == "auto":
        return precision_on_cpu("openvino") if _multiplies_bf16(core) else "fp32"
    if name not in PRECISIONS:
        raise EngineError(
            f"precision={name} is not offered by backend=openvino: use {' or '.join(PRECISIONS)}"
        )
    if name == "bf16" and not _multiplies_bf16(core):
        raise EngineError("precision=bf16, but this CPU does not multiply bf16: use fp32")
    return name


def _multiplies_bf16(core: ov.Core) -> bool:
    """Whether this CPU does; a cap on what oneDNN sees counts, though OpenVINO does not heed it."""
    able = "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return able and processor() in ("amx", "avx512_bf16")
