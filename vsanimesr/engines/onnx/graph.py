"""The network's step as an ONNX graph, built from the weights without torch.

It is `Network.step` (network.py) operator by operator, of one clip: everything at source
resolution, the image folded. Letters: H, W rows and columns of a source frame, multiples of 4.
"""

from collections.abc import Mapping

import numpy as np
from onnx import ModelProto

from vsanimesr.engines.onnx.builder import Builder
from vsanimesr.models import BLOCKS, FEATURES, IMAGE
from vsanimesr.resample import stencil

SLOPE = 0.1
"""Of every leaky ReLU."""
DTYPES = {"fp32": np.dtype(np.float32), "fp16": np.dtype(np.float16)}
FRAMES = ("previous", "current", "following")
TENSORS = {
    **{name: (3, f"the {name} source frame, RGB in [0, 1]") for name in FRAMES},
    "image_in": (IMAGE, "image_out of the last step; zeros at a start"),
    "hidden_in": (FEATURES, "hidden_out of the last step; zeros at a start"),
    "image_out": (IMAGE, "the folded image, RGB, nominally in [0, 1] but not clamped"),
    "hidden_out": (FEATURES, "the hidden state"),
    "residual": (IMAGE, "image_out before the enlarged current frame is added"),
}
"""Channels and meaning of what goes in and out, (1, channels, H, W) each."""

MEANING = """One step of AnimeSR, recurrent x4 super-resolution of animation video.

Run it once a frame, in order, and feed image_out and hidden_out back as image_in and hidden_in.
Where the video or a scene starts, both are zeros; a neighbour that is missing there is the current
frame itself. Frames are padded to multiples of 4 by repeating their edges, and the picture is
cropped accordingly.

An image is folded: channel colour * 16 + row * 4 + column holds one of the 4x4 pixels of each
source pixel. DepthToSpace with blocksize 4 and mode CRD (pixel shuffle) makes it the picture
(1, 3, 4 * height, 4 * width); do not clamp or round what is fed back."""


def step_graph(
    weights: Mapping[str, np.ndarray],
    *,
    precision: str = "fp32",
    facts: Mapping[str, str] | None = None,
) -> ModelProto:
    """The graph of one step, of any size.

    Inputs: `previous`, `current`, `following` (1, 3, H, W), RGB in [0, 1]; `image_in` (1, 48, H, W)
    and `hidden_in` (1, 64, H, W), what the last step left behind, zeros at a start. Outputs:
    `image_out` and `hidden_out`, the same for the next step. All are of one type.

    Args:
        weights: The network's tensors by their released names, float32.
        precision: `fp32` or `fp16`: of everything.
        facts: Metadata of the model.
    """
    dtype = DTYPES[precision]
    net = _Network(weights, dtype)
    residual, hidden = net.cell(net.inputs())
    net.output("image_out", net.builder.add("Add", residual, net.enlarged("current")))
    net.output("hidden_out", hidden)
    return net.builder.model("AnimeSR step", MEANING, facts)


def residual_graph(weights: Mapping[str, np.ndarray]) -> ModelProto:
    """The graph of one step without the last addition, for runtimes that may round what is inside.

    Inputs as of `step_graph`, float32. Outputs: `residual` (1, 48, H, W), which `addition_graph`
    makes `image_out`, and `hidden_out`.

    Args:
        weights: The network's tensors by their released names, float32.
    """
    net = _Network(weights, DTYPES["fp32"])
    residual, hidden = net.cell(net.inputs())
    net.output("residual", residual)
    net.output("hidden_out", hidden)
    return net.builder.model("AnimeSR residual", "")


def addition_graph() -> ModelProto:
    """From `residual` (1, 48, H, W) and `current` (1, 3, H, W), float32, to `image_out`."""
    net = _Network({}, DTYPES["fp32"])
    residual, frame = net.input("residual"), net.input("current")
    net.output("image_out", net.builder.add("Add", residual, net.enlarged(frame)))
    return net.builder.model("AnimeSR addition", "")


class _Network:
    """The layers of `network.Cell`."""

    def __init__(self, weights: Mapping[str, np.ndarray], dtype: np.dtype) -> None:
        self.builder = Builder()
        self._weights, self._dtype = weights, dtype

    def inputs(self) -> str:
        """The inputs of a step, as one tensor (1, 121, H, W)."""
        names = (self.input(name) for name in (*FRAMES, "image_in", "hidden_in"))
        return self.builder.add("Concat", *names, axis=1)

    def input(self, name: str) -> str:
        """Declare one of `TENSORS`."""
        channels, meaning = TENSORS[name]
        dims = (1, channels, "height", "width")
        return self.builder.input(name, self._dtype, dims, meaning)

    def output(self, name: str, tensor: str) -> None:
        """Make `tensor` the output called `name`."""
        channels, meaning = TENSORS[name]
        dims = (1, channels, "height", "width")
        self.builder.output(tensor, name, self._dtype, dims, meaning)

    def cell(self, joined: str) -> tuple[str, str]:
        """From the step's inputs (1, 121, H, W) to the residual image and the next state."""
        b = self.builder
        s1 = self._activated("conv_s1_first.0", joined)
        s2 = self._activated("conv_s2_first.0", s1, stride=2)
        s4 = self._activated("conv_s4_first.0", s2, stride=2)

        for block in range(BLOCKS[1] - 2):
            s1 = self._block(f"body_s1_first.{block}", s1)
        s2 = self._block("body_s2_first.0", s2)

        s1 = self._block("body_s1_first.3", b.add("Add", s1, self._up(s2, 2)))
        s2 = self._block("body_s2_first.1", s2)
        s4 = self._block("body_s4_first.0", s4)

        s1 = b.add("Add", b.add("Add", s1, self._up(s2, 2)), self._up(s4, 4))
        s1 = self._block("body_s1_first.4", s1)
        s2 = self._block("body_s2_first.2", b.add("Add", s2, self._up(s4, 2)))
        s4 = self._block("body_s4_first.1", s4)

        joined = b.add("Concat", s1, self._up(s2, 2), self._up(s4, 4), axis=1)
        out = self._conv("fusion.2", self._activated("fusion.0", joined))
        residual = self._channels(out, 0, IMAGE)
        hidden = self._channels(out, IMAGE, IMAGE + FEATURES)
        return residual, b.add("LeakyRelu", hidden, alpha=SLOPE)

    def enlarged(self, frame: str) -> str:
        """`Cell.enlarge`: (1, 3, H, W) to a folded image of the bilinear enlargement."""
        b = self.builder
        pads = b.constant(np.array([0, 0, 1, 1, 0, 0, 1, 1], np.int64), "stencil.pads")
        padded = b.add("Pad", frame, pads, mode="edge")
        kernels = b.constant(stencil().astype(self._dtype), "stencil")
        return b.add("Conv", padded, kernels, group=3)

    def _block(self, name: str, z: str) -> str:
        inner = self.builder.add("Relu", self._conv(f"{name}.conv1", z))
        return self.builder.add("Add", z, self._conv(f"{name}.conv2", inner))

    def _activated(self, name: str, z: str, *, stride: int = 1) -> str:
        return self.builder.add("LeakyRelu", self._conv(name, z, stride=stride), alpha=SLOPE)

    def _conv(self, name: str, z: str, *, stride: int = 1) -> str:
        weight, bias = (
            self.builder.constant(
                self._weights[f"recurrent_cell.{name}.{part}"].astype(self._dtype), f"{name}.{part}"
            )
            for part in ("weight", "bias")
        )
        return self.builder.add(
            "Conv",
            z,
            weight,
            bias,
            kernel_shape=[3, 3],
            pads=[1, 1, 1, 1],
            strides=[stride, stride],
        )

    def _up(self, z: str, scale: int) -> str:
        scales = self.builder.constant(np.array([1, 1, scale, scale], np.float32), f"up{scale}")
        return self.builder.add(
            "Resize", z, "", scales, mode="linear", coordinate_transformation_mode="half_pixel"
        )

    def _channels(self, z: str, start: int, stop: int) -> str:
        bounds = [self.builder.constant(np.array([i], np.int64)) for i in (start, stop, 1)]
        return self.builder.add("Slice", z, *bounds)
