"""The network's step as an ONNX file, for other programs."""

import contextlib
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from vsanimesr import __version__, weights
from vsanimesr.errors import EngineError
from vsanimesr.models import ALIGNMENT, SCALE

PRECISIONS = ("fp32", "fp16")


def export(
    path: Path, tensors: Mapping[str, np.ndarray], *, precision: str, about: Mapping[str, str]
) -> None:
    """Write the graph of a step with its weights to one file, whole or not at all.

    The file's documentation says how to run it; its metadata tells the weights, the precision, the
    scale and what sizes must be multiples of.

    Args:
        path: The file, ending in .onnx. One that is there is replaced.
        tensors: The network's tensors by their released names, float32.
        precision: `fp32` or `fp16`, of weights, inputs and outputs.
        about: What else the metadata is to say of the weights, such as `title` and `licence`.

    Raises:
        EngineError: Another ending or precision, onnx is not installed, or the file cannot be
            written.
    """
    if path.suffix != ".onnx":
        raise EngineError(f"{path}: wanted the name of a file that ends in .onnx")
    if precision not in PRECISIONS:
        raise EngineError(f"precision={precision}, wanted one of {', '.join(PRECISIONS)}")
    try:
        import onnx

        from vsanimesr.engines.onnx.graph import step_graph
    except ModuleNotFoundError as error:
        if error.name != "onnx":
            raise
        raise EngineError(
            "onnx is not installed: pip install 'vapoursynth-animesr[onnx]'"
        ) from error
    facts = {
        **about,
        "weights": weights.digest(tensors),
        "precision": precision,
        "scale": str(SCALE),
        "multiple": str(ALIGNMENT),
        "made by": f"vapoursynth-animesr {__version__}",
    }
    model = step_graph(tensors, precision=precision, facts=facts)
    onnx.checker.check_model(model, full_check=True)
    _write(path, model.SerializeToString(deterministic=True))


def _write(path: Path, data: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise EngineError(f"{path}: cannot be written ({error})") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
