"""What an engine is made for, and the protocol that every engine follows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from vsanimesr.colour import RGBS, Colour, Format
from vsanimesr.models import ALIGNMENT

type Plane = np.ndarray[tuple[int, int], np.dtype[Any]]
"""One plane: (rows, columns) of uint8, uint16, float16 or float32; rows may be padded (strided)."""


@dataclass(frozen=True, kw_only=True)
class Setup:
    """What an engine is made for: one frame size, one source and one target format, one device."""

    width: int
    """Columns of a source frame, 1 or more."""
    height: int
    """Rows of a source frame, 1 or more."""
    source: Format = RGBS
    """Format of the planes that are uploaded."""
    target: Format = RGBS
    """Format of the planes that are written."""
    device: str = "auto"
    """As `Options.device` has it; each backend says what it offers."""
    precision: str = "auto"
    """As `Options.precision` has it; each backend says what it offers."""
    dither: bool = False
    """Ordered dithering where integers are written."""

    @property
    def columns(self) -> int:
        """Columns of what the network sees: `width` padded by replication."""
        return self.width + -self.width % ALIGNMENT

    @property
    def rows(self) -> int:
        """Rows of what the network sees: `height` padded by replication."""
        return self.height + -self.height % ALIGNMENT


class Engine[Source, State](Protocol):
    """One network, set up once (`Setup`).

    `Source` is an uploaded source frame and `State` what a step leaves behind: the image it made,
    which is the next step's feedback, and the hidden state. Both are values: they are never
    changed once made, and keeping one is keeping a reference.
    """

    source_bytes: int
    """Memory that one `Source` takes on the device."""
    state_bytes: int
    """Memory that one `State` takes on the device."""
    overlaps: bool
    """`upload` and `step` return before the device is done, so that it pays to `write` one image
    on one thread while another runs the next step. Never two of `upload` and `step` at a time."""
    description: str
    """Runtime, device and precision, for people."""

    def upload(self, planes: Sequence[Plane], colour: Colour) -> Source:
        """Take the planes of a source frame as they lie; what lies outside [0, 1] is clamped.

        A sample that is NaN counts as 0, for it would spread through the recurrence. The planes are
        only valid during the call.
        """
        ...

    def step(
        self, previous: Source, current: Source, following: Source, state: State | None
    ) -> State:
        """Run the network once; `state` None is the zero state."""
        ...

    def write(self, state: State, planes: Sequence[Plane], colour: Colour) -> None:
        """Write the image of a state into the planes of an output frame of this colour.

        Integers are rounded and clamped, floats are not clamped.
        """
        ...

    def close(self) -> None:
        """Give the device's memory back. The engine cannot be used any more."""
        ...
