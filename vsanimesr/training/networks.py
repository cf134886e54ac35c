"""What is trained beside the released network: the discriminators, and the ablation's network."""

from collections.abc import Container, Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import Literal, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm
from torch.utils.checkpoint import checkpoint

from vsanimesr import weights
from vsanimesr.models import BLOCKS, FEATURES, IMAGE, RELEASES, SCALE, WINDOW
from vsanimesr.network import SLOPE, Network, ResidualBlock

CHANNELS = (3, 64, 128, 256, 512)
"""Of a discriminator's input and between its convolutions."""
SLOPE_OF_CRITIC = 0.2  # of the discriminators' leaky ReLUs

SINGLE_BLOCKS = sum(BLOCKS.values()) + 4
"""Residual blocks of the network with one scale."""
SINGLE_HIDDEN = 247
"""Channels between its two last convolutions."""

type Scales = Literal["multi", "single"]
"""The released network, or that of the ablation."""


class MultiScaleDiscriminator(nn.Module):
    """A PatchGAN for every scale, each with weights of its own (the paper, section 4.1).

    Scale 0 sees the picture, each other one that of the scale before at half the size: bilinear
    with aligned corners, as in the released code.
    """

    def __init__(self, scales: int = 3) -> None:
        super().__init__()
        self.scales = nn.ModuleList(_patch_gan() for _ in range(scales))

    def forward(self, images: Tensor) -> list[Tensor]:
        """Judge pictures.

        Args:
            images: (n, 3, h, w), RGB, nominally in [0, 1]; at the last scale at least 24 a side.

        Returns:
            For each scale (n, 1, rows, columns): how real each patch of 70x70 looks, 1 for real
            and 0 for made. 30, 14 and 6 a side for pictures of 256.
        """
        judged: list[Tensor] = []
        for scale, critic in enumerate(self.scales):
            if scale:
                half = [side // 2 for side in images.shape[-2:]]
                images = F.interpolate(images, half, mode="bilinear", align_corners=True)
            judged.append(critic(images))
        return judged


class SingleScaleCell(nn.Module):
    """The learnt part of a network that works at source resolution only: the paper's ablation.

    The paper asks for equal parameters. Four more residual blocks at full resolution and 247
    channels before the last convolution make 1,495,351, which is 25 fewer than the released network
    has; what it gains is that no picture is enlarged within the network.
    """

    def __init__(self) -> None:
        super().__init__()
        outputs = IMAGE + FEATURES
        self.conv_first = nn.Sequential(
            nn.Conv2d(WINDOW + IMAGE + FEATURES, FEATURES, 3, padding=1), nn.LeakyReLU(SLOPE)
        )
        self.body = nn.Sequential(*(ResidualBlock() for _ in range(SINGLE_BLOCKS)))
        self.fusion = nn.Sequential(
            nn.Conv2d(FEATURES, SINGLE_HIDDEN, 3, padding=1),
            nn.LeakyReLU(SLOPE),
            nn.Conv2d(SINGLE_HIDDEN, outputs, 3, padding=1),
        )

    def forward(self, window: Tensor, feedback: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """As the cell of the released network: the residual image and the raw next state."""
        dtype = cast(nn.Conv2d, self.conv_first[0]).weight.dtype
        inputs = torch.cat([x.to(dtype) for x in (window, feedback, state)], dim=1)
        out = self.fusion(self.body(self.conv_first(inputs)))
        return out[:, :IMAGE], out[:, IMAGE:]

    def enlarge(self, frame: Tensor) -> Tensor:
        """Enlarge (n, 3, h, w) four times, bilinearly, to a folded image (n, 48, h, w)."""
        large = F.interpolate(frame, scale_factor=SCALE, mode="bilinear", align_corners=False)
        return F.pixel_unshuffle(large, SCALE)


def generator(scales: Scales) -> Network:
    """The network to be trained, with random weights."""
    network = Network()
    if scales == "single":
        network.add_module("recurrent_cell", SingleScaleCell())
    return network


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
        network = generator("single")
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
        wanted = generator(scales_of(shapes)).state_dict()
    weights.compare(shapes, {name: tuple(value.shape) for name, value in wanted.items()})


def _patch_gan() -> nn.Sequential:
    """Five 4x4 convolutions, three of stride 2: each output sees 70x70 (pix2pix, section 3.2.2).

    Spectral normalisation on every one, no other.
    """
    layers: list[nn.Module] = []
    for number, (inputs, outputs) in enumerate(pairwise(CHANNELS)):
        stride = 2 if number < 3 else 1
        convolution = nn.Conv2d(inputs, outputs, 4, stride, padding=1)
        layers += [_normalised(convolution), nn.LeakyReLU(SLOPE_OF_CRITIC)]
    layers.append(_normalised(nn.Conv2d(CHANNELS[-1], 1, 4, padding=1)))
    return nn.Sequential(*layers)


def _normalised(convolution: nn.Conv2d) -> nn.Conv2d:
    """Divide the weight by its largest singular value, followed by a power iteration a use."""
    return cast(nn.Conv2d, spectral_norm(convolution))
