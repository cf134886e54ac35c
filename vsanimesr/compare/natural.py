"""NIQE of pictures, by the trainer's measure, where its parts are installed."""

from __future__ import annotations

import importlib.util
import math
from typing import TYPE_CHECKING

from vsanimesr.errors import CompareError

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np


def niqe() -> Callable[[np.ndarray], float | None]:
    """The measure, of an (h, w, 3) uint8 picture; None where a picture has none: it is too small.

    Raises:
        CompareError: Something is not installed.
        WeightsError: What it compares with cannot be fetched.
    """
    for name in ("torch", "pyiqa"):
        if importlib.util.find_spec(name) is None:
            raise CompareError(
                f"compare: --niqe needs {name}, which is missing; install it: "
                "pip install 'vapoursynth-animesr[torch,iqa]', or leave --niqe away"
            )
    import torch

    from vsanimesr.training.measures import pristine

    measure = pristine.niqe()

    def score(picture: np.ndarray) -> float | None:
        image = torch.from_numpy(picture.copy()).permute(2, 0, 1)[None].double() / 255
        value = float(measure(image))
        return value if math.isfinite(value) else None

    return score
