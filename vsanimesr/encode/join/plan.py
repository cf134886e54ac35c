"""What besides the video goes from the source's container into the result's, as values."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Carried:
    """A stream of the source that goes along."""

    number: int
    """In the source."""
    name: str
    """What messages call it."""
    encoder: str = ""
    """What it is encoded with; empty: it is copied."""
    samples: str = ""
    """Sample format that the encoder takes, of sound that is encoded."""
    counted: bool = False
    """Whether each packet begins where the one before ends, whatever time it states."""
    codec: str = ""
    """Its codec's name, where FFmpeg's libraries here cannot decode it."""
    tags: dict[str, str] = field(default_factory=dict[str, str])
    disposition: int = 0


@dataclass(frozen=True, kw_only=True)
class Attached:
    """A file in the result: a font, a cover."""

    name: str
    mime: str
    data: bytes = field(repr=False)
    tags: dict[str, str] = field(default_factory=dict[str, str])


@dataclass(kw_only=True)
class Plan:
    """What goes along, and what stays behind."""

    source: Path
    muxer: str
    track: int = -1
    """Number of the video stream to enlarge; -1: none of this file."""
    shift: Fraction = Fraction(0)
    """Seconds to take off every time of the source."""
    streams: list[Carried] = field(default_factory=list[Carried])
    files: list[Attached] = field(default_factory=list[Attached])
    tags: dict[str, str] = field(default_factory=dict[str, str])
    video_tags: dict[str, str] = field(default_factory=dict[str, str])
    video_disposition: int = 0
    chapters: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    notes: list[str] = field(default_factory=list[str])
    """What is converted or cannot be carried over, one line each."""
