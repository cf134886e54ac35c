"""Whether a file ends where its container ends, for those that FFmpeg does not ask."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_TAIL = 1 << 17
"""Bytes at the end that are looked at: an Ogg page has 65,307 at most (RFC 3533, 6)."""
_PACKETS = (188, 192, 204)
"""Bytes of a packet of MPEG-TS: plain, with a time before it (M2TS), with a checksum after it."""
_SECTOR = 2048
"""Bytes of a sector of a DVD, which a pack of a VOB takes."""
_ZEROS = 4096
"""Zeros at the end that nothing whole ends with."""
_OTHERS = {"mpegts", "mpeg", "ogg", "nut", "h264", "hevc", "mpegvideo", "m4v", "vc1", "obu"}
"""Containers that state no length; those that do may end with room that is left free."""
_ASF_FILE = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
"""The ASF File Properties Object's GUID (ASF 1.2, 3.2)."""


def ending(path: Path, container: str) -> str:
    """Words that go on from a file's name where it ends too early; empty: nothing shows it.

    Args:
        path: The file.
        container: libavformat's name of its format.
    """
    tail = _tail(path)
    if container in _OTHERS and not any(tail[-_ZEROS:]):
        return "is not whole: it ends with zeros, as a file that is still being fetched"
    if container == "ogg":
        return _ogg(tail)
    if container == "mpegts":
        return _ts(tail)
    if path.suffix.lower() == ".vob" and path.stat().st_size % _SECTOR:
        return f"is not whole: it ends within a sector of {_SECTOR} bytes"
    return ""


def asf_length(path: Path) -> float:
    """Seconds that the header of an ASF file (WMV) states; 0: it states none."""
    with path.open("rb") as file:
        head = file.read(1 << 16)
    place = head.find(_ASF_FILE)
    if place < 0 or len(head) < place + 92:
        return 0.0
    # After GUID, size, id, file size, date and number of packets.
    lasts, _, preroll, flags = struct.unpack_from("<QQQI", head, place + 64)
    return 0.0 if flags & 1 else max(lasts / 1e7 - preroll / 1e3, 0.0)  # 1: it was broadcast


def _tail(path: Path) -> bytes:
    with path.open("rb") as file:
        file.seek(max(file.seek(0, 2) - _TAIL, 0))
        return file.read()


def _ogg(tail: bytes) -> str:
    """The last page of a file is the last one of its stream, and says so (RFC 3533, 6)."""
    place = tail.rfind(b"OggS")
    if place < 0 or len(tail) < place + 27:
        return "is not whole: it ends within a page of Ogg"
    lengths = tail[place + 27 : place + 27 + tail[place + 26]]
    if len(tail) < place + 27 + tail[place + 26] + sum(lengths):
        return "is not whole: it ends within a page of Ogg"
    return "" if tail[place + 5] & 4 else "is not whole: its last page is not marked as the last"


def _ts(tail: bytes) -> str:
    """A file of packets ends with the end of one."""
    for size in _PACKETS:
        for place in range(len(tail) - 1, len(tail) - 1 - 2 * size, -1):
            marks = range(place, max(place - 40 * size, 0), -size)
            if len(marks) > 4 and all(tail[n] == 0x47 for n in marks):
                over = len(tail) - place + (4 if size == 192 else 0)
                over %= size
                return f"is not whole: it ends within a packet of {size} bytes" if over else ""
    return ""
