"""What runs the network: one file a runtime, behind one small protocol.

Engines know nothing of VapourSynth, scenes or requests. An engine is made for one frame size; it
must give the same bytes for the same arguments, whatever ran before and in whichever thread.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from vsanimesr.colour import RGBS, Format
from vsanimesr.engines.protocol import Engine, Plane
from vsanimesr.errors import EngineError
from vsanimesr.strips import AUTO

__all__ = ["Engine", "Plane", "load"]


def load(
    backend: str,
    weights: Mapping[str, np.ndarray],
    *,
    width: int,
    height: int,
    source: Format = RGBS,
    target: Format = RGBS,
    device: str,
    precision: str,
    dither: bool = False,
    compile: bool = False,
    strips: int = AUTO,
    memory: int = 0,
    cache: int = 0,
) -> Engine[Any, Any]:
    """Make an engine.

    Args:
        backend: `auto` or `torch`.
        weights: The network's tensors by their released names, float32.
        width: Columns of a source frame, 1 or more.
        height: Rows of a source frame, 1 or more.
        source: Format of the planes that are uploaded.
        target: Format of the planes that are written.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        precision: `auto`, `fp32`, `tf32`, `fp16` or `bf16`.
        dither: Ordered dithering where integers are written.
        compile: Have torch compile the step.
        strips: Strips of a step; -1 chooses by memory, 0 is the whole frame.
        memory: Bytes of the device that strips are chosen for; 0: all it has.
        cache: Bytes that the caller will keep in sources and states.

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
        weights,
        width=width,
        height=height,
        source=source,
        target=target,
        device=device,
        precision=precision,
        dither=dither,
        compile=compile,
        strips=strips,
        memory=memory,
        cache=cache,
    )
