"""Sessions of ONNX Runtime whose tensors stay where they are computed."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnxruntime as ort

from vsanimesr.engines.memory import of_memory
from vsanimesr.engines.onnx.builder import Builder
from vsanimesr.engines.onnx.providers import INSTALL, NAMES, Setting
from vsanimesr.errors import EngineError

FATAL = 4
"""Severity from which on the runtime writes of its own accord; errors come as exceptions anyway."""

log = logging.getLogger("vsanimesr")

_webgpu = threading.RLock()
"""All sessions and tensors of a process share one WebGPU device, which takes one call at a time."""


@dataclass(frozen=True)
class Place:
    """Where tensors lie."""

    device: str = "cpu"
    """`cpu`, `cuda` or `webgpu`."""
    index: int = 0
    """Of the GPU."""

    def tensor(self, array: np.ndarray) -> Tensor:
        """A tensor there with these values; on the CPU it shares the array's memory.

        The runtime's Python makes none on WebGPU: there it stays with the CPU, and whoever takes it
        in copies it.
        """
        device = "cpu" if self.device == "webgpu" else self.device
        return Tensor(ort.OrtValue.ortvalue_from_numpy(array, device, self.index))


class Tensor:
    """Numbers where they were computed, never changed.

    It keeps the session that made it: WebGPU's memory goes with its last session, and a tensor let
    go after that would take the process along.
    """

    def __init__(self, value: ort.OrtValue, session: Session | None = None) -> None:
        """Of `session`, None: from the host."""
        self.value, self.session = value, session

    def numpy(self) -> np.ndarray:
        """The numbers of a tensor that lies with the CPU."""
        return self.value.numpy()

    def __del__(self) -> None:
        if self.session:
            with self.session.turn:
                del self.value


class Session:
    """One graph, ready to run at one size, from any thread."""

    def __init__(
        self,
        graph: bytes,
        settings: Sequence[Setting],
        place: Place,
        sizes: Mapping[str, int] | None = None,
    ) -> None:
        """Load a graph.

        Args:
            graph: The model's bytes.
            settings: Providers, all of which have to take part.
            place: Where inputs and outputs lie.
            sizes: Values of the graph's symbolic dimensions.

        Raises:
            EngineError: A provider does not start, or dropped out.
        """
        self.turn = _webgpu if place.device == "webgpu" else contextlib.nullcontext()
        self._place = place
        if place.device == "cuda":
            _load_libraries()
        try:
            with self.turn:
                self._session = _load(graph, settings, sizes or {}, place)
        except Exception as error:
            if place.device == "cpu" or of_memory(error):
                raise
            raise EngineError(
                f"onnxruntime {ort.__version__} cannot set up "
                f"{', '.join(name for name, _ in settings)}: {error}"
            ) from error
        for name, _ in settings:
            if name not in self._session.get_providers():
                raise EngineError(_dropped(name))
        self._outputs = [output.name for output in self._session.get_outputs()]

    def __call__(
        self, inputs: Mapping[str, Tensor | np.ndarray], *, fetch: bool = False
    ) -> list[Tensor]:
        """Run the graph.

        Args:
            inputs: By name; tensors where they lie, or arrays, which may change after the call.
            fetch: Bring the outputs into the CPU's memory.

        Returns:
            New tensors, in the graph's order; all is computed when they are returned, except on
            WebGPU, where only what is fetched is.
        """
        dense = {k: np.ascontiguousarray(x) for k, x in inputs.items() if isinstance(x, np.ndarray)}
        there = Place() if fetch else self._place
        with self.turn:
            binding = self._session.io_binding()
            for name, given in inputs.items():
                if isinstance(given, Tensor):
                    binding.bind_ortvalue_input(name, given.value)
                else:
                    binding.bind_cpu_input(name, dense[name])  # which keeps no reference to it
            for name in self._outputs:
                binding.bind_output(name, there.device, there.index)
            self._session.run_with_iobinding(binding)
            return [Tensor(value, self) for value in binding.get_outputs()]

    def __del__(self) -> None:
        with self.turn:
            self.__dict__.pop("_session", None)


def starts(settings: Sequence[Setting], place: Place) -> bool:
    """Whether these providers start here; if not, why is logged."""
    probe = Builder()
    probe.output(probe.input("x", np.dtype(np.float32), (1,)), "y", np.dtype(np.float32), (1,))
    try:
        Session(probe.model("probe", "").SerializeToString(), settings, place)
    except EngineError as error:
        log.warning("Upscale: on the cpu instead of the GPU: %s", error)
        return False
    return True


def has_half(settings: Sequence[Setting], place: Place) -> bool:
    """Whether the device computes with floats of 16 bits."""
    half, probe = np.dtype(np.float16), Builder()
    x = probe.input("x", half, (1,))
    probe.output(probe.add("Add", x, x), "y", half, (1,))
    try:
        session = Session(probe.model("half probe", "").SerializeToString(), settings, place)
        session({"x": np.ones(1, half)}, fetch=True)
    except Exception as error:
        if "f16" not in str(error):
            raise
        return False
    return True


def _load(
    graph: bytes, settings: Sequence[Setting], sizes: Mapping[str, int], place: Place
) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.use_deterministic_compute = True
    options.log_severity_level = FATAL
    # By default threads are tied to cores and, when idle, wait busily: others need the cores too.
    options.intra_op_num_threads = _cores()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if place.device == "webgpu":  # what it does not have would go to the CPU in silence
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    for name, size in sizes.items():
        options.add_free_dimension_override_by_name(name, size)
    # A provider that fails is never replaced, neither here nor in a later run.
    session = ort.InferenceSession(graph, options, providers=list(settings), enable_fallback=0)
    session.disable_fallback()
    return session


def _cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # not on Windows and macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _load_libraries() -> None:
    """Find CUDA and cuDNN in the wheels of NVIDIA, where they are not the system's.

    What the runtime would print goes to the log: standard output may be a stream of video.
    """
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        ort.preload_dlls()
    if said.getvalue():
        log.debug("onnxruntime: %s", said.getvalue().strip())


def _dropped(name: str) -> str:
    short = next((short for short, long in NAMES.items() if long == name), name)
    return (
        f"provider {short}: onnxruntime {ort.__version__} has it but could not start it, most "
        f"likely because a library of CUDA, cuDNN or TensorRT is missing or of another version: "
        f"{INSTALL.get(short, 'see its documentation')}, or drop it from providers="
    )
