"""Scene starts: found once, in a pass of its own, and then the same for whoever renders."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from vsanimesr.errors import EncodeError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    import vapoursynth as vs

    from vsanimesr.encode.source.picture import Look

_MARKS = ["_SceneChangePrev", "_SceneChangeNext"]


def find(
    clip: vs.VideoNode, detect: bool, look: Look, progress: Callable[[int, int], None]
) -> list[int]:
    """Scene starts of a clip, ascending, without frame 0.

    Args:
        clip: The source.
        detect: Look for them, with the plugin `scd`; else take those that frames are marked with.
        look: Is shown every frame.
        look: Is shown every frame.
        progress: Called with the frames seen and the frames in all.

    Raises:
        EncodeError: The detector is not there, or a frame cannot be had.
    """
    import vapoursynth as vs

    seen = detected(clip) if detect else clip
    starts: set[int] = set()
    n = 0
    frames = seen.frames(close=True)
    try:
        for n, frame in enumerate(frames):
            look.see(n, frame)
            starts |= {n} if frame.props.get("_SceneChangePrev") else set()
            starts |= {n + 1} if frame.props.get("_SceneChangeNext") else set()
            progress(n + 1, len(seen))
    except vs.Error as error:
        raise EncodeError(f"frame {n + 1 if n else 0}, looked at for scenes: {error}") from error
    finally:
        cast("Any", frames).close()
    return sorted(starts - {0, len(seen)})


def detected(clip: vs.VideoNode) -> vs.VideoNode:
    """The clip with `_SceneChangePrev` and `_SceneChangeNext` as the plugin `scd` finds them.

    The detector reads integer GRAY and YUV only, so what else there is is looked at in gray.

    Raises:
        EncodeError: The detector is not there.
    """
    import vapoursynth as vs

    core: Any = vs.core
    if not hasattr(core, "scd"):
        raise EncodeError(
            "upscale: the detector of scene changes is not there; install it: "
            "pip install vapoursynth-scenechange"
        )
    seen = clip
    if clip.format.color_family == vs.RGB or clip.format.sample_type == vs.FLOAT:
        matrix = {"matrix": vs.MATRIX_BT709} if clip.format.color_family == vs.RGB else {}
        seen = core.resize.Bicubic(clip, format=vs.GRAY8, **matrix)
    found = core.scd.Detect(seen)
    return core.std.CopyFrameProps(clip, found, props=_MARKS)


def marked(clip: vs.VideoNode, starts: Collection[int]) -> vs.VideoNode:
    """The clip with `_SceneChangePrev` at these frames and no other marks."""
    import vapoursynth as vs

    core: Any = vs.core
    plain = core.std.SetFrameProps(clip, _SceneChangePrev=0, _SceneChangeNext=0)
    cut = core.std.SetFrameProps(clip, _SceneChangePrev=1, _SceneChangeNext=0)

    def choose(n: int) -> vs.VideoNode:
        return cut if n in starts else plain

    return core.std.FrameEval(clip, choose, clip_src=[cut, plain])
