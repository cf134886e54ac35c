"""Sessions of ONNX Runtime whose tensors stay where they are computed.

A tensor (`OrtValue`) is never changed once a session has made it.
"""

import contextlib
import io
import logging
import os
from collections.abc import Mapping, Sequence

import numpy as np
import onnxruntime as ort

from vsanimesr.engines.memory import of_memory
from vsanimesr.engines.onnx.builder import Builder
from vsanimesr.engines.onnx.providers import INSTALL, NAMES, Setting
from vsanimesr.errors import EngineError

FATAL = 4
"""Severity from which on the runtime writes of its own accord; errors come as exceptions anyway."""

log = logging.getLogger("vsanimesr")


class Place:
    """Where tensors lie: the CPU's memory or a GPU's."""

    def __init__(self, *, gpu: bool, index: int = 0) -> None:
        """For the CPU, or the GPU with this index."""
        self.kind, self.index = ("cuda", index) if gpu else ("cpu", 0)

    def tensor(self, array: np.ndarray) -> ort.OrtValue:
        """A tensor there with these values; on the CPU it shares the array's memory."""
        return ort.OrtValue.ortvalue_from_numpy(array, self.kind, self.index)


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
        self._place = place
        if place.kind == "cuda":
            _load_libraries()
        try:
            self._session = _load(graph, settings, sizes or {})
        except Exception as error:
            if place.kind == "cpu" or of_memory(error):
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
        self, inputs: Mapping[str, ort.OrtValue | np.ndarray], *, fetch: bool = False
    ) -> list[ort.OrtValue]:
        """Run the graph.

        Args:
            inputs: By name; tensors where they lie, or arrays, which may change after the call.
            fetch: Bring the outputs into the CPU's memory.

        Returns:
            New tensors, in the graph's order; all is computed when they are returned.
        """
        binding = self._session.io_binding()
        dense = {k: np.ascontiguousarray(x) for k, x in inputs.items() if isinstance(x, np.ndarray)}
        for name, value in inputs.items():
            if name in dense:
                binding.bind_cpu_input(name, dense[name])  # which keeps no reference to it
            else:
                binding.bind_ortvalue_input(name, value)
        kind, index = ("cpu", 0) if fetch else (self._place.kind, self._place.index)
        for name in self._outputs:
            binding.bind_output(name, kind, index)
        self._session.run_with_iobinding(binding)
        return list(binding.get_outputs())


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


def _load(
    graph: bytes, settings: Sequence[Setting], sizes: Mapping[str, int]
) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.use_deterministic_compute = True
    options.log_severity_level = FATAL
    # By default threads are tied to cores and, when idle, wait busily: others need the cores too.
    options.intra_op_num_threads = _cores()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
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
