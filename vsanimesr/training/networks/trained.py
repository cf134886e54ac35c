"""The network that is trained: made, loaded, counted. The released one, or the ablation's."""

from collections.abc import Container, Mapping, Sequence
from functools import partial
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from vsanimesr import weights
from vsanimesr.models import FEATURES, IMAGE, RELEASES, WINDOW, WITHOUT_IMAGE
from vsanimesr.network import Network
from vsanimesr.training.networks.single import SingleScaleCell

type Scales = Literal["multi", "single"]
"""The released network, or that of the ablation."""


def new(scales: Scales, *, feedback: bool = True) -> Network:
    """The network to be trained, with random weights.

    Args:
        scales: Which of the two.
        feedback: Whether the released one is fed its last image; see `WithoutImage`.
    """
    network = Network()
    if scales == "single":
        network.add_module("recurrent_cell", SingleScaleCell())
    elif not feedback:
        network.recurrent_cell.conv_s1_first[0] = WithoutImage()
    return network


class WithoutImage(nn.Conv2d):
    """The first convolution of a network that has its last state, but not its last image.

    VQD-SR (ICCV 2023) trains the released network so. Its weights have 73 inputs in place of 121;
    whoever reads a file of them adds zeros (`weights.read`).
    """

    def __init__(self) -> None:
        super().__init__(WITHOUT_IMAGE, FEATURES, 3, padding=1)
        self.in_channels += IMAGE  # of what it is given

    def forward(self, input: Tensor) -> Tensor:
        """(n, 121, h, w) to (n, 64, h, w); the inputs 9 to 56 do not count."""
        return super().forward(torch.cat((input[:, :WINDOW], input[:, WINDOW + IMAGE :]), dim=1))


def scales_of(names: Container[str]) -> Scales:
    """Which of the two networks a state dict is of, by the names of its tensors."""
    return "single" if weights.ABLATION in names else "multi"


def load(model: str) -> weights.Tensors:
    """The tensors of a model, as `weights.load` gives them, or of a file of the ablation's network.

    Args:
        model: `v1`, `v2`, or the path of a `.pth` or `.safetensors` file.

    Raises:
        WeightsError: As by `weights.load`.
    """
    if model in RELEASES:
        return weights.load(model)
    return weights.read(weights.locate(model), _check)


def from_weights(tensors: Mapping[str, np.ndarray]) -> Network:
    """The network that these tensors are of, in float32 on the CPU.

    Args:
        tensors: As `load` gives them.
    """
    if scales_of(tensors) == "multi":
        return Network.from_weights(tensors)
    with torch.device("meta"):
        network = new("single")
    copies = {name: torch.from_numpy(np.array(array)) for name, array in tensors.items()}
    network.load_state_dict(copies, assign=True)
    return network


def train_steps(network: Network, *, checkpointing: bool, compiled: bool) -> None:
    """Choose how the steps of `network.forward` are run.

    Args:
        network: Changed in place; its state dict is not.
        checkpointing: Keep a step's input and output only, and compute it again on the way back:
            about a third more time, and the memory of one step instead of all.
        compiled: Compile the step, the same graph for every frame.
    """
    step = torch.compile(network.step) if compiled else network.step
    if checkpointing:
        step = partial(checkpoint, step, use_reentrant=False)
    vars(network)["step"] = step  # hides the method from `forward`


def count(modules: Sequence[nn.Module]) -> int:
    """How many numbers are trained."""
    return sum(value.numel() for module in modules for value in module.parameters())


def _check(shapes: weights.Shapes) -> None:
    with torch.device("meta"):
        wanted = new(scales_of(shapes)).state_dict()
    weights.compare(shapes, {name: tuple(value.shape) for name, value in wanted.items()})
