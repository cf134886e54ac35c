"""What a comparison is asked for; light, for the command describes itself by it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from vsanimesr.models import RELEASES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

PAGE, CHOICE = "comparison.html", "frames.json"
SCALERS = ("bicubic", "bilinear", "lanczos", "point", "spline16", "spline36", "spline64")
"""Those of VapourSynth's `resize`; with the extra `jet` every scaler of vs-jetpack by its name."""
COLUMNS = ("bicubic", *RELEASES)
COUNT = 24
ROWS = 3


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What is to be compared."""

    sources: Sequence[Path]
    """Video files or scripts."""
    folder: Path
    """Where everything is written."""
    columns: Sequence[str] = COLUMNS
    """Words as `columns.make` takes them."""
    frames: Sequence[int] = ()
    """Named frames, of every source."""
    count: int = COUNT
    """Frames of every source in all."""
    seed: int = 0
    repeat: Path | None = None
    """The choice of an earlier comparison, in place of the three above."""
    rows: int = ROWS
    """Strips over time."""
    originals: Sequence[Path] = ()
    """None, or one for each source."""
    niqe: bool = False
    """Whether NIQE is measured, which takes seconds a picture."""
    options: Mapping[str, str | float] = field(default_factory=dict[str, "str | float"])
    """Arguments of `Upscale`."""
    overwrite: bool = False
