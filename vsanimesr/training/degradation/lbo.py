"""The learnable basic operator: a small network that degrades a picture as a real video did."""

import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Self, cast

import numpy as np
import safetensors.numpy
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vsanimesr import weights
from vsanimesr.errors import OptionError, WeightsError

FACTOR = 2
"""How much smaller a picture becomes."""
FEATURES = 64
"""Channels between the convolutions."""
SHAPES = {
    "main.0.weight": (FEATURES, 3 * FACTOR**2, 3, 3),
    "main.0.bias": (FEATURES,),
    "main.2.weight": (FEATURES, FEATURES, 3, 3),
    "main.2.bias": (FEATURES,),
    "main.4.weight": (3, FEATURES, 3, 3),
    "main.4.bias": (3,),
}
"""Of the tensors in a file, by their names."""
SLOPE = 0.2  # of the leaky ReLUs


class Lbo(nn.Module):
    """Three 3x3 convolutions on a picture folded by 2 (the paper, section 3 and appendix).

    The state dict has the released names, `main.{0,2,4}.{weight,bias}`: 45,635 numbers.
    """

    def __init__(self) -> None:
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv2d(3 * FACTOR**2, FEATURES, 3, padding=1),
            nn.LeakyReLU(SLOPE, inplace=True),
            nn.Conv2d(FEATURES, FEATURES, 3, padding=1),
            nn.LeakyReLU(SLOPE, inplace=True),
            nn.Conv2d(FEATURES, 3, 3, padding=1),
        )
        for layer in self.main:
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight)  # as the released code starts
                nn.init.zeros_(cast(Tensor, layer.bias))

    def forward(self, images: Tensor) -> Tensor:
        """Degrade pictures and halve them.

        Args:
            images: (n, 3, 2h, 2w), RGB in [0, 1].

        Returns:
            (n, 3, h, w), RGB, not clamped.

        Raises:
            OptionError: An odd height or width.
        """
        height, width = images.shape[-2:]
        if height % FACTOR or width % FACTOR:
            raise OptionError(f"LBO: pictures of {width}x{height}, wanted even width and height")
        return self.main(F.pixel_unshuffle(images, FACTOR))

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a trained operator: on the CPU, to be run, not trained. No code of the file is run.

        Args:
            path: `.safetensors`, or a `.pth` as the released code writes them.

        Raises:
            WeightsError: Missing, damaged, made for another network, or not finite.
        """
        tensors = weights.read(path, _check)
        lbo = cls()
        lbo.load_state_dict({name: torch.from_numpy(np.array(a)) for name, a in tensors.items()})
        return lbo.requires_grad_(False).eval()

    def save(self, path: Path) -> None:
        """Write the weights as `.safetensors`, whole or not at all.

        Raises:
            WeightsError: The file cannot be written.
        """
        arrays = {name: value.cpu().numpy() for name, value in self.state_dict().items()}
        part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
        try:
            part.write_bytes(safetensors.numpy.save(arrays))
            os.replace(part, path)  # noqa: PTH105 - says better that it replaces
        except OSError as error:
            part.unlink(missing_ok=True)
            raise WeightsError(f"{path}: cannot be written ({error})") from error


def load_pool(folder: Path) -> list[Lbo]:
    """The operators of a folder, every `.safetensors` and `.pth`, ordered by file name.

    Raises:
        WeightsError: There is none, or one cannot be used.
    """
    found = sorted(path for path in folder.glob("*") if path.suffix in (".safetensors", ".pth"))
    if not found:
        raise WeightsError(
            f"{folder}: holds no learnable basic operator, wanted .safetensors or .pth files; "
            "train one first, or use a recipe without them"
        )
    return [Lbo.load(path) for path in found]


def _check(shapes: Mapping[str, tuple[int, ...]]) -> None:
    try:
        weights.compare(shapes, SHAPES)
    except WeightsError as error:
        raise WeightsError(f"not a learnable basic operator: {error}") from error
