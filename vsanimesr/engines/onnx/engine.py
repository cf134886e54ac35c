"""The network on ONNX Runtime: any CPU, or an NVIDIA GPU through CUDA or TensorRT. No torch.

Letters: h, w rows and columns of a source frame; H, W the same after padding to multiples of 4.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnxruntime as ort

from vsanimesr.colour import Colour
from vsanimesr.engines.cuda_device import devices
from vsanimesr.engines.memory import advising
from vsanimesr.engines.onnx.colour import (
    reading_graph,
    reading_numbers,
    writing_graph,
    writing_numbers,
)
from vsanimesr.engines.onnx.graph import DTYPES, step_graph
from vsanimesr.engines.onnx.providers import Choice, choose, pick_precision, settings, step_settings
from vsanimesr.engines.onnx.session import Place, Session, starts
from vsanimesr.engines.protocol import Plane, Setup
from vsanimesr.models import FEATURES, IMAGE


@dataclass(frozen=True)
class State:
    """What a step leaves behind: `image` (1, 48, H, W), folded, and `hidden` (1, 64, H, W)."""

    image: ort.OrtValue
    hidden: ort.OrtValue


class OnnxEngine:
    """Three sessions: planes to RGB, the step, RGB to planes. Only raw planes cross the bus.

    Sources are (1, 3, H, W) tensors on the device. With fp16 sources, states and all of the step
    are fp16, else float32; colours are computed in float32 always.
    """

    def __init__(
        self,
        weights: Mapping[str, np.ndarray],
        setup: Setup,
        *,
        providers: str = "",
    ) -> None:
        """Load the three graphs.

        Args:
            weights: The network's tensors by their released names, float32.
            setup: What the engine is made for. Devices are `auto`, `cpu`, `cuda` and `cuda:N`,
                precisions those of `providers.PRECISIONS`.
            providers: As `providers.choose` takes it.

        Raises:
            EngineError: Provider, device or precision is not to be had, or memory ran out.
        """
        gpus = devices()
        choice = choose(providers, setup.device, ort.get_available_providers(), gpus)
        asked = providers.strip() or setup.device != "auto"
        if not asked and choice.gpu and not starts(settings(choice, "fp32"), _place(choice)):
            choice = Choice(("cpu",))
        self._gpu = gpus[choice.index] if choice.gpu else None
        capability = self._gpu.capability if self._gpu else (0, 0)
        precision = pick_precision(setup.precision, choice, capability, setup.source.half)
        kept = "fp16" if precision == "fp16" else "fp32"
        dtype = DTYPES[kept]
        self._dtype = dtype
        self._setup = setup
        rows, columns = setup.rows, setup.columns
        self.source_bytes = 3 * rows * columns * dtype.itemsize
        self.state_bytes = (IMAGE + FEATURES) * rows * columns * dtype.itemsize
        self.overlaps = choice.gpu
        where = f"{self._gpu.name}, {choice.names[0]}" if self._gpu else "cpu"
        self.description = f"onnxruntime {ort.__version__}, {where}, {precision}"
        self._place = _place(choice)
        self._advice = self._about_memory()
        self._numbers: dict[tuple[bool, Colour], dict[str, ort.OrtValue]] = {}
        colours = settings(choice, "fp32")
        with advising(self._advice):
            read, write = reading_graph(setup, dtype), writing_graph(setup, dtype)
            self._read = Session(read.SerializeToString(), colours, self._place)
            self._write = Session(write.SerializeToString(), colours, self._place)
            graph = step_graph(weights, precision=kept).SerializeToString()
            step = step_settings(choice, precision, graph, (rows, columns), self._gpu)
            sizes = {"height": rows, "width": columns}
            self._step = Session(graph, step, self._place, sizes)
            zeros = (np.zeros((1, c, rows, columns), dtype) for c in (IMAGE, FEATURES))
            self._zero = State(*(self._place.tensor(array) for array in zeros))

    def upload(self, planes: Sequence[Plane], colour: Colour) -> ort.OrtValue:
        """See `Engine.upload`."""
        with advising(self._advice):
            numbers = self._on_device(colour, written=False)
            (image,) = self._read({f"plane_{i}": x for i, x in enumerate(planes)} | numbers)
            return image

    def step(
        self,
        previous: ort.OrtValue,
        current: ort.OrtValue,
        following: ort.OrtValue,
        state: State | None,
    ) -> State:
        """See `Engine.step`."""
        state = state or self._zero
        frames = {"previous": previous, "current": current, "following": following}
        with advising(self._advice):
            return State(*self._step(frames | {"image_in": state.image, "hidden_in": state.hidden}))

    def write(self, state: State, planes: Sequence[Plane], colour: Colour) -> None:
        """See `Engine.write`."""
        with advising(self._advice):
            numbers = self._on_device(colour, written=True)
            made = self._write({"image": state.image} | numbers, fetch=True)
            for there, here in zip(made, planes, strict=True):
                np.copyto(here, there.numpy())

    def close(self) -> None:
        """See `Engine.close`."""
        del self._read, self._step, self._write, self._zero, self._numbers

    def _on_device(self, colour: Colour, *, written: bool) -> dict[str, ort.OrtValue]:
        """The numbers of a colour, uploaded once."""
        key = (written, colour)
        if key not in self._numbers:
            numbers = (
                writing_numbers(self._setup, colour)
                if written
                else reading_numbers(self._setup, colour)
            )
            self._numbers[key] = {k: self._place.tensor(v) for k, v in numbers.items()}
        return self._numbers[key]

    def _about_memory(self) -> str:
        """What to do when memory runs out."""
        where = f"cuda:{self._place.index}" if self._gpu else "cpu"
        what = f"out of memory on {where} at {self._setup.width}x{self._setup.height}"
        cures = "lower cache=, close other programs that use the device"
        if self._gpu:
            what += f" ({self._gpu.memory / 2**20:.0f} MB in all)"
            if self._dtype == np.float32:
                cures += ", use precision='fp16'"
            cures += ", use device='cpu'"
        cures += ", use backend='torch', which can compute in strips"
        return f"{what}; {cures}, or upscale a smaller clip"


def _place(choice: Choice) -> Place:
    return Place(gpu=choice.gpu, index=choice.index)
