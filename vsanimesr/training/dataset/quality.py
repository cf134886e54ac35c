"""How good single frames look. More is better in all measures here."""

import importlib.util
import math
import warnings
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
import torch

from vsanimesr.errors import TrainingError, WeightsError
from vsanimesr.training.pictures import Picture

INSTALL = "pip install 'vapoursynth-animesr[iqa]', or take 'sharpness'"


class QualityMeasure(Protocol):
    """A measure that needs no original."""

    def __call__(self, picture: Picture, /) -> float:
        """The score of (h, w, 3); more is better, NaN where there is nothing to judge."""
        ...


def load(method: str, file: Path | None = None) -> QualityMeasure:
    """A measure by its name in the recipe.

    Raises:
        TrainingError: It cannot be had here; says what is missing.
    """
    if method == "sharpness":
        return sharpness
    if importlib.util.find_spec("pyiqa") is None:
        raise TrainingError(f"quality: {method!r} needs pyiqa, which is not installed; {INSTALL}")
    return niqe() if method == "niqe" else hyperiqa(file)


def sharpness(picture: Picture) -> float:
    """Spread of the Laplacian of the grey picture, 8 bits (Pech-Pacheco et al., ICPR 2000).

    It takes noise and blocks for sharpness: for sources that have neither.
    """
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    return float(cv2.Laplacian(grey, cv2.CV_32F).std())


def niqe() -> QualityMeasure:
    """The negative of NIQE (`evaluate.pristine`), whose model the package index has.

    Raises:
        TrainingError: The model is not there and cannot be fetched.
    """
    from vsanimesr.training.measures import pristine

    try:
        measure = pristine.niqe()
    except WeightsError as error:
        raise TrainingError(f"quality: {error}; or take 'sharpness'") from error

    def score(picture: Picture) -> float:
        try:
            with warnings.catch_warnings(action="ignore"):
                return -float(measure(_tensor(picture)))
        except torch.linalg.LinAlgError:  # pyright: ignore[reportPrivateImportUsage]
            return math.nan  # hardly a block of the picture is not flat

    return score


def hyperiqa(file: Path | None) -> QualityMeasure:
    """HyperIQA (Su et al., CVPR 2020), the paper's, by pyiqa, on the CPU; of 0 to 100.

    Args:
        file: pyiqa's weights. No code of the file is run.

    Raises:
        TrainingError: The file is missing or holds something else.
    """
    from vsanimesr.training.measures import judges

    if file is None or not file.is_file():
        raise TrainingError(
            f"quality: no weights of HyperIQA at {file}; put pyiqa's {judges.HYPERIQA.file} "
            "there, or take 'niqe'"
        )
    try:
        measure = judges.load(judges.HYPERIQA, file, torch.device("cpu"))
    except WeightsError as error:
        raise TrainingError(f"quality: {error}") from error
    return lambda picture: 100 * float(measure(_tensor(picture)))  # pyiqa: 0 to 1


def flatness(picture: Picture) -> float:
    """Share of the pixels that have the most frequent of the 256 grey levels."""
    grey = np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), np.uint8)
    return float(np.bincount(grey.ravel(), minlength=256).max() / grey.size)


def _tensor(picture: Picture) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1)[None].float() / 255
