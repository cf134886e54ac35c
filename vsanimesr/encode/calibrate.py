"""Calibrate weights for int8: look at what their convolutions read on some clips."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from vsanimesr.encode.join.planning import plan
from vsanimesr.encode.source.media import open_source
from vsanimesr.errors import EncodeError
from vsanimesr.models import ALIGNMENT, quantised

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    import vapoursynth as vs

    from vsanimesr.calibration import Calibration

STRETCHES = 4
"""Parts of a clip that are looked at, evenly spread over it."""
LENGTH = 12
"""Steps in a stretch, from the zero state."""
OBSERVED = (0, 1, 3, 6, 11)
"""Steps of a stretch whose values are taken: the first ones differ most from the others."""
SIZE = (320, 180)
"""Columns and rows at most; of larger frames the middle is taken."""
PIXELS = 1500
"""Values of a channel that are taken from a step, at random places."""


def calibrate(
    weights: Mapping[str, np.ndarray],
    clips: Sequence[Path],
    report: Callable[[str], None] = lambda _: None,
) -> Calibration:
    """Measure the ranges of all convolutions that run in int8, in float32 on OpenVINO.

    Args:
        weights: The network's tensors by their released names, float32.
        clips: Files with video as it is upscaled, of a frame or more each.
        report: Told each stretch that is looked at.

    Raises:
        EncodeError: A clip cannot be read, or OpenVINO is not installed.
    """
    from vsanimesr.calibration import Inputs

    random = np.random.default_rng(0)
    samples: dict[str, list[np.ndarray]] = {name: [] for name in quantised()}
    for clip in clips:
        for start, frames in _stretches(clip):
            report(f"{clip.name}: frames {start} to {start + len(frames) - 1}")
            for values in _observed(weights, frames):
                for name, value in values.items():
                    pixels = value[0].reshape(value.shape[1], -1)
                    places = random.choice(pixels.shape[1], min(PIXELS, pixels.shape[1]), False)
                    samples[name].append(pixels[:, places].T)
    return {
        name: Inputs.measured(weights[f"recurrent_cell.{name}.weight"], np.concatenate(found))
        for name, found in samples.items()
    }


def write(
    path: Path, weights: Mapping[str, np.ndarray], calibration: Calibration, *, overwrite: bool
) -> None:
    """Write a `.safetensors` file of weights and calibration, whole or not at all.

    Raises:
        EncodeError: Another name, it exists, or it cannot be written.
    """
    import safetensors.numpy

    from vsanimesr.calibration import tensors

    check_output(path, overwrite=overwrite)
    temporary = path.with_name(f".{path.name}.part")
    try:
        kept = {name: np.ascontiguousarray(x) for name, x in weights.items()}
        temporary.write_bytes(safetensors.numpy.save(kept | tensors(calibration)))
        temporary.replace(path)
    except OSError as error:
        raise EncodeError(f"calibrate: {path} cannot be written ({error})") from error
    finally:
        temporary.unlink(missing_ok=True)


def check_output(path: Path, *, overwrite: bool) -> None:
    """Refuse what `write` would, before the work.

    Raises:
        EncodeError: Not a name of a `.safetensors` file, no such folder, or it exists.
    """
    if path.suffix != ".safetensors":
        raise EncodeError(f"calibrate: {path}, wanted a name that ends in .safetensors")
    if not path.parent.is_dir():
        raise EncodeError(f"calibrate: the folder {path.parent} is not there; make it first")
    if path.exists() and (path.is_dir() or not overwrite):
        raise EncodeError(f"calibrate: {path} exists; give another name, or --overwrite")


def _stretches(path: Path) -> Iterator[tuple[int, list[np.ndarray]]]:
    """First frame and frames (1, 3, rows, columns) of each stretch, RGB in [0, 1]."""
    import vapoursynth as vs

    clip = open_source(path, plan(path, "matroska").track).clip
    width, height = (
        max(min(n, most) // ALIGNMENT, 1) * ALIGNMENT
        for n, most in zip((clip.width, clip.height), SIZE, strict=True)
    )
    clip = _rgb(clip, vs.RGBS)
    count = min(STRETCHES, -(-len(clip) // LENGTH))
    for start in np.linspace(0, max(len(clip) - LENGTH, 0), count).astype(int).tolist():
        part = clip[start : start + LENGTH]
        yield start, [_middle(frame, height, width) for frame in part.frames(close=True)]


def _rgb(clip: vs.VideoNode, form: int) -> vs.VideoNode:
    import vapoursynth as vs

    core: Any = vs.core
    unknown = clip.get_frame(0).props.get("_Matrix", 2) == vs.MATRIX_UNSPECIFIED
    matrix = vs.MATRIX_ST170_M if clip.height <= 576 else vs.MATRIX_BT709
    yuv = clip.format.color_family != vs.RGB
    return core.resize.Bicubic(
        clip, format=form, **({"matrix_in": matrix} if unknown and yuv else {})
    )


def _middle(frame: vs.VideoFrame, height: int, width: int) -> np.ndarray:
    """Of (1, 3, height, width); a frame smaller than that is repeated at its edges."""
    image = np.stack([np.asarray(frame[plane]) for plane in range(3)])
    short = [
        (0, max(most - n, 0)) for n, most in zip(image.shape[1:], (height, width), strict=True)
    ]
    image = np.pad(image, ((0, 0), *short), "edge")
    top, left = ((n - most) // 2 for n, most in zip(image.shape[1:], (height, width), strict=True))
    return np.ascontiguousarray(image[None, :, top : top + height, left : left + width]).clip(0, 1)


def _observed(
    weights: Mapping[str, np.ndarray], frames: Sequence[np.ndarray]
) -> Iterator[dict[str, np.ndarray]]:
    """What the convolutions read in the steps of `OBSERVED`.

    Raises:
        EncodeError: OpenVINO is not installed.
    """
    try:
        from vsanimesr.engines.openvino import Observer
    except ModuleNotFoundError as error:
        raise EncodeError(
            f"calibrate: {error.name} is not installed: pip install 'vapoursynth-animesr[openvino]'"
        ) from error
    observer = Observer(weights, *frames[0].shape[2:])
    for t, current in enumerate(frames):
        previous, following = frames[max(t - 1, 0)], frames[min(t + 1, len(frames) - 1)]
        values = observer.step(previous, current, following)
        if t in OBSERVED:
            yield values
