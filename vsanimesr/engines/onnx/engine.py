"""The network on ONNX Runtime, without torch: any CPU; a GPU through CUDA, TensorRT or WebGPU.

Letters: h, w rows and columns of a source frame; H, W the same after padding to multiples of 4.
"""

import contextlib
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnxruntime as ort

from vsanimesr.colour import Colour
from vsanimesr.engines.cuda_device import devices
from vsanimesr.engines.lost import reporting_loss
from vsanimesr.engines.memory import advising
from vsanimesr.engines.onnx import webgpu
from vsanimesr.engines.onnx.colour import (
    reading_graph,
    reading_numbers,
    writing_graph,
    writing_numbers,
)
from vsanimesr.engines.onnx.graph import DTYPES, step_graph
from vsanimesr.engines.onnx.planes import AS_THEY_LIE, AsWords, Crossing
from vsanimesr.engines.onnx.providers import Choice, choose, pick_precision, settings, step_settings
from vsanimesr.engines.onnx.session import GONE, Place, Session, Tensor, starts
from vsanimesr.engines.protocol import Plane, Setup
from vsanimesr.errors import DeviceLostError, EngineError
from vsanimesr.models import FEATURES, IMAGE


@dataclass(frozen=True)
class State:
    """What a step leaves behind: `image` (1, 48, H, W), folded, and `hidden` (1, 64, H, W)."""

    image: Tensor
    hidden: Tensor


@dataclass(frozen=True)
class Sessions:
    """What runs on the device: planes to RGB, the step, RGB to planes."""

    read: Session
    step: Session
    write: Session

    def know(self, tensor: Tensor) -> bool:
        """Whether a tensor is theirs or the host's, and not of sessions before them."""
        return tensor.session in (None, self.read, self.step)


class OnnxEngine:
    """Three sessions, between which tensors stay on the device. Only raw planes cross the bus.

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
            setup: What the engine is made for. Devices are `auto`, `cpu`, `cuda`, `cuda:N` and
                `webgpu`, precisions those of `providers.PRECISIONS`.
            providers: As `providers.choose` takes it.

        Raises:
            EngineError: Provider, device or precision is not to be had, or memory ran out.
        """
        self._weights, self._setup = weights, setup
        gpus = devices()
        if setup.device in ("auto", "webgpu") or "webgpu" in providers:
            webgpu.register(wanted=setup.device == "webgpu" or "webgpu" in providers)
        choice = choose(providers, setup.device, ort.get_available_providers(), gpus, webgpu.gpu)
        asked = providers.strip() or setup.device != "auto"
        if (
            not asked
            and choice.device != "cpu"
            and not starts(settings(choice, "fp32"), _place(choice))
        ):
            choice = Choice(("cpu",))
        self._choice, self._place = choice, _place(choice)
        self._gpu = gpus[choice.index] if choice.device == "cuda" else None
        capability = self._gpu.capability if self._gpu else (0, 0)
        self._precision = pick_precision(setup.precision, choice, capability, setup.source.half)
        self._dtype = DTYPES["fp16" if self._precision == "fp16" else "fp32"]
        self._crossing = self._cross()
        pixels = setup.rows * setup.columns * self._dtype.itemsize
        self.source_bytes, self.state_bytes = 3 * pixels, (IMAGE + FEATURES) * pixels
        self.overlaps = choice.device == "cuda"
        self.description = f"onnxruntime {ort.__version__}, {self._where()}, {self._precision}"
        self._numbers: dict[tuple[bool, Colour], dict[str, Tensor]] = {}
        self._sessions: Sessions | None = None
        with self._running():
            zeros = (
                np.zeros((1, c, setup.rows, setup.columns), self._dtype) for c in (IMAGE, FEATURES)
            )
            self._zero = State(*(self._place.tensor(array) for array in zeros))

    def upload(self, planes: Sequence[Plane], colour: Colour) -> Tensor:
        """See `Engine.upload`."""
        with self._running() as sessions:
            packed = {f"plane_{i}": self._crossing.pack(x) for i, x in enumerate(planes)}
            (image,) = sessions.read(packed | self._on_device(colour, written=False))
            return image

    def step(
        self, previous: Tensor, current: Tensor, following: Tensor, state: State | None
    ) -> State:
        """See `Engine.step`."""
        state = state or self._zero
        frames = {"previous": previous, "current": current, "following": following}
        given = frames | {"image_in": state.image, "hidden_in": state.hidden}
        with self._running(*given.values()) as sessions:
            return State(*sessions.step(given))

    def write(self, state: State, planes: Sequence[Plane], colour: Colour) -> None:
        """See `Engine.write`."""
        with self._running(state.image) as sessions:
            numbers = self._on_device(colour, written=True)
            made = sessions.write({"image": state.image} | numbers, fetch=True)
            for there, here in zip(made, planes, strict=True):
                self._crossing.unpack(there.numpy(), here)

    def close(self) -> None:
        """See `Engine.close`."""
        del self._sessions, self._zero, self._numbers

    @contextlib.contextmanager
    def _running(self, *tensors: Tensor) -> Generator[Sessions]:
        """The sessions, to run with these tensors; set up where there are none, or none any more.

        Raises:
            DeviceLostError: The device is lost, or was when it still held these tensors.
        """
        known = self._sessions
        if not all(known.know(x) if known else x.session is None for x in tensors):
            raise DeviceLostError(GONE)
        try:
            with reporting_loss(), advising(self._advice()):
                self._sessions = known or self._set_up()
                yield self._sessions
        except DeviceLostError:
            self._sessions = None
            raise

    def _set_up(self) -> Sessions:
        setup, dtype, crossing, place = self._setup, self._dtype, self._crossing, self._place
        colours = settings(self._choice, "fp32")
        read, write = (
            graph(setup, dtype, crossing).SerializeToString()
            for graph in (reading_graph, writing_graph)
        )
        kept = "fp16" if dtype == DTYPES["fp16"] else "fp32"
        graph = step_graph(self._weights, precision=kept).SerializeToString()
        size = (setup.rows, setup.columns)
        step = step_settings(self._choice, self._precision, graph, size, self._gpu)
        # WebGPU takes a 1x1 convolution for one that it has compiled, whatever was fused into that
        # one (seen in 1.27): a clamp to [0, 1], and codes come out as 0 and 1.
        fused = place.device != "webgpu"
        return Sessions(
            read=Session(read, colours, place, fused=fused),
            step=Session(graph, step, place, {"height": setup.rows, "width": setup.columns}),
            write=Session(write, colours, place, fused=fused),
        )

    def _cross(self) -> Crossing:
        """How planes get to the device.

        Raises:
            EngineError: The precision is one that the device does not have.
        """
        if self._choice.device != "webgpu":
            return AS_THEY_LIE
        asked = self._precision == "fp16"
        wanted = asked or self._setup.source.half or self._setup.target.half
        half = wanted and webgpu.half()
        if asked and not half:
            raise EngineError(
                f"precision=fp16, but {webgpu.device_name()} does not offer it to WebGPU "
                "(shader-f16): use fp32"
            )
        return AsWords(half=half)

    def _where(self) -> str:
        first = self._choice.names[0]
        if first == "webgpu":
            return f"{webgpu.device_name()}, webgpu"
        return f"{self._gpu.name}, {first}" if self._gpu else "cpu"

    def _on_device(self, colour: Colour, *, written: bool) -> dict[str, Tensor]:
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

    def _advice(self) -> str:
        """What to do when memory runs out."""
        where = f"cuda:{self._place.index}" if self._gpu else self._place.device
        what = f"out of memory on {where} at {self._setup.width}x{self._setup.height}"
        cures = "lower cache=, close other programs that use the device"
        if self._gpu:
            what += f" ({self._gpu.memory / 2**20:.0f} MB in all)"
        if where != "cpu":
            if self._dtype == np.float32:
                cures += ", use precision='fp16'"
            cures += ", use device='cpu'"
        cures += ", use backend='torch', which can compute in strips"
        return f"{what}; {cures}, or upscale a smaller clip"


def _place(choice: Choice) -> Place:
    return Place(choice.device, choice.index)
