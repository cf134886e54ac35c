"""Measures that need no original but weights that one must bring: MANIQA, HyperIQA.

They are computed by pyiqa, which is imported when first needed: it takes seconds.
"""

import contextlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast
from unittest import mock

import msgspec
import torch
from torch import Tensor

from vsanimesr import weights
from vsanimesr.errors import WeightsError
from vsanimesr.training import foreign

type Measure = Callable[[Tensor], Tensor]
"""From (n, 3, h, w), RGB in [0, 1], to (n,)."""


class Brought(msgspec.Struct, frozen=True, kw_only=True):
    """A network of pyiqa whose weights are published where no package index has them."""

    name: str
    metric: str
    """Its name in pyiqa."""
    file: str
    """Name that its authors gave the weights."""


MANIQA = Brought(name="MANIQA", metric="maniqa-pipal", file="MANIQA_PIPAL-ae6d356b.pth")
HYPERIQA = Brought(
    name="HyperIQA", metric="hyperiqa", file="HyperIQA-resnet50-koniq10k-c96c41b1.pth"
)


def placed(brought: Brought, device: torch.device) -> Measure:
    """A network whose weights lie in the user's cache.

    Raises:
        WeightsError: They are missing, or cannot be used.
    """
    path = weights.cache() / brought.file
    if not path.is_file():
        raise WeightsError(f"weights missing, put {brought.file} at {path}")
    return load(brought, path, device)


def load(brought: Brought, path: Path, device: torch.device) -> Measure:
    """A network of pyiqa with the weights of a file. No code of the file is run.

    Its crops are drawn from a fixed seed: the same picture always has the same score.

    Raises:
        WeightsError: The file cannot be used.
    """
    import pyiqa
    import timm

    try:
        content = cast(dict[str, Any], foreign.load(path))
        tensors = content.get("params", content)
        # The constructors fetch a backbone that the file's weights would only replace.
        with (
            mock.patch.object(timm, "create_model", _untrained(timm.create_model)),
            contextlib.redirect_stdout(io.StringIO()),
        ):
            metric = pyiqa.create_metric(brought.metric, device=device, pretrained=False)
        tensors = {name.removeprefix("module."): value for name, value in tensors.items()}
        metric.net.load_state_dict(tensors)
    except Exception as error:  # a damaged or foreign file can fail in any way
        raise WeightsError(f"{path}: not weights of {brought.name} for pyiqa ({error})") from error

    def measure(images: Tensor) -> Tensor:
        return torch.stack([metric(image[None].float()).flatten()[0].cpu() for image in images])

    return measure


def _untrained(create: Callable[..., torch.nn.Module]) -> Callable[..., torch.nn.Module]:
    def make(*args: object, **options: object) -> torch.nn.Module:
        return create(*args, **options | {"pretrained": False})

    return make
