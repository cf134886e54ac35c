"""The protocol that every engine follows."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

type Plane = np.ndarray[tuple[int, int], np.dtype[Any]]
"""One colour plane: (rows, columns), float32 or float16; rows may be padded (strided)."""


class Engine[Source, State](Protocol):
    """One network on one device for one frame size.

    `Source` is an uploaded source frame and `State` what a step leaves behind: the image it made,
    which is the next step's feedback, and the hidden state. Both are values: they are never
    changed once made, and keeping one is keeping a reference.
    """

    source_bytes: int
    """Memory that one `Source` takes on the device."""
    state_bytes: int
    """Memory that one `State` takes on the device."""
    description: str
    """Runtime, device and precision, for people."""

    def upload(self, planes: Sequence[Plane]) -> Source:
        """Take R, G, B planes (h, w), nominal range [0, 1], and clamp them to it.

        The planes are only valid during the call.
        """
        ...

    def step(
        self, previous: Source, current: Source, following: Source, state: State | None
    ) -> State:
        """Run the network once; `state` None is the zero state."""
        ...

    def write(self, state: State, planes: Sequence[Plane]) -> None:
        """Write the image of a state, not clamped, into R, G, B planes (4h, 4w)."""
        ...

    def close(self) -> None:
        """Give the device's memory back. The engine cannot be used any more."""
        ...
