"""The network on this package's own kernels: any CPU of today, in float32 by Winograd's method.

Needs nothing but numpy. Letters: h, w rows and columns of a source frame; H, W the same after
padding to multiples of 4.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vsanimesr.colour import Colour
from vsanimesr.engines.maps import Map, picture
from vsanimesr.engines.memory import advising
from vsanimesr.engines.native.library import PACK, Kernels
from vsanimesr.engines.native.step import NativeStep
from vsanimesr.engines.plane_colour import image_of, planes_of
from vsanimesr.engines.processor import has_avx512
from vsanimesr.engines.protocol import Plane, Setup
from vsanimesr.engines.workers import Workers, cores
from vsanimesr.errors import EngineError
from vsanimesr.models import FEATURES, IMAGE, SCALE

PRECISIONS = ("fp32",)


@dataclass(frozen=True)
class State:
    """What a step leaves behind: `image` (48, H, W), folded, and `hidden` (64, H, W)."""

    image: Map
    hidden: Map


class NativeEngine:
    """Sources are arrays (3, H + 2, W + 2), RGB in [0, 1] with their edges repeated."""

    overlaps = False

    def __init__(self, weights: Mapping[str, np.ndarray], setup: Setup) -> None:
        """Load the network. The device is `auto` or `cpu`, precisions are `PRECISIONS`.

        Raises:
            EngineError: The kernels, the device or the precision are not to be had, or memory ran
                out.
        """
        if setup.device not in ("auto", "cpu"):
            raise EngineError(f"device={setup.device}, but backend=native runs on the cpu only")
        if setup.precision not in ("auto", *PRECISIONS):
            raise EngineError(
                f"precision={setup.precision} is not offered by backend=native: use "
                f"{' or '.join(PRECISIONS)}"
            )
        self._setup = setup
        self.source_bytes = 3 * (setup.rows + 2) * (setup.columns + 2) * 4
        self.state_bytes = (IMAGE + FEATURES) * (setup.rows + 2) * (setup.columns + 2) * 4
        self.description = f"{runtime()}, fp32"
        self._advice = (
            f"out of memory on cpu at {setup.width}x{setup.height}; lower cache=, close other "
            "programs that use the device, use backend='torch', which can compute in strips, or "
            "upscale a smaller clip"
        )
        kernels = Kernels()
        with advising(self._advice):
            self._workers = Workers(cores())
            self._step = NativeStep(weights, kernels, self._workers, setup.rows, setup.columns)
            self._zero = self._new_state()

    def upload(self, planes: Sequence[Plane], colour: Colour) -> np.ndarray:
        """See `Engine.upload`."""
        setup = self._setup
        with advising(self._advice):
            image = image_of(planes, setup.source, colour)
            below, right = setup.rows - setup.height, setup.columns - setup.width
            return np.pad(image, ((0, 0), (1, 1 + below), (1, 1 + right)), mode="edge")

    def step(
        self, previous: np.ndarray, current: np.ndarray, following: np.ndarray, state: State | None
    ) -> State:
        """See `Engine.step`."""
        state = state or self._zero
        with advising(self._advice):
            made = self._new_state()
            window = (previous, current, following)
            self._step(window, state.image, state.hidden, (made.image, made.hidden))
            return made

    def write(self, state: State, planes: Sequence[Plane], colour: Colour) -> None:
        """See `Engine.write`."""
        setup = self._setup
        with advising(self._advice):
            rgb = picture(state.image)[:, : SCALE * setup.height, : SCALE * setup.width]
            planes_of(rgb, setup.target, colour, planes, dither=setup.dither)

    def close(self) -> None:
        """See `Engine.close`."""
        self._workers.close()
        del self._step, self._workers, self._zero

    def _new_state(self) -> State:
        size = self._setup.rows, self._setup.columns, PACK
        return State(Map(IMAGE, *size), Map(FEATURES, *size))


def runtime() -> str:
    """What runs the network, for people."""
    return f"native, cpu{' with AVX512' if has_avx512() else ''}"
