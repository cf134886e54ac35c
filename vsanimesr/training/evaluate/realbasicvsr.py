"""RealBasicVSR, the video network that the paper compares with: to be measured, not trained.

Chan et al., Investigating Tradeoffs in Real-World Video Super-Resolution, CVPR 2022: pictures are
cleaned one by one, then enlarged by BasicVSR (Chan et al., CVPR 2021), which carries features
through the clip in both directions along the flow of SpyNet (Ranjan and Black, CVPR 2017).

Letters as in `vsanimesr.network`. Frames are (n, 3, h, w), RGB in [0, 1], of any size; flows are
(n, 2, h, w) in pixels, to the right and down. Modules have the names of the published files.
"""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Self, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vsanimesr import weights
from vsanimesr.errors import WeightsError
from vsanimesr.models import SCALE
from vsanimesr.network import SLOPE, ResidualBlock
from vsanimesr.training import foreign

FEATURES = 64
BLOCKS = 20
"""Residual blocks of the cleaning, and of each direction."""
LEVELS = 6
"""Of SpyNet's pyramid; the coarsest picture is 32 times smaller than the finest."""
CHANNELS = (8, 32, 64, 32, 16, 2)
"""Between the convolutions of a level, from two pictures and a flow to the rest of the flow."""
MARK = "image_cleaning.0.main.0.weight"
"""Only this network has it."""
PREFIXES = ("generator_ema.", "generator.", "")
"""Of its tensors in MMEditing's checkpoints, the better ones first, and in a bare state dict."""


class RealBasicVSR(nn.Module):
    """The whole network, x4."""

    def __init__(self, passes: int = 1, threshold: float = 5 / 255) -> None:
        """Make it with weights drawn at random.

        Args:
            passes: Of the cleaning, at most. The paper repeats it up to three times while much
                changes ("dynamic refinement"); the released configuration for inference has a
                threshold that is never exceeded, which is one pass, and its cost is of one, too.
            threshold: Mean change of a clip, full scale 1, below which it is clean enough. The
                released configuration for training has 5 of 255 for tests.
        """
        super().__init__()
        self.passes = passes
        self.threshold = threshold
        self.image_cleaning = nn.Sequential(Body(3), nn.Conv2d(FEATURES, 3, 3, padding=1))
        self.basicvsr = BasicVSR()

    @classmethod
    def from_state(cls, state: dict[str, Tensor]) -> Self:
        """Make one of these weights, on the CPU.

        Raises:
            WeightsError: Names or shapes are not this network's, or values not finite.
        """
        with torch.device("meta"):
            network = cls()
        wanted = network.state_dict()
        weights.compare(_shapes(state), _shapes(wanted))
        for name, value in state.items():
            if not value.isfinite().all():
                raise WeightsError(f"{name} holds NaN or infinite values; get the file again")
        network.load_state_dict({name: state[name].float() for name in wanted}, assign=True)
        return network

    def forward(self, frames: Tensor) -> Tensor:
        """Enlarge clips: (n, t, 3, h, w) to (n, t, 3, 4h, 4w), not clamped."""
        return torch.stack([*self.images(frames.unbind(dim=1))], dim=1)

    def images(self, frames: Sequence[Tensor]) -> Iterator[Tensor]:
        """The same one frame at a time; the first comes when all have been read."""
        return self.basicvsr.images(self.cleaned(frames))

    def cleaned(self, frames: Sequence[Tensor]) -> list[Tensor]:
        """The frames without the worst of noise and coding, of the same size."""
        clean = [*frames]
        for number in range(self.passes):
            changes = [self.image_cleaning(frame) for frame in clean]
            clean = [frame + change for frame, change in zip(clean, changes, strict=True)]
            if number + 1 < self.passes:
                mean = torch.stack([change.abs().mean() for change in changes]).mean()
                if float(mean) < self.threshold:
                    break
        return clean


class BasicVSR(nn.Module):
    """Features of the clip from its end and from its beginning, then the picture from both."""

    def __init__(self) -> None:
        super().__init__()
        self.spynet = SpyNet()
        self.backward_resblocks = Body(3 + FEATURES)
        self.forward_resblocks = Body(3 + FEATURES)
        self.fusion = nn.Conv2d(2 * FEATURES, FEATURES, 1)
        self.upsample1 = _upsampling()
        self.upsample2 = _upsampling()
        self.conv_hr = nn.Conv2d(FEATURES, FEATURES, 3, padding=1)
        self.conv_last = nn.Conv2d(FEATURES, 3, 3, padding=1)

    def images(self, frames: Sequence[Tensor]) -> Iterator[Tensor]:
        """Enlarge a clip. Keeps the features of all its frames: 64 numbers a pixel each."""
        after = [*self._propagated(self.backward_resblocks, frames[::-1])]
        before = self._propagated(self.forward_resblocks, frames)
        for frame, future, past in zip(frames, reversed(after), before, strict=True):
            yield self._picture(frame, torch.cat((future, past), dim=1))

    def _propagated(self, body: nn.Module, frames: Sequence[Tensor]) -> Iterator[Tensor]:
        """Features (n, 64, h, w) of each frame, from it and from those before it in this order."""
        features = previous = None
        for frame in frames:
            if features is None or previous is None:
                features = frame.new_zeros(len(frame), FEATURES, *frame.shape[-2:])
            else:
                features = warp(features, self.spynet(frame, previous))
            features = body(torch.cat((frame, features), dim=1))
            previous = frame
            yield features

    def _picture(self, frame: Tensor, features: Tensor) -> Tensor:
        z = F.leaky_relu(self.fusion(features), SLOPE)
        for upsample in (self.upsample1, self.upsample2):
            z = F.leaky_relu(F.pixel_shuffle(upsample(z), 2), SLOPE)
        z = self.conv_last(F.leaky_relu(self.conv_hr(z), SLOPE))
        return z + F.interpolate(frame, scale_factor=SCALE, mode="bilinear", align_corners=False)


class SpyNet(nn.Module):
    """Optical flow from coarse to fine: each level adds what the one before has left over."""

    def __init__(self) -> None:
        super().__init__()
        self.basic_module = nn.ModuleList(Level() for _ in range(LEVELS))
        # of ImageNet's red, green, blue, which the weights were trained with
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406])[None, :, None, None])
        self.register_buffer("std", torch.tensor([0.229, 0.224, 0.225])[None, :, None, None])

    def forward(self, frame: Tensor, other: Tensor) -> Tensor:
        """Where the content of each pixel of the frame is in the other: (n, 2, h, w)."""
        height, width = frame.shape[-2:]
        coarsest = 2 ** (LEVELS - 1)
        size = [side + -side % coarsest for side in (height, width)]
        pyramids = [self._pyramid(_resized(one, size)) for one in (frame, other)]
        coarse = [side // coarsest for side in size]
        flow = frame.new_zeros(len(frame), 2, *coarse)
        for number, (level, a, b) in enumerate(zip(self.basic_module, *pyramids, strict=True)):
            if number:
                flow = 2 * F.interpolate(flow, scale_factor=2, mode="bilinear", align_corners=True)
            flow = flow + level(torch.cat((a, warp(b, flow, "border"), flow), dim=1))
        scale = frame.new_tensor([width / size[1], height / size[0]])
        return _resized(flow, [height, width]) * scale[:, None, None]

    def _pyramid(self, frame: Tensor) -> list[Tensor]:
        """From the coarsest to the finest."""
        levels = [(frame - cast(Tensor, self.mean)) / cast(Tensor, self.std)]
        for _ in range(LEVELS - 1):
            levels.append(F.avg_pool2d(levels[-1], 2))
        return levels[::-1]


class Level(nn.Module):
    """Five convolutions of 7x7: (n, 8, h, w), two pictures and a flow, to (n, 2, h, w)."""

    def __init__(self) -> None:
        super().__init__()
        convs = [nn.Conv2d(a, b, 7, padding=3) for a, b in pairwise(CHANNELS)]
        self.basic_module = nn.Sequential(*(nn.Sequential(OrderedDict(conv=c)) for c in convs))

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        for number, conv in enumerate(self.basic_module):
            x = conv(F.relu(x) if number else x)
        return x


class Body(nn.Module):
    """A convolution and 20 residual blocks: (n, inputs, h, w) to (n, 64, h, w)."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        blocks = nn.Sequential(*(ResidualBlock() for _ in range(BLOCKS)))
        first = nn.Conv2d(inputs, FEATURES, 3, padding=1)
        self.main = nn.Sequential(first, nn.LeakyReLU(SLOPE), blocks)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return self.main(x)


def warp(x: Tensor, flow: Tensor, padding: str = "zeros") -> Tensor:
    """Fetch to each place what is that much further, bilinear: (n, c, h, w) in and out.

    Args:
        x: Pictures or features.
        flow: (n, 2, h, w).
        padding: What lies outside: `zeros`, or `border` for the nearest pixel.
    """
    height, width = x.shape[-2:]
    columns = torch.arange(width, device=x.device) + flow[:, 0]
    rows = torch.arange(height, device=x.device)[:, None] + flow[:, 1]
    # grid_sample counts from the centre of the first pixel, -1, to that of the last, 1
    across = 2 * columns / max(width - 1, 1) - 1
    down = 2 * rows / max(height - 1, 1) - 1
    grid = torch.stack((across, down), dim=-1)
    return F.grid_sample(x, grid, mode="bilinear", padding_mode=padding, align_corners=True)


def read(path: Path) -> dict[str, Tensor]:
    """The weights in a file of this network; nothing if it is a file of anything else.

    Args:
        path: `.safetensors`, or what `torch.save` wrote: a state dict, bare or as MMEditing's
            checkpoints have it, where the averaged generator is taken before the plain one. No
            code of the file is run.
    """
    try:
        content = foreign.load(path, [prefix + MARK for prefix in PREFIXES])
    except (WeightsError, OSError):  # whoever asked has a better message
        return {}
    for name in ("state_dict", "params_ema", "params"):
        if isinstance(content, dict) and name in content:
            content = cast(object, content[name])
            break
    if not isinstance(content, dict):
        return {}
    stored = cast(dict[str, Tensor], content)
    for prefix in PREFIXES:
        if prefix + MARK in stored:
            names = [name for name in stored if name.startswith(prefix)]
            return {name.removeprefix(prefix): stored[name] for name in names}
    return {}


def _upsampling() -> nn.Sequential:
    conv = nn.Conv2d(FEATURES, 4 * FEATURES, 3, padding=1)
    return nn.Sequential(OrderedDict(upsample_conv=conv))


def _resized(x: Tensor, size: list[int]) -> Tensor:
    return F.interpolate(x, size, mode="bilinear", align_corners=False)


def _shapes(state: dict[str, Tensor]) -> weights.Shapes:
    return {name: tuple(value.shape) for name, value in state.items()}
