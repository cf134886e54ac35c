"""Opens what is compared, and looks at every frame of the source once."""

from __future__ import annotations

import contextlib
import runpy
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, cast

from vsanimesr.compare.choose import Look
from vsanimesr.encode.common.names import shown
from vsanimesr.encode.join.planning import plan
from vsanimesr.encode.scenes import detected
from vsanimesr.encode.source.media import open_source as open_video
from vsanimesr.errors import CompareError, EncodeError
from vsanimesr.vs.colour import matrix_by_size

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    import vapoursynth as vs

SCRIPTS = (".vpy", ".py")


@dataclass(frozen=True, kw_only=True)
class Source:
    """A clip that columns are made from, its scenes marked."""

    path: Path
    clip: vs.VideoNode
    times: Sequence[float] = ()
    """When each frame is shown, in seconds from the first; empty: by the clip's rate."""

    @property
    def name(self) -> str:
        """What the page calls it."""
        return shown(Path(self.path.name))


def open_source(path: Path) -> Source:
    """Open a video file or output 0 of a script, and mark its scenes where nothing is marked.

    Raises:
        CompareError: It cannot be opened, or a plugin is missing.
    """
    if not path.is_file():
        raise CompareError(
            f"compare: {shown(path)} is not there, wanted a video file or a script (.vpy)"
        )
    times: list[float] = []
    if path.suffix.lower() in SCRIPTS:
        clip = run_script(path, 0, path)
    else:
        try:
            opened = open_video(path, plan(path, "matroska").track, incomplete=True)
        except EncodeError as error:
            _refuse(error)
        clip = opened.clip
        first = opened.times.pts[0]
        times = [float((tick - first) * opened.times.base) for tick in opened.times.pts]
    with clip.get_frame(0) as frame:
        said = {"_SceneChangePrev", "_SceneChangeNext"} & frame.props.keys()
    if not said:
        try:
            clip = detected(clip)
        except EncodeError as error:
            _refuse(error)
    return Source(path=path, clip=clip, times=times)


def _refuse(error: EncodeError) -> NoReturn:
    """Say as this command what `upscale` says."""
    raise CompareError(f"compare: {str(error).removeprefix('upscale: ')}") from error


def run_script(path: Path, output: int, source: Path) -> vs.VideoNode:
    """Evaluate a script as `vspipe -a source=...` does, and take one of its outputs.

    Args:
        path: The script.
        output: The output's number.
        source: What the script finds in its variable `source`.

    Raises:
        CompareError: The script fails, or does not set this output to a video.
    """
    import vapoursynth as vs

    if not path.is_file():
        raise CompareError(f"compare: the script {shown(path)} is not there")
    full = path.resolve()
    given = {"source": str(source.resolve())}
    vs.clear_outputs()
    try:
        with contextlib.chdir(full.parent):
            runpy.run_path(str(full), given, "__vapoursynth__")
        found = vs.get_outputs().get(output)
    except SystemExit as error:
        raise CompareError(
            f"compare: the script {shown(path)} ends the process ({error})"
        ) from error
    except Exception as error:
        raise CompareError(
            f"compare: the script {shown(path)} fails: {type(error).__name__}: {error}"
        ) from error
    finally:
        vs.clear_outputs()
    clip = getattr(found, "clip", None)
    if not isinstance(clip, vs.VideoNode):
        raise CompareError(
            f"compare: the script {shown(path)} sets no video as output {output}; "
            f"write clip.set_output({output or ''})"
        )
    if clip.format.id == 0 or not (clip.width and clip.height):
        raise CompareError(
            f"compare: the clip of {shown(path)} changes its size or pixel format midway, "
            "wanted a constant one"
        )
    return clip


def rgb(clip: vs.VideoNode) -> vs.VideoNode:
    """A clip as 8 bit RGB, untagged frames read as the filter reads them."""
    return _converted(clip, "RGB24")


def gray(clip: vs.VideoNode) -> vs.VideoNode:
    """Luma of a clip, 8 bit full range."""
    return _converted(clip, "GRAY8")


def _converted(clip: vs.VideoNode, name: str) -> vs.VideoNode:
    import vapoursynth as vs

    core: Any = vs.core
    family = clip.format.color_family
    more: dict[str, int] = {}
    if family == vs.YUV:
        # `matrix_in` is what frames are read by that do not say their matrix themselves.
        more["matrix_in"] = int(matrix_by_size(clip.width, clip.height))
    if name == "GRAY8" and family == vs.RGB:
        more["matrix"] = vs.MATRIX_BT709
    return core.resize.Bicubic(
        clip, format=int(vs.PresetVideoFormat[name]), range=vs.RANGE_FULL, **more
    )


def looks(source: Source, progress: Callable[[int, int], None]) -> list[Look]:
    """Look at every frame once, at the speed of the decoder.

    Args:
        source: The clip.
        progress: Called with frames done and frames in all.

    Raises:
        CompareError: A frame cannot be had.
    """
    import vapoursynth as vs

    core: Any = vs.core
    seen = gray(source.clip)
    stats = core.std.PlaneStats(seen, seen[0] + seen, prop="Look")
    edges = core.std.PlaneStats(core.std.Sobel(seen), prop="Edge")
    stats = core.std.CopyFrameProps(stats, edges, props=["EdgeAverage"])
    found: list[Look] = []
    time = 0.0
    follows = False  # whether the frame before is marked as the last of its scene
    try:
        for frame in stats.frames(close=True):
            props = frame.props
            starts = not found or follows or props.get("_SceneChangePrev") == 1
            follows = props.get("_SceneChangeNext") == 1
            if source.times:
                time = source.times[len(found)]
            elif seen.fps:
                time = float(len(found) / seen.fps)
            found.append(
                Look(
                    time=time,
                    luma=float(cast("float", props["LookAverage"])),
                    motion=0.0 if starts else float(cast("float", props["LookDiff"])),
                    detail=float(cast("float", props["EdgeAverage"])),
                    starts=starts,
                    type=_text(props.get("_PictType")),
                )
            )
            time += _number(props.get("_DurationNum")) / (_number(props.get("_DurationDen")) or 1)
            progress(len(found), len(seen))
    except vs.Error as error:
        raise CompareError(
            f"compare: frame {len(found)} of {shown(source.path)}: {error}"
        ) from error
    return found


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def _text(value: object) -> str:
    text = value.decode("ascii", "replace") if isinstance(value, bytes) else str(value or "")
    return text if text != "?" else ""


def picture(frame: vs.VideoFrame) -> np.ndarray:
    """(h, w, 3) uint8 of an RGB24 frame, or (h, w) of a GRAY8 one; a copy."""
    import numpy as np

    planes = [np.asarray(frame[plane]) for plane in range(frame.format.num_planes)]
    return np.stack(planes, axis=-1) if len(planes) > 1 else planes[0].copy()
