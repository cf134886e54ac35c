"""Files that survive a power cut whole or not at all: write, fsync, rename, fsync the folder."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import secrets
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

TEMPORARY = "tmp-"
"""How names begin of files that count for nothing yet."""
_UNKNOWN = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}
"""What a file system answers that does not know `fsync`."""


def temporary(folder: Path, suffix: str = "") -> Path:
    """A new name for a file that is not finished."""
    return folder / f"{TEMPORARY}{secrets.token_hex(8)}{suffix}"


def publish(path: Path, name: Path) -> str:
    """Give a finished file its name.

    Returns:
        Why file or folder could not be synced (some network file systems know no such thing), or
        nothing.

    Raises:
        OSError: The file cannot be written to the disk or renamed.
    """
    why = ""
    with path.open("r+b") as file:
        try:
            os.fsync(file.fileno())
        except OSError as error:
            if error.errno not in _UNKNOWN:
                raise
            why = f"{error.strerror}"
    path.replace(name)
    return sync(name.parent) or why


def sync(folder: Path) -> str:
    """Have a folder's names on the disk; returns why that could not be done, or nothing."""
    if os.name != "posix":
        return ""
    try:
        opened = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)
    except OSError as error:
        return f"{error.strerror}"
    return ""


def write_record(path: Path, value: Any) -> None:  # noqa: ANN401 (whatever JSON can say)
    """Write a value of JSON with its own SHA-256.

    Raises:
        OSError: It cannot be written.
    """
    text = json.dumps(value, indent=1, ensure_ascii=True)
    unfinished = temporary(path.parent)
    try:
        unfinished.write_text(f"{hashlib.sha256(text.encode()).hexdigest()}\n{text}\n")
        publish(unfinished, path)
    finally:
        with contextlib.suppress(OSError):
            unfinished.unlink(missing_ok=True)


def read_record(path: Path) -> Any:  # noqa: ANN401
    """What `write_record` wrote; None where there is nothing, or it is damaged."""
    try:
        digest, _, text = path.read_text().partition("\n")
    except (OSError, UnicodeDecodeError):
        return None
    text = text.removesuffix("\n")
    return json.loads(text) if hashlib.sha256(text.encode()).hexdigest() == digest else None


def digest(path: Path) -> str:
    """SHA-256 of a file in hexadecimal.

    Raises:
        OSError: It cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
