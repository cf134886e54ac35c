"""What runs the network: one file a runtime, behind one small protocol.

Engines know nothing of VapourSynth, scenes or requests. An engine is made for one frame size; it
must give the same bytes for the same arguments, whatever ran before and in whichever thread.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from vsanimesr.engines.protocol import Engine, Plane
from vsanimesr.errors import EngineError

__all__ = ["Engine", "Plane", "load"]


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
