"""What is enlarged: the video of a media file, or what a script makes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vsanimesr.encode.script import is_script, open_script
from vsanimesr.encode.source import Source, open_source

if TYPE_CHECKING:
    from vsanimesr.encode.film import Film


def open_video(film: Film) -> Source:
    """Open a film's source.

    Raises:
        EncodeError: It cannot be used.
    """
    if is_script(film.source):
        return open_script(film.source, progressive=film.progressive)
    return open_source(
        film.source, film.track, incomplete=film.incomplete, fields=not film.progressive
    )
