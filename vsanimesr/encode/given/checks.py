"""What is refused before anything is read: arguments, and the names of source and result."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vsanimesr.encode.common.names import shown
from vsanimesr.encode.given.containers import muxer_of
from vsanimesr.encode.given.frames import FORMATS, pixel_format
from vsanimesr.errors import EncodeError, OptionError

if TYPE_CHECKING:
    from pathlib import Path

    from vsanimesr.encode.given.encoders import Encoding

SCENES = ("detect", "1", "0")
"""Where scenes start: found by a detector, marked in the frames, nowhere."""


def check_arguments(scenes: str, chunk: int, workers: int, encoding: Encoding) -> None:
    """Refuse what no file makes possible.

    Raises:
        OptionError: An argument is not possible.
        EncodeError: A pixel format is not known.
    """
    if scenes not in SCENES:
        raise OptionError(f"scenes={scenes}, wanted one of {', '.join(SCENES)}")
    if chunk < 1 or workers < 0:
        raise OptionError(f"chunk={chunk} and workers={workers}, wanted 1 and 0 or more")
    if encoding.format not in FORMATS:
        pixel_format(encoding.format)


def check_paths(source: Path, output: Path, overwrite: bool) -> str:
    """Ffmpeg's name of the result's format, if the result can be written at all.

    Raises:
        EncodeError: It cannot.
    """
    muxer = muxer_of(output)
    if not output.parent.is_dir():
        raise EncodeError(f"upscale: the folder {shown(output.parent)} is not there; make it first")
    if output.exists():
        if not output.is_file() and not output.is_dir():
            raise EncodeError(f"upscale: {shown(output)} is no file; give the name of one")
        if source.exists() and output.samefile(source):
            raise EncodeError(f"upscale: {shown(output)} is the source itself; give another output")
        if output.is_dir():
            raise EncodeError(f"upscale: {shown(output)} is a folder; give the name of a file")
        if not overwrite:
            raise EncodeError(f"upscale: {shown(output)} exists; give --overwrite to replace it")
    return muxer
