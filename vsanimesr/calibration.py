"""What int8 must know of a network: how large the values are that its convolutions read.

The numbers of the released models lie in `calibrations/`; `benchmarks/calibrate.py` made them.
Those of other weights are tensors of their file, which `vsanimesr calibrate` writes.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from vsanimesr.errors import WeightsError
from vsanimesr.models import RELEASES, parameter_shapes, quantised
from vsanimesr.weights import CALIBRATION, digest

KEPT = 99.999
"""Percentile of the values between `low` and `high`; the few beyond are clamped. Of all values,
99.99 % and 100 % cost 1 to 4 dB: `docs/int8.md`."""
SHARE = 0.5
"""How much of a channel's range its scale takes from the activations; the weights take the rest
(the alpha of SmoothQuant, arXiv 2211.10438, section 4)."""
LEAST = 1e-3
"""The values of a channel count as at least so large: some channels are always 0."""

FOLDER = Path(__file__).with_name("calibrations")


@dataclass(frozen=True)
class Inputs:
    """The values that a convolution reads, each channel divided by its scale."""

    scale: np.ndarray
    """(channels,) float32, more than 0."""
    low: float
    """0 or less."""
    high: float
    """More than 0."""

    @classmethod
    def measured(cls, weight: np.ndarray, samples: np.ndarray) -> Self:
        """From some values.

        Args:
            weight: The convolution's, (outputs, channels, 3, 3).
            samples: (any number, channels).
        """
        largest = np.maximum(np.abs(samples).max(axis=0), LEAST)
        weight = np.abs(weight)
        share = (weight / weight.max(axis=(1, 2, 3), keepdims=True)).max(axis=(0, 2, 3))
        scale = largest**SHARE / np.maximum(share, LEAST) ** (1 - SHARE)
        scale /= np.exp(np.log(scale).mean())
        low, high = np.percentile(samples / scale, (100 - KEPT, KEPT))
        return cls(scale.astype(np.float32), min(float(low), 0.0), max(float(high), LEAST))


type Calibration = dict[str, Inputs]
"""By the convolution's name, of all of `models.quantised`."""


def find(weights: Mapping[str, np.ndarray]) -> Calibration:
    """The calibration of these weights: their own, or that of the released model they are.

    Raises:
        WeightsError: They have none, or one of values that cannot be.
    """
    if any(name.startswith(CALIBRATION) for name in weights):
        return {name: _stored(weights, name) for name in quantised()}
    known = digest({name: weights[name] for name in parameter_shapes()})
    for release in RELEASES.values():
        path = FOLDER / f"{release.name}.json"
        if release.digest == known and path.is_file():
            return parse(path.read_text("utf-8"))
    raise WeightsError(
        "precision=int8, but these weights are not calibrated: run `vsanimesr calibrate MODEL "
        "CLIP OUT.safetensors` with a clip as you upscale them, and take model=OUT.safetensors"
    )


def _stored(weights: Mapping[str, np.ndarray], name: str) -> Inputs:
    scale, ends = (weights[f"{CALIBRATION}{name}.{part}"] for part in ("scale", "range"))
    low, high = (float(x) for x in ends)
    again = "calibrate the weights again"
    if not (scale > 0).all():
        raise WeightsError(f"{CALIBRATION}{name}.scale: wanted values of more than 0; {again}")
    if not low <= 0 < high:
        raise WeightsError(
            f"{CALIBRATION}{name}.range: {low:g} to {high:g}, wanted 0 or less to more than 0; "
            f"{again}"
        )
    return Inputs(scale, low, high)


def tensors(calibration: Calibration) -> dict[str, np.ndarray]:
    """As they lie in a file beside the weights."""
    found: dict[str, np.ndarray] = {}
    for name, inputs in calibration.items():
        found[f"{CALIBRATION}{name}.scale"] = inputs.scale
        found[f"{CALIBRATION}{name}.range"] = np.array((inputs.low, inputs.high), np.float32)
    return found


def text(calibration: Calibration) -> str:
    """As JSON, a convolution a line, numbers with four digits."""

    def rounded(values: Any) -> list[float]:  # noqa: ANN401
        return [float(f"{x:.4g}") for x in values]

    lines = (
        f"{json.dumps(name)}: "
        + json.dumps({"range": rounded((x.low, x.high)), "scale": rounded(x.scale)})
        for name, x in calibration.items()
    )
    return "{\n" + ",\n".join(lines) + "\n}\n"


def parse(said: str) -> Calibration:
    """What `text` wrote."""
    return {
        name: Inputs(np.array(x["scale"], np.float32), *x["range"])
        for name, x in json.loads(said).items()
    }
