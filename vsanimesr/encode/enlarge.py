"""The step between decoder and encoder: the plugin, or what stands in for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vsanimesr.errors import EncodeError

if TYPE_CHECKING:
    from collections.abc import Callable

    import vapoursynth as vs

    type Upscale = Callable[[vs.VideoNode, int], vs.VideoNode]
    """Makes the enlarged clip from the source's clip and a VapourSynth format id; it must
    keep the number of frames."""


def animesr(
    clip: vs.VideoNode,
    format_id: int,
    *,
    detect: bool = False,
    **options: Any,  # noqa: ANN401 (each has a type of its own, in `Options`)
) -> vs.VideoNode:
    """Enlarge with the plugin.

    Args:
        clip: The source.
        format_id: VapourSynth id of the result's format.
        detect: Look for scene changes first, with the plugin `scd`.
        options: The other arguments of `core.animesr.Upscale`.

    Raises:
        EncodeError: The plugin, or the detector, is not loaded.
    """
    import vapoursynth as vs

    core: Any = vs.core
    if not hasattr(core, "animesr"):
        raise EncodeError(
            "upscale: VapourSynth has not loaded the plugin `animesr`; "
            "run `vsanimesr doctor`, which shows why"
        )
    if detect:
        if not hasattr(core, "scd"):
            raise EncodeError(
                "upscale: the detector of scene changes is not there; install it: "
                "pip install vapoursynth-scenechange"
            )
        clip = marked(clip)
    return core.animesr.Upscale(clip, format=format_id, **options)


def marked(clip: vs.VideoNode) -> vs.VideoNode:
    """The clip with `_SceneChangePrev` and `_SceneChangeNext` as the plugin `scd` finds them.

    The detector reads integer GRAY and YUV only, so what else there is is looked at in gray.
    """
    import vapoursynth as vs

    core: Any = vs.core
    seen = clip
    if clip.format.color_family == vs.RGB or clip.format.sample_type == vs.FLOAT:
        matrix = {"matrix": vs.MATRIX_BT709} if clip.format.color_family == vs.RGB else {}
        seen = core.resize.Bicubic(clip, format=vs.GRAY8, **matrix)
    found = core.scd.Detect(seen)
    return core.std.CopyFrameProps(clip, found, props=["_SceneChangePrev", "_SceneChangeNext"])


def enlarged(clip: vs.VideoNode, name: str, upscale: Upscale) -> vs.VideoNode:
    """Apply `upscale` for a format named as in `FORMATS`.

    Raises:
        EncodeError: It refused, or did not keep the number of frames.
    """
    import vapoursynth as vs

    try:
        result = upscale(clip, int(vs.PresetVideoFormat[name.upper()]))
    except vs.Error as error:
        raise EncodeError(str(error)) from error
    if len(result) != len(clip):
        raise EncodeError(f"upscale: {len(clip)} frames became {len(result)}; wanted: as many")
    return result
