"""Sessions of ONNX Runtime whose tensors stay where they are computed."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import threading
import weakref
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnxruntime as ort

from vsanimesr.engines.lost import lost
from vsanimesr.engines.memory import of_memory
from vsanimesr.engines.onnx.builder import Builder
from vsanimesr.engines.onnx.providers import INSTALL, NAMES, Setting
from vsanimesr.errors import DeviceLostError, EngineError

GONE = "the device was lost, and with it what this frame needs"
FATAL = 4
"""Severity from which on the runtime writes of its own accord; errors come as exceptions anyway."""

log = logging.getLogger("vsanimesr")


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
    """Numbers where they were computed, never changed."""

    def __init__(self, value: ort.OrtValue, session: Session | None = None) -> None:
        """Of `session`, None: from the host."""
        self.value: ort.OrtValue | None = value
        self.session = session
        if session and session.shares:
            _webgpu.holds(self)

    def numpy(self) -> np.ndarray:
        """The numbers of a tensor that lies with the CPU; they are its own, and go with it."""
        return self.there().numpy()

    def there(self) -> ort.OrtValue:
        """The runtime's tensor.

        Raises:
            DeviceLostError: It lay on a device that was lost.
        """
        if self.value is None:
            raise DeviceLostError(GONE)
        return self.value

    def free(self) -> None:
        """Give the memory back."""
        self.value = None

    def __del__(self) -> None:
        if self.session and self.session.shares:
            with _webgpu.turn:
                self.free()


class Session:
    """One graph, ready to run at one size, from any thread."""

    def __init__(
        self,
        graph: bytes,
        settings: Sequence[Setting],
        place: Place,
        sizes: Mapping[str, int] | None = None,
        *,
        fused: bool = True,
    ) -> None:
        """Load a graph.

        Args:
            graph: The model's bytes.
            settings: Providers, all of which have to take part.
            place: Where inputs and outputs lie.
            sizes: Values of the graph's symbolic dimensions.
            fused: Convolutions may take in what follows them.

        Raises:
            EngineError: A provider does not start, or dropped out.
        """
        self.shares = place.device == "webgpu"
        """The device, with all other sessions of the process."""
        self._place = place
        self._session: ort.InferenceSession | None = None
        if place.device == "cuda":
            _load_libraries()
        try:
            with self._turn():
                self._session = session = _load(graph, settings, sizes or {}, place, fused=fused)
        except Exception as error:
            if place.device == "cpu" or of_memory(error):
                raise
            raise EngineError(
                f"onnxruntime {ort.__version__} cannot set up "
                f"{', '.join(name for name, _ in settings)}: {error}"
            ) from error
        for name, _ in settings:
            if name not in session.get_providers():
                raise EngineError(_dropped(name))
        self._outputs = [output.name for output in session.get_outputs()]

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
        with self._turn():
            if self._session is None:
                raise DeviceLostError(GONE)
            binding = self._session.io_binding()
            try:
                for name, given in inputs.items():
                    if isinstance(given, Tensor):
                        binding.bind_ortvalue_input(name, given.there())
                    else:
                        binding.bind_cpu_input(name, dense[name])  # which keeps no reference to it
                for name in self._outputs:
                    binding.bind_output(name, there.device, there.index)
                self._session.run_with_iobinding(binding)
                return [Tensor(value, self) for value in binding.get_outputs()]
            except BaseException:
                binding.clear_binding_outputs()  # the traceback keeps the binding
                raise
            finally:
                binding.clear_binding_inputs()  # so do the outputs, which lie in it

    def free(self) -> None:
        """Give the session back; it cannot run any more."""
        self._session = None

    def __del__(self) -> None:
        with self._turn():
            self.free()

    @contextlib.contextmanager
    def _turn(self) -> Generator[None]:
        """Where the device is shared: alone on it, and none of the process's is kept once lost."""
        if not self.shares:
            yield
            return
        with _webgpu.turn:
            _webgpu.holds(self)
            try:
                yield
            except Exception as error:
                if lost(error):
                    _webgpu.let_go()
                raise


class _Shared:
    """The WebGPU device, which all of a process's sessions share: one takes its turn at a time.

    Its memory ends with its last session, and a tensor that is freed after that would take the
    process along; a device that was lost is given anew only when no session holds the old one.
    """

    def __init__(self) -> None:
        self.turn = threading.RLock()
        self._held: weakref.WeakSet[Tensor | Session] = weakref.WeakSet()

    def holds(self, held: Tensor | Session) -> None:
        """Remember what is to be freed when the device is lost."""
        self._held.add(held)

    def let_go(self) -> None:
        """Free everything, tensors first. In its turn."""
        for held in sorted(self._held, key=lambda held: isinstance(held, Session)):
            held.free()


_webgpu = _Shared()


def starts(settings: Sequence[Setting], place: Place) -> bool:
    """Whether these providers start here; if not, why is logged."""
    try:
        try_out(settings, place)
    except EngineError as error:
        log.warning("Upscale: on the cpu instead of the GPU: %s", error)
        return False
    return True


def try_out(settings: Sequence[Setting], place: Place) -> None:
    """Compute a single number.

    Raises:
        EngineError: A provider does not start, or does not compute.
    """
    probe, dtype = Builder(), np.dtype(np.float32)
    x = probe.input("x", dtype, (1,))
    probe.output(probe.add("Add", x, x), "y", dtype, (1,))
    session = Session(probe.model("probe", "").SerializeToString(), settings, place)
    try:
        session({"x": np.ones(1, dtype)}, fetch=True)
    except Exception as error:  # of a runtime that says it in many ways
        raise EngineError(f"onnxruntime {ort.__version__} cannot compute: {error}") from error


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
    graph: bytes,
    settings: Sequence[Setting],
    sizes: Mapping[str, int],
    place: Place,
    *,
    fused: bool,
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
    session = ort.InferenceSession(
        graph,
        options,
        providers=list(settings),
        enable_fallback=0,
        disabled_optimizers=() if fused else ("ConvActivationFusion",),
    )
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
