"""What runs the network: one module or folder a runtime, behind one small protocol.

Engines know nothing of VapourSynth, scenes or requests. An engine is made for one frame size; it
must give the same bytes for the same arguments, whatever ran before and in whichever thread.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from vsanimesr.engines.backends import BACKENDS, engine_class
from vsanimesr.engines.choice import chosen
from vsanimesr.engines.protocol import Engine, Plane, Setup
from vsanimesr.errors import EngineError
from vsanimesr.strips import AUTO

__all__ = ["BACKENDS", "Engine", "Plane", "Setup", "load"]


def load(
    backend: str,
    weights: Mapping[str, np.ndarray],
    setup: Setup,
    *,
    providers: str = "",
    compile: bool = False,
    strips: int = AUTO,
    memory: int = 0,
    cache: int = 0,
) -> Engine[Any, Any]:
    """Make an engine.

    Args:
        backend: `auto` or one of `BACKENDS`.
        weights: The network's tensors by their released names, float32.
        setup: What it is made for.
        providers: Of ONNX Runtime, such as `cuda` or `tensorrt,cuda`; empty: the best at hand.
        compile: Have torch compile the step.
        strips: Strips of a step; -1 chooses by memory, 0 is the whole frame. Torch only.
        memory: Bytes of the device that strips are chosen for; 0: all it has.
        cache: Bytes that the caller will keep in sources and states.

    Raises:
        EngineError: The runtime, the device or the precision is not to be had, or an option that
            the backend does not have.
    """
    name = backend
    if "auto" in (backend, setup.precision):
        given = {"device": setup.device, "precision": setup.precision, "providers": providers}
        choice = chosen(backend=backend, compile=compile, strips=strips, **given)
        name, setup = choice.backend, replace(setup, precision=choice.precision)
    if name not in BACKENDS:
        raise EngineError(f"backend={name}, wanted one of auto, {', '.join(BACKENDS)}")
    own = BACKENDS[name].options
    for option, asked in {"providers": providers, "compile": compile, "strips": strips > 1}.items():
        if asked and option not in own:
            owners = [other for other, it in BACKENDS.items() if option in it.options]
            raise EngineError(
                f"{option}= is an option of backend={' and '.join(owners)}, and the backend is "
                f"{name}"
            )
    values = {"providers": providers, "compile": compile, "strips": strips, "memory": memory}
    values |= {"cache": cache}
    return engine_class(name)(weights, setup, **{o: x for o, x in values.items() if o in own})
