"""The network's layers as one ncnn net, written straight from the weights.

The net's layers are not joined: each has an input and an output of its own, named after its
weights, and is run by name on a band of rows (`step.py`). So nothing but a band's own scratch
memory is ever held by the runtime.

Format: ncnn's wiki, "param and model file structure".
"""

from collections.abc import Mapping

import numpy as np

from vsanimesr import scratch
from vsanimesr.engines.ncnn.maps import Mat, runtime
from vsanimesr.models import BLOCKS, FEATURES, IMAGE, WINDOW
from vsanimesr.resample import stencil

SLOPE = 0.1
"""Of every leaky ReLU."""
MAGIC = "7767517"
FLOAT32 = b"\0\0\0\0"
"""In front of a layer's weights: they follow as they are."""
JOINED = 128
"""Channels into the first convolution: image, hidden state, and the window with zeros behind it."""
LEAKY, RELU = f" 9=2 -23310=1,{SLOPE}", " 9=1"
"""Activation of a convolution."""
EXACT = "31=64"
"""Not by Winograd's method, which rounds (`get_masked_option` in ncnn's net.cpp)."""


class Layers:
    """All convolutions and enlargements of the network, each to be run alone from any thread."""

    def __init__(self, weights: Mapping[str, np.ndarray]) -> None:
        """Load the layers.

        Args:
            weights: The network's tensors by their released names, float32.
        """
        text, data = _written(weights)
        self._pool = runtime.PoolAllocator()
        self._net = runtime.Net()
        options = self._net.opt
        options.num_threads = 1  # bands are what runs side by side
        options.use_vulkan_compute = False
        options.use_fp16_storage = options.use_fp16_packed = options.use_fp16_arithmetic = False
        options.use_bf16_storage = False
        options.use_winograd23_convolution = options.use_winograd63_convolution = False
        options.blob_allocator = options.workspace_allocator = self._pool
        self._net.opt = options
        if self._net.load_param_mem(text):
            raise RuntimeError("ncnn refused the graph")
        with scratch.folder() as folder:  # the interface takes weights as files only
            path = folder / "layers.bin"
            path.write_bytes(data)
            if self._net.load_model(str(path)):
                raise RuntimeError("ncnn refused the weights")

    def __call__(self, name: str, band: Mat) -> Mat:
        """Run a layer.

        Raises:
            MemoryError: There is not enough.
        """
        extractor = self._net.create_extractor()
        extractor.input(f"{name}_in", band)
        failed, made = extractor.extract(f"{name}_out", 1)  # 1: channels packed as they come
        if failed:
            raise MemoryError(f"ncnn: layer {name}: out of memory")
        return made


def _written(weights: Mapping[str, np.ndarray]) -> tuple[str, bytes]:
    """The net as ncnn's text and binary files hold it."""
    lines: list[str] = []
    data: list[bytes] = []

    def layer(kind: str, name: str, numbers: str) -> None:
        lines.append(f"Input {name}_in 0 1 {name}_in")
        lines.append(f"{kind} {name} 1 1 {name}_in {name}_out {numbers}")

    def convolution(name: str, activation: str = "", *, stride: int = 1) -> None:
        kernel, bias = (weights[f"recurrent_cell.{name}.{part}"] for part in ("weight", "bias"))
        if name == "conv_s1_first.0":
            kernel = _reordered(kernel)
        numbers = f"0={len(kernel)} 1=3 3={stride} 5=1 6={kernel.size}{activation}"
        layer("Convolution", name, numbers)
        data.extend((FLOAT32, _bytes(kernel), _bytes(bias)))

    convolution("conv_s1_first.0", LEAKY)
    convolution("conv_s2_first.0", LEAKY, stride=2)
    convolution("conv_s4_first.0", LEAKY, stride=2)
    for scale, count in BLOCKS.items():
        for block in range(count):
            convolution(f"body_s{scale}_first.{block}.conv1", RELU)
            convolution(f"body_s{scale}_first.{block}.conv2")
    convolution("fusion.0", LEAKY)
    convolution("fusion.2")
    for scale in (2, 4):
        layer("Interp", f"up{scale}", f"0=2 1={scale}.0 2={scale}.0")
    kernel = _dense(stencil())
    layer("Convolution", "enlarge", f"0={IMAGE} 1=3 6={kernel.size} {EXACT}")
    data.extend((FLOAT32, _bytes(kernel)))
    return f"{MAGIC}\n{len(lines)} {len(lines)}\n" + "\n".join(lines) + "\n", b"".join(data)


def _reordered(kernel: np.ndarray) -> np.ndarray:
    """The first convolution's kernel (64, 121, 3, 3) for inputs in the order of `JOINED`."""
    window, rest = np.split(kernel, [WINDOW], axis=1)
    zeros = np.zeros((len(kernel), JOINED - IMAGE - FEATURES - WINDOW, 3, 3), kernel.dtype)
    return np.concatenate((rest, window, zeros), axis=1)


def _dense(kernel: np.ndarray) -> np.ndarray:
    """A kernel (48, 1, 3, 3) of three groups as (48, 3, 3, 3), zero across colours."""
    dense = np.zeros((3, len(kernel) // 3, 3, *kernel.shape[2:]), kernel.dtype)
    for colour in range(3):
        dense[colour, :, colour] = kernel.reshape(3, -1, *kernel.shape[2:])[colour]
    return dense.reshape(-1, *dense.shape[2:])


def _bytes(array: np.ndarray) -> bytes:
    return np.ascontiguousarray(array, "<f4").tobytes()
