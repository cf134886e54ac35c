"""What the container says of the picture beside its frames: crop, rotation, alpha, and so on."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    import vapoursynth as vs

# Clockwise, after a vertical flip: the functions of `std` that do it.
_ORIENTATIONS = {
    (False, 0): (),
    (False, 90): ("Transpose", "FlipHorizontal"),
    (False, 180): ("Turn180",),
    (False, 270): ("Transpose", "FlipVertical"),
    (True, 0): ("FlipVertical",),
    (True, 90): ("Transpose",),
    (True, 180): ("FlipHorizontal",),
    (True, 270): ("FlipVertical", "Transpose", "FlipVertical"),
}
_VIEWS = {1: "left_right", 2: "top_bottom", 4: "checkerboard_lr", 6: "row_interleaved_lr"}
"""Names of libavutil's AVStereo3DType in Matroska (libavformat/matroska.c)."""


@dataclass(frozen=True, kw_only=True)
class Picture:
    """The picture as one stream's container describes it."""

    size: tuple[int, int] = (0, 0)
    """Width and height before any rotation."""
    crop: tuple[int, int, int, int] = (0, 0, 0, 0)
    """Rows and columns that are not to be shown: top, bottom, left, right."""
    alpha: bool = False
    """Whether it is transparent somewhere."""
    stereo: str = ""
    """How two views share it, as Matroska names it; empty: it is one view, or not known how."""


def picture(stream: Any) -> Picture:  # noqa: ANN401 (PyAV is partly typed)
    """Describe a video stream of PyAV.

    The layouts are those of AV_PKT_DATA_FRAME_CROPPING (libavcodec/packet.h) and AVStereo3D
    (libavutil/stereo3d.h).
    """
    said: dict[str, bytes] = stream.codec_context.coded_side_data
    crop = said.get("frame_cropping")
    stereo = struct.unpack_from("i", said["stereo_3d"])[0] if "stereo_3d" in said else 0
    alpha = stream.format is not None and any(c.is_alpha for c in stream.format.components)
    mode = {key.lower(): value for key, value in stream.metadata.items()}.get("alpha_mode", "0")
    return Picture(
        size=(stream.width, stream.height),
        crop=cast("Any", struct.unpack("<4I", crop)) if crop else (0, 0, 0, 0),
        alpha=alpha or mode not in ("", "0"),
        stereo=_VIEWS.get(stereo, ""),
    )


def applied(clip: vs.VideoNode, about: Picture) -> tuple[vs.VideoNode, list[str]]:
    """Crop and turn a clip as its container wants it shown.

    Args:
        clip: As decoded; the props of its frame 0 name rotation and flip.
        about: Its container's words.

    Returns:
        The clip, and what the user should know: what was applied, and what cannot be kept.
    """
    import vapoursynth as vs

    notes = list[str]()
    core: Any = vs.core
    beyond = about.size[0] - clip.width, about.size[1] - clip.height
    if all(about.size) and max(beyond) in (1, 2, 3) and min(beyond) >= 0:
        notes.append(
            f"the picture is {about.size[0]}x{about.size[1]}, of which the decoder gives "
            f"{clip.width}x{clip.height}: chroma that is shared by two pixels wants even sizes"
        )
    if any(about.crop):
        clip, note = _cropped(clip, about.crop)
        notes.append(note)
    props: Any = clip.get_frame(0).props
    turn, flip = int(props.get("Rotation", 0)) % 360, bool(props.get("FlipVertical", 0))
    steps = _ORIENTATIONS.get((flip, turn))
    if steps is None:
        notes.append(f"the rotation by {turn} degrees is not applied; only multiples of 90 are")
    elif steps:
        if "Transpose" in steps and props.get("_SARNum") and props.get("_SARDen"):
            shape = Fraction(int(props["_SARDen"]), int(props["_SARNum"]))
            clip = core.std.SetFrameProps(clip, _SARNum=shape.numerator, _SARDen=shape.denominator)
        for step in steps:
            clip = getattr(core.std, step)(clip)
    clip = core.std.RemoveFrameProps(clip, ["Rotation", "FlipVertical"])
    if about.alpha:
        notes.append("its transparency (alpha) is left out")
    return clip, notes


def _cropped(clip: vs.VideoNode, crop: tuple[int, int, int, int]) -> tuple[vs.VideoNode, str]:
    import vapoursynth as vs

    core: Any = vs.core
    whole = f"{clip.width}x{clip.height}"
    across, down = 1 << clip.format.subsampling_w, 1 << clip.format.subsampling_h
    top, bottom, left, right = (
        side - side % unit for side, unit in zip(crop, (down, down, across, across), strict=True)
    )
    if top + bottom >= clip.height or left + right >= clip.width:
        return clip, f"the container's crop would leave nothing of {whole}; it is not applied"
    clip = core.std.Crop(clip, top=top, bottom=bottom, left=left, right=right)
    rounded = "" if (top, bottom, left, right) == crop else " (to whole chroma samples)"
    return clip, f"cropped as its container says, {whole} to {clip.width}x{clip.height}{rounded}"


class Look:
    """What only the frames tell, and should be known before any is enlarged.

    Show it every frame of the source once; then ask.
    """

    def __init__(self) -> None:
        self._frames = 0
        self._interlaced = list[int]()
        self._shape: Fraction | None = None
        self._shapes = list[tuple[int, Fraction]]()

    def see(self, n: int, frame: vs.VideoFrame) -> None:
        """Look at the props of source frame `n`; frames come in order."""
        props: Any = frame.props
        self._frames += 1
        if int(props.get("_FieldBased", 0)) > 0:
            self._interlaced.append(n)
        if props.get("_SARNum") and props.get("_SARDen"):
            shape = Fraction(int(props["_SARNum"]), int(props["_SARDen"]))
            if self._shape is not None and shape != self._shape:
                self._shapes.append((n, shape))
            self._shape = shape

    def refusal(self) -> str:
        """Why the film cannot be enlarged as it is; empty where it can."""
        if not self._interlaced:
            return ""
        count = len(self._interlaced)
        return (
            f"{count} of {self._frames} frames are interlaced, the first is frame "
            f"{self._interlaced[0]}: deinterlace the film first; if they show no combs and only "
            "the marks are wrong, give --fieldbased ignore"
        )

    def notes(self) -> list[str]:
        """What changes midway and cannot be kept, one line each."""
        if not self._shapes:
            return []
        n, shape = self._shapes[0]
        more = f", and {len(self._shapes) - 1} times more" if len(self._shapes) > 1 else ""
        return [
            f"the shape of the pixels changes to {shape.numerator}:{shape.denominator} at frame "
            f"{n}{more}; the result keeps that of the first frame throughout"
        ]
