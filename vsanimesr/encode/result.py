"""What became of a file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Result:
    """What became of a file."""

    output: Path
    frames: int
    seconds: float
    """Since the call."""
    rendered: int
    """Frames that were made now, not by an earlier run."""
    resumed: int
    """Chunks that an earlier run had made."""
    chunks: int
    size: int
    """Bytes of the file."""
