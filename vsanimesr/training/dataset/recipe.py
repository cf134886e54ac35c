"""The recipe of a dataset: every choice of `dataset build`, as structs that `config.load` fills.

Defaults are the paper's (section 3) where it gives a number, then the released code's; where both
are silent or cannot be taken over, this project's, and the line says so.
"""

from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from vsanimesr.errors import OptionError

# Bounds are far from what anybody wants: what lies beyond them is a slip.
type Positive = Annotated[int, Meta(ge=1, le=10**6)]
type Natural = Annotated[int, Meta(ge=0, le=10**6)]
type Amount = Annotated[float, Meta(ge=0, le=1e6)]
type Share = Annotated[float, Meta(ge=0, le=1)]
type Form = Literal["direct", "jpeg"]
"""Frames as decoded; or each through a JPEG of `-qscale:v 1`, as the paper extracts them."""


class Sources(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[sources]`: which videos are good enough. The paper names both measures, not the bounds."""

    height: Natural = 256
    """Least rows; by default what a patch needs."""
    bitrate: Natural = 0
    """Least kbit/s; folders of pictures have none and pass."""


class Shots(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[shots]`: PySceneDetect, its own defaults."""

    detector: Literal["content", "adaptive"] = "content"
    threshold: Amount | None = None
    """None: the detector's own, 27 or 3."""
    shortest: Positive = 15
    """Frames of a shot."""


class Motion(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[motion]`: optical flow between neighbours. SpyNet, the paper's, is not supported."""

    method: Literal["dis", "raft"] = "dis"
    file: Path | None = None
    """Torchvision's weights of raft_small or raft_large."""
    width: Annotated[int, Meta(ge=64, le=16_384)] = 640
    """Frames are shrunk to this many columns to be measured; results are in pixels of the video."""
    static: Amount = 0.2
    """Mean length of the flow, in pixels a frame, below which a shot is dropped. Ours: the released
    code's bound is on a spread that the frame after a cut dominates."""


class Quality(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[quality]`: of single frames, more is better. The paper's HyperIQA needs its weights."""

    method: Literal["niqe", "hyperiqa", "sharpness"] = "niqe"
    file: Path | None = None
    """HyperIQA's weights for pyiqa."""
    every: Positive = 12
    """Score one frame of so many."""
    discard: Share = 0.1
    """Share of a video's moving shots, those of the least mean score, that is dropped. Ours."""
    least: Annotated[float, Meta(ge=-1e6, le=1e6)] | None = None
    """Mean score below which a shot is dropped too."""


class Clip(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[clip]`: the one clip of a video."""

    frames: Positive = 100
    stride: Positive = 10
    """Candidates begin so many frames apart."""
    motion: Amount = 1 / 150
    """Weight of the greatest flow in a frame, in pixels, as in the released code."""
    quality: Amount = 1.0
    """Weight of the score of a frame, as in the released code."""
    flat: Share = 0.9
    """A frame of which this share has one grey level is in no clip, as in the released code."""
    transitions: Share = 0.05
    """Of the videos whose clip shall have a cut within. Paper: "a few"."""
    test: Share = 30 / 583
    """Of the videos whose clip is for testing; the paper has 30 beside 553."""


class DatasetRecipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file such as `training/dataset.toml`."""

    seed: Natural = 0
    """Of the drawing of transitions and splits."""
    frames: Form = "direct"
    sources: Sources = Sources()
    shots: Shots = Shots()
    motion: Motion = Motion()
    quality: Quality = Quality()
    clip: Clip = Clip()

    def __post_init__(self) -> None:
        for name, table in (("motion", self.motion), ("quality", self.quality)):
            wants = table.method in ("raft", "hyperiqa")
            if wants != (table.file is not None):
                raise OptionError(
                    f"{name}.file: {table.file} for {table.method!r}, wanted "
                    f"{'the file of its weights' if wants else 'none: it has no weights'}"
                )
        if self.quality.every > self.clip.frames:
            raise OptionError(
                f"quality.every: {self.quality.every}, wanted {self.clip.frames} or less, the "
                "frames of a clip"
            )

    def measured(self) -> bytes:
        """What decides how a video is measured, for comparison: two that are equal agree."""
        measured = (
            self.frames,
            self.shots,
            (self.motion.method, self.motion.file, self.motion.width),
            (self.quality.method, self.quality.file, self.quality.every),
        )
        return msgspec.json.encode(measured, enc_hook=str)
