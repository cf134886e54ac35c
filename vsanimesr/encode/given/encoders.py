"""How the enlarged video is compressed: everything that decides an encoder's bytes is stated."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vsanimesr.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Sequence

CRF = {"x265": 18.0, "x264": 16.0, "svtav1": 20.0}
"""Encoders and their default constant rate factor."""
PRESETS = {"x265": "medium", "x264": "medium", "svtav1": "6"}
"""Their default preset."""
ENCODERS = tuple(CRF)
# x265 gives the same bytes for 2 frame threads and more, and others for 1; left alone, it counts
# cores. x264 gives other bytes for each number of threads. SVT-AV1 gives the same for each `lp`,
# which is only its share of the machine. Tried with the ffmpeg of imageio-ffmpeg 0.8.1.
_STATED = {
    "x265": "log-level=error:info=0:repeat-headers=1:open-gop=0:frame-threads=4",
    "x264": "stitchable=1:threads=8",
    "svtav1": "lp=4",
}
_PARAMETERS = {"x265": "x265-params", "x264": "x264-params", "svtav1": "svtav1-params"}

_WHOLE = "it wants the whole film, and the film is encoded in chunks"
_FRAMES = "every frame of the source has to come out once"
_OURS = "the command sets that itself"
_COPIED = "only the video is encoded; the rest is copied"
_REFUSED = {
    r"-pass|-passlogfile|-stats": _WHOLE,
    r"-ss|-sseof|-t|-to|-frames|-vframes|-fs|-shortest|-r|-vsync|-fps_mode|-fpsmax": _FRAMES,
    r"-force_key_frames|-copyts|-enc_time_base|-itsoffset|-f|-y|-n": _OURS,
    r"-i|-map|-filter_complex|-lavfi|-dn|-an|-sn|-vn": "there is one input and one video",
    r"-metadata|-map_metadata|-map_chapters|-disposition|-attach|-movflags": _COPIED,
    r"-c:[asdt]|-codec:[asdt]|-acodec|-scodec|-dcodec|-b:a|-ar|-ac|-af|-filter:a": _COPIED,
}


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """How the enlarged video is compressed."""

    encoder: str = "x265"
    """`x265`, `x264` or `svtav1`."""
    crf: float | None = None
    """Constant rate factor, lower is better; None: as in `CRF`."""
    preset: str | None = None
    """Speed against size, in the encoder's own words; None: as in `PRESETS`."""
    format: str = "yuv420p10"
    """Pixel format of the result. Ten bits keep gradients from banding, and 4:2:0 is what
    players decode in hardware, whatever the source's chroma was."""
    arguments: tuple[str, ...] = ()
    """ffmpeg's output options for the video, in place of encoder, crf and preset."""

    def __post_init__(self) -> None:
        """Check the choices.

        Raises:
            OptionError: An unknown encoder, or options for ffmpeg that chunks cannot have.
        """
        if self.encoder not in ENCODERS:
            raise OptionError(f"encoder={self.encoder}, wanted one of {', '.join(ENCODERS)}")
        _check(self.arguments)

    def options(self, more: Sequence[str] = ()) -> list[str]:
        """Options of ffmpeg for the video stream.

        Args:
            more: Arguments of the encoder, `name=value` each; not where `arguments` are given.
        """
        if self.arguments:
            return list(self.arguments)
        return [
            *("-c:v:0", f"lib{self.encoder}"),
            *("-preset:v:0", self.preset or PRESETS[self.encoder]),
            *("-crf:v:0", f"{CRF[self.encoder] if self.crf is None else self.crf:g}"),
            *(f"-{_PARAMETERS[self.encoder]}:v:0", ":".join([_STATED[self.encoder], *more])),
        ]

    @property
    def codec(self) -> str:
        """The encoder, as ffmpeg calls it; empty: it chooses itself."""
        options = self.options()
        place = own_option(options, "-c|-codec|-vcodec")
        return "" if place is None or options[place] == "copy" else options[place]

    def settings(self) -> str:
        """For the result's tags: chunks do not say how they were encoded."""
        return " ".join(word.removesuffix(":v:0") for word in self.options())


def own_option(arguments: list[str], names: str) -> int | None:
    """Where the value of an option of the video is, if it is among the arguments.

    Args:
        arguments: Of ffmpeg.
        names: A regular expression of the option's names, without a specifier of the stream.
    """
    for place, word in enumerate(arguments[:-1]):
        if re.fullmatch(rf"({names})(:v(:0)?|:0)?", word):
            return place + 1
    return None


def _check(arguments: tuple[str, ...]) -> None:
    """Refuse what cannot be joined, or is no option of the video."""
    option = False  # whether the word before is one, which may have a value
    for word in arguments:
        if not word.startswith("-") or re.fullmatch(r"-[\d.]+", word):
            if not option:
                raise OptionError(
                    f"--ffmpeg-args: {word} is no option and no value of one; wanted: options of "
                    "the video only, for there is one output"
                )
            option = False
            continue
        option = True
        for pattern, reason in _REFUSED.items():
            if re.fullmatch(rf"({pattern})(:v(:0)?|:\d+)?", word):
                raise OptionError(f"--ffmpeg-args: {word} cannot be used: {reason}")
    if re.search(r"\bpass=[12]|\bstats=", " ".join(arguments)):
        raise OptionError(f"--ffmpeg-args: two passes cannot be used: {_WHOLE}")
