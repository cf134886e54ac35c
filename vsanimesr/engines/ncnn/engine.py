"""The network on ncnn: any CPU, in float32 by Winograd's method. No torch, no onnx.

Letters: h, w rows and columns of a source frame; H, W the same after padding to multiples of 4.
"""

from collections.abc import Mapping, Sequence

import ncnn
import numpy as np

from vsanimesr.colour import Colour
from vsanimesr.engines import mapped
from vsanimesr.engines.mapped import State
from vsanimesr.engines.memory import advising
from vsanimesr.engines.ncnn.layers import Layers
from vsanimesr.engines.ncnn.maps import pack
from vsanimesr.engines.ncnn.step import BandedStep
from vsanimesr.engines.protocol import Plane, Setup
from vsanimesr.engines.workers import Workers, cores
from vsanimesr.errors import EngineError

PRECISIONS = ("fp32",)


class NcnnEngine:
    """Sources are arrays (3, H + 2, W + 2), RGB in [0, 1] with their edges repeated."""

    overlaps = False

    def __init__(self, weights: Mapping[str, np.ndarray], setup: Setup) -> None:
        """Load the network. The device is `auto` or `cpu`, precisions are `PRECISIONS`.

        Raises:
            EngineError: Device or precision is not to be had, or memory ran out.
        """
        if setup.device not in ("auto", "cpu"):
            raise EngineError(f"device={setup.device}, but backend=ncnn runs on the cpu only")
        if setup.precision not in ("auto", *PRECISIONS):
            raise EngineError(
                f"precision={setup.precision} is not offered by backend=ncnn: use "
                f"{' or '.join(PRECISIONS)}"
            )
        self._setup = setup
        self.source_bytes = mapped.source_bytes(setup)
        self.state_bytes = mapped.state_bytes(setup)
        self.description = f"ncnn {ncnn.__version__}, cpu, fp32"
        self._advice = mapped.advice(setup)
        with advising(self._advice):
            self._workers = Workers(cores())
            self._step = BandedStep(Layers(weights), self._workers, setup.rows, setup.columns)
            self._zero = mapped.new_state(self._setup, pack())

    def upload(self, planes: Sequence[Plane], colour: Colour) -> np.ndarray:
        """See `Engine.upload`."""
        with advising(self._advice):
            return mapped.upload(planes, self._setup, colour)

    def step(
        self, previous: np.ndarray, current: np.ndarray, following: np.ndarray, state: State | None
    ) -> State:
        """See `Engine.step`."""
        state = state or self._zero
        with advising(self._advice):
            made = mapped.new_state(self._setup, pack())
            window = (previous, current, following)
            self._step(window, state.image, state.hidden, (made.image, made.hidden))
            return made

    def write(self, state: State, planes: Sequence[Plane], colour: Colour) -> None:
        """See `Engine.write`."""
        with advising(self._advice):
            mapped.write(state, planes, self._setup, colour)

    def close(self) -> None:
        """See `Engine.close`."""
        self._workers.close()
        del self._step, self._workers, self._zero
