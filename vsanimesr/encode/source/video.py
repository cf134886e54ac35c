"""What is enlarged: the video of a media file, or what a script makes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vsanimesr.encode.source.media import Source, open_source
from vsanimesr.encode.source.script import is_script, open_script

if TYPE_CHECKING:
    from collections.abc import Callable

    from vsanimesr.encode.given.film import Film


def open_video(film: Film, moved: Callable[[int], None] = lambda _: None) -> Source:
    """Open a film's source.

    Args:
        film: Whose.
        moved: Called with how much of a file is looked at, in percent.

    Raises:
        EncodeError: It cannot be used.
    """
    if is_script(film.source):
        return open_script(film.source, progressive=film.progressive)
    return open_source(
        film.source,
        film.track,
        incomplete=film.incomplete,
        fields=not film.progressive,
        moved=moved,
    )
