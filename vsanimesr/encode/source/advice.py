"""What to do with a file whose times cannot be used."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from vsanimesr.encode.common.ffmpeg import find_ffmpeg
from vsanimesr.encode.common.names import url

if TYPE_CHECKING:
    from collections.abc import Iterable
    from fractions import Fraction
    from pathlib import Path


def advice(path: Path, track: int, fps: Fraction) -> str:
    """A command that was run on such files: each frame gets the same time."""
    words: Iterable[str] = (
        *(str(find_ffmpeg()), "-i", url(path), "-map", f"0:{track}", "-map", "0:a?"),
        *("-map", "0:s?", "-c", "copy", "-c:v", "ffv1", "-fps_mode", "passthrough"),
        *("-vf", f"setpts=N/({fps or 25}*TB)", "fixed.mkv"),
    )
    rate = "" if fps else ", with the film's frames per second in place of 25"
    return f"give all frames the same duration: {shlex.join(words)}{rate}"
