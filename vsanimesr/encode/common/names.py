"""Names of files: any that the file system allows, and never longer than it allows."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

_LONGEST = 255
"""Bytes in one name: NAME_MAX of Linux and macOS; NTFS counts as many UTF-16 units."""


_PATTERN = re.compile(r"%\d*d")
_CERTAIN = {".mkv", ".mp4", ".m4v", ".mov"}  # no pictures, whatever else the name says


def url(path: Path) -> str:
    """What libavformat opens as this file. Without `file:` a colon in it names a protocol."""
    return _single(str(path)) or f"file:{path}"


def raw(path: Path) -> bytes:
    """A path as VapourSynth's plugins take it.

    Absolute, for a colon in a relative one would name a protocol; bytes, for it need not be
    Unicode.
    """
    text = str(path.absolute())
    kind = "surrogateescape" if os.name == "posix" else "strict"
    return (_single(text) or text).encode("utf-8", kind)


def _single(text: str) -> str:
    """How a file is named whose name would be taken for that of many pictures (`a%03d.png`).

    A list of one file, so that libavformat sees no such ending; its separator must not be in it.
    """
    if not _PATTERN.search(text) or Path(text).suffix.lower() in _CERTAIN or "|" in text:
        return ""
    return f"concat:{text}|"


def beside(path: Path, ending: str) -> Path:
    """`.NAME` and `ending` in the same folder; where that is too long, with NAME shortened.

    Args:
        path: The file it belongs to.
        ending: Such as `.part`; short ASCII.
    """
    name = f".{path.name}{ending}"
    if len(os.fsencode(name)) <= _LONGEST:
        return path.with_name(name)
    digest = hashlib.sha256(os.fsencode(path.name)).hexdigest()[:16]
    kept = path.name
    while len(os.fsencode(f".{kept}~{digest}{ending}")) > _LONGEST:
        kept = kept[:-1]
    return path.with_name(f".{kept}~{digest}{ending}")


def shown(path: Path | str) -> str:
    """A path as it can be printed: bytes that are not Unicode and control characters escaped."""
    text = str(path).encode("utf-8", "backslashreplace").decode()
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
