"""What engines on a CPU that keep their state in maps (`maps.py`) have in common.

Letters: h, w rows and columns of a source frame; H, W the same after padding to multiples of 4.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vsanimesr.colour import Colour
from vsanimesr.engines.maps import Map, picture
from vsanimesr.engines.plane_colour import image_of, planes_of
from vsanimesr.engines.protocol import Plane, Setup
from vsanimesr.models import FEATURES, IMAGE, SCALE


@dataclass(frozen=True)
class State:
    """What a step leaves behind: `image` (48, H, W), folded, and `hidden` (64, H, W)."""

    image: Map
    hidden: Map


def new_state(setup: Setup, packed: int) -> State:
    """A state of zeros, with so many channels side by side."""
    size = setup.rows, setup.columns, packed
    return State(Map(IMAGE, *size), Map(FEATURES, *size))


def source_bytes(setup: Setup) -> int:
    """Memory of a source."""
    return 3 * (setup.rows + 2) * (setup.columns + 2) * 4


def state_bytes(setup: Setup) -> int:
    """Memory of a state, the maps' borders counted."""
    return (IMAGE + FEATURES) * (setup.rows + 2) * (setup.columns + 2) * 4


def advice(setup: Setup) -> str:
    """What is said when memory runs out."""
    return (
        f"out of memory on cpu at {setup.width}x{setup.height}; lower cache=, close other "
        "programs that use the device, use backend='torch', which can compute in strips, or "
        "upscale a smaller clip"
    )


def upload(planes: Sequence[Plane], setup: Setup, colour: Colour) -> np.ndarray:
    """A source (3, H + 2, W + 2) out of a frame's planes: RGB in [0, 1], its edges repeated."""
    image = image_of(planes, setup.source, colour)
    below, right = setup.rows - setup.height, setup.columns - setup.width
    return np.pad(image, ((0, 0), (1, 1 + below), (1, 1 + right)), mode="edge")


def write(state: State, planes: Sequence[Plane], setup: Setup, colour: Colour) -> None:
    """Write a state's picture into a frame's planes."""
    rgb = picture(state.image)[:, : SCALE * setup.height, : SCALE * setup.width]
    planes_of(rgb, setup.target, colour, planes, dither=setup.dither)
