"""What is the same for all chunks of an encode."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vsanimesr.encode.given.encoders import Encoding
from vsanimesr.encode.given.enlarge import Upscale


@dataclass(frozen=True, kw_only=True)
class Film:
    """All that a chunk follows from, besides its place. Workers get it pickled."""

    source: Path
    track: int
    upscale: Upscale
    encoding: Encoding
    incomplete: bool = False
    """Whether the source may be shorter than it states."""
    progressive: bool = False
    """Whether it is taken as progressive, whatever its frames are marked as."""
    scenes: tuple[int, ...] = ()
    """Scene starts, ascending."""
