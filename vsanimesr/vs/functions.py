"""The filter as Python functions, for scripts."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import vapoursynth as vs

GONE = {
    "trt": "backend=",
    "trt_debug": "backend=",
    "trt_min_shape": "nothing: every size works",
    "trt_opt_shape": "nothing: the clip's size is taken",
    "trt_max_shape": "nothing: every size works",
    "trt_workspace_size": "cache=, a bound on kept frames and states in MB",
    "trt_max_aux_streams": "nothing",
    "trt_optimization_level": "precision=",
    "trt_cache_dir": "nothing: no engine is built",
}
"""Arguments of the older package that do not exist here, and what to write instead."""


class AnimeSRModel(IntEnum):
    """The released weights by the older package's names."""

    AnimeSR_v1 = 0
    AnimeSR_v2 = 1


def upscale(clip: vs.VideoNode, **options: str | float) -> vs.VideoNode:
    """Restore a clip and enlarge it: `core.animesr.Upscale`.

    Args:
        clip: Any constant format: GRAY, RGB or YUV, 8 to 16 bit, half or float.
        options: The fields of `vsanimesr.options.Options`, with their defaults.

    Returns:
        The enlarged clip, in the same format unless `format` is given.

    Raises:
        vapoursynth.Error: The clip or an option cannot be used.
    """
    import vapoursynth as vs

    core: Any = vs.core
    if not hasattr(core, "animesr"):
        raise vs.Error("upscale: the plugin is not loaded; run `vsanimesr doctor` to learn why")
    return core.animesr.Upscale(clip, **options)


def animesr(
    clip: vs.VideoNode,
    device_index: int = 0,
    model: AnimeSRModel | int | str = AnimeSRModel.AnimeSR_v2,
    **options: Any,  # noqa: ANN401 - the gone ones were of every type
) -> vs.VideoNode:
    """Restore a clip and enlarge it four times, called as in the older package.

    Args:
        clip: RGBS or RGBH, nominal range [0, 1].
        device_index: Which GPU; without one, 0 is the CPU.
        model: A member of `AnimeSRModel` or its number, or what `Upscale` takes.
        options: Further options of `Upscale`.

    Raises:
        vapoursynth.Error: Another format, an argument that is gone, or what `Upscale` refuses.
    """
    import vapoursynth as vs

    if not isinstance(clip, vs.VideoNode):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise vs.Error(f"animesr: clip is {type(clip).__name__}, wanted a VideoNode")
    if clip.format.id not in (vs.RGBH, vs.RGBS):
        raise vs.Error(
            f"animesr: the clip is {clip.format.name}, wanted RGBH or RGBS; "
            "core.animesr.Upscale takes any format"
        )
    for name in GONE.keys() & options.keys():
        raise vs.Error(f"animesr: {name}= is gone; use {GONE[name]}")
    if isinstance(model, int):
        if model not in tuple(AnimeSRModel):
            raise vs.Error(f"animesr: model={model}, wanted a member of AnimeSRModel")
        model = f"v{int(model) + 1}"
    device = "auto" if device_index == 0 else f"cuda:{device_index}"
    return upscale(clip, **{"device": device, "model": model} | options)
