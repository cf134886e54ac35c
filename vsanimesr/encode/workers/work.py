"""What a crew does, as a value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from vsanimesr.encode.chunks import Chunk
    from vsanimesr.encode.verify import Made


@dataclass(frozen=True, kw_only=True)
class Work:
    """What a crew does, and whom it tells; it tells on the thread that called `run`."""

    chunks: Sequence[Chunk]
    touch: Chunk
    """The chunk whose first frame shows whether workers make the same bytes."""
    folder: Path
    """Where unfinished chunks lie."""
    accept: Callable[[dict[str, str]], str]
    """Told a worker's facts, says why it cannot be used, or nothing."""
    enter: Callable[[Chunk, Path, Made], None]
    """Takes a finished chunk."""
    moved: Callable[[int], None]
    """Told of frames done since the last call; less than 0: they have to be made again."""
    report: Callable[[str], None]
    """Told what the user should know."""
