"""What runs the network: one file a runtime, behind one small protocol.

Engines know nothing of VapourSynth, scenes or requests. An engine is made for one frame size; it
must give the same bytes for the same arguments, whatever ran before and in whichever thread.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from vsanimesr.errors import EngineError

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


def load(
    backend: str,
    weights: Mapping[str, np.ndarray],
    *,
    width: int,
    height: int,
    device: str,
    precision: str,
    half: bool,
) -> Engine[Any, Any]:
    """Make an engine.

    Args:
        backend: `auto` or `torch`.
        weights: The network's tensors by their released names, float32.
        width: Columns of a source frame, 1 or more.
        height: Rows of a source frame, 1 or more.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        precision: `auto`, `fp32`, `fp16` or `bf16`.
        half: The clip is in half precision; `auto` then means fp16 on a GPU.

    Raises:
        EngineError: The runtime, the device or the precision is not to be had.
    """
    if backend not in ("auto", "torch"):
        raise EngineError(f"backend={backend}, wanted auto or torch")
    try:
        from vsanimesr.engines.torch_engine import TorchEngine
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise EngineError(
            "backend=torch, but torch is not installed: pip install 'vapoursynth-animesr[torch]'"
        ) from error
    return TorchEngine(
        weights, width=width, height=height, device=device, precision=precision, half=half
    )
