"""CLIP-IQA: whether a picture is nearer to the words "Good image" or "bad image", and the like.

Wang et al., Exploring CLIP for Assessing the Look and Feel of Images, AAAI 2023, equation 2, as
pyiqa computes it: the mean over five pairs of words, CLIP's ResNet-50 without embedded positions,
so that pictures keep their size. The weights are OpenAI's, and one must bring them.
"""

import contextlib
import hashlib
import importlib
import importlib.util
import io
import sys
import warnings
from collections.abc import Callable, Generator
from types import ModuleType

import torch
from torch import Tensor

from vsanimesr import weights
from vsanimesr.errors import WeightsError

FILE = "RN50.pt"
"""OpenAI's name of the weights; 244 MB."""
SHA256 = "afeb0e10f9e5a86da6080e35cf09123aca3b358a0c3e3b6c78a7b63bc04b6762"
"""Of the file, as its address says it. A program in TorchScript: no other file is looked into."""


def clipiqa(device: torch.device) -> Callable[[Tensor], Tensor]:
    """The measure: (n, 3, h, w), RGB in [0, 1], to (n,) in [0, 1]; more is better.

    Raises:
        WeightsError: The weights are missing, or others.
    """
    path = weights.cache() / FILE
    if not path.is_file():
        raise WeightsError(f"weights missing, put {FILE} (sha256 {SHA256}) at {path}")
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != SHA256:
        raise WeightsError(f"{path}: sha256 {found}, wanted {SHA256}; remove it")
    import pyiqa

    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), _old_setuptools():
        warnings.simplefilter("ignore")  # TorchScript is no longer cared for
        metric = pyiqa.create_metric("clipiqa", device=device, backbone=str(path))

    @torch.no_grad()
    def measure(images: Tensor) -> Tensor:
        return torch.stack([metric(image[None].float()).flatten()[0].cpu() for image in images])

    return measure


@contextlib.contextmanager
def _old_setuptools() -> Generator[None]:
    """With `pkg_resources`, where openai-clip seeks `packaging`; newer setuptools have none."""
    if importlib.util.find_spec("pkg_resources"):
        yield
        return
    stand_in = ModuleType("pkg_resources")
    importlib.import_module("packaging.version")
    stand_in.__dict__["packaging"] = sys.modules["packaging"]
    sys.modules["pkg_resources"] = stand_in
    try:
        yield
    finally:
        del sys.modules["pkg_resources"]
