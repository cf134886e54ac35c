"""The measures by name, and how each is had: what `evaluate` prints side by side."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Literal

import msgspec
import torch
from torch import Tensor

from vsanimesr.errors import WeightsError
from vsanimesr.training.measures import clipiqa, dists, fidelity, judges, lpips, pristine
from vsanimesr.training.networks import imagenet

type Against = Callable[[Tensor, Tensor], Tensor]
"""From pictures and originals, (n, 3, h, w) RGB in [0, 1], to (n,)."""
type Alone = Callable[[Tensor], Tensor]
"""From pictures alone."""


class Measure(msgspec.Struct, frozen=True):
    """A column of the report."""

    key: str
    title: str
    better: Literal["less", "more"]
    needs: Literal["original", "picture", "film", "film and original"]
    """`film`: frames one after the other, and their sources."""


MEASURES = (
    Measure("psnr_y", "PSNR-Y dB", "more", "original"),
    Measure("ssim_y", "SSIM-Y", "more", "original"),
    Measure("psnr", "PSNR-RGB dB", "more", "original"),
    Measure("ssim", "SSIM-RGB", "more", "original"),
    Measure("lpips_alexnet", "LPIPS AlexNet", "less", "original"),
    Measure("lpips_vgg16", "LPIPS VGG16", "less", "original"),
    Measure("dists", "DISTS", "less", "original"),
    Measure("niqe", "NIQE", "less", "picture"),
    Measure("maniqa", "MANIQA", "more", "picture"),
    Measure("hyperiqa", "HyperIQA", "more", "picture"),
    Measure("clipiqa", "CLIPIQA", "more", "picture"),
    Measure("warping", "warping error x1000", "less", "film"),
    Measure("boiling", "boiling", "less", "film"),
    Measure("boiling_original", "boiling, held by the original", "less", "film and original"),
)
"""In the order of the report; docs/measures.md says what each is."""
NAMES = tuple(measure.key for measure in MEASURES)


class Panel(msgspec.Struct, frozen=True, kw_only=True):
    """What judges pictures here."""

    device: torch.device
    against: dict[str, Against]
    alone: dict[str, Alone]
    missing: dict[str, str]
    """Why others are not there, and what to do."""


def panel(names: Iterable[str], device: torch.device) -> Panel:
    """Those of these measures that judge a picture, with their weights, which may be fetched.

    Args:
        names: Keys of `MEASURES`; those of films are passed over.
        device: Where networks judge.
    """
    found = Panel(device=device, against={}, alone={}, missing={})
    for measure in MEASURES:
        if measure.key not in names or measure.needs.startswith("film"):
            continue
        try:
            if measure.needs == "original":
                found.against[measure.key] = against(measure.key)
            else:
                found.alone[measure.key] = alone(measure.key, device)
        except WeightsError as error:
            found.missing[measure.key] = str(error)
        except ImportError as error:
            found.missing[measure.key] = (
                f"needs {error.name}; pip install 'vapoursynth-animesr[iqa]'"
            )
    return found


def against(name: str) -> Against:
    """A measure that needs an original; networks judge on the pictures' device.

    Raises:
        WeightsError: Its weights cannot be had.
    """
    match name:
        case "psnr":
            return fidelity.psnr
        case "ssim":
            return fidelity.ssim
        case "psnr_y":
            return fidelity.psnr_y
        case "ssim_y":
            return fidelity.ssim_y
        case "lpips_alexnet" | "lpips_vgg16":
            backbone: imagenet.Name = "alexnet" if name == "lpips_alexnet" else "vgg16"
            imagenet.load(backbone)
            return partial(lpips.lpips, backbone=backbone)
        case _:
            dists.channels()
            imagenet.load("vgg16")
            return dists.dists


def alone(name: str, device: torch.device) -> Alone:
    """A measure that needs no original.

    Raises:
        WeightsError: Its weights cannot be had.
        ImportError: pyiqa is not installed.
    """
    match name:
        case "niqe":
            return pristine.niqe()
        case "maniqa":
            return judges.placed(judges.MANIQA, device)
        case "hyperiqa":
            return judges.placed(judges.HYPERIQA, device)
        case _:
            return clipiqa.clipiqa(device)
