"""One run at a time works on a result: a lock that the system takes back from who dies."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from typing import TYPE_CHECKING

from vsanimesr.encode.common.names import shown
from vsanimesr.errors import EncodeError

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

_UNKNOWN = {errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL}  # of some network disks


@contextlib.contextmanager
def locked(path: Path, what: Path) -> Generator[str]:
    """Hold the lock `path`; its folder is made, and may be removed meanwhile by the holder.

    Args:
        path: The lock's file.
        what: What is worked on, for the message.

    Yields:
        What the user should know, or nothing.

    Raises:
        EncodeError: Another process holds it.
        OSError: The folder or the file cannot be made.
    """
    while True:
        path.parent.mkdir(exist_ok=True)
        try:
            opened = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        except FileNotFoundError:  # the holder before has just removed the folder
            continue
        try:
            note = _take(opened, what)
            if not _is_still(opened, path):
                continue
            os.ftruncate(opened, 0)
            os.lseek(opened, _TEXT, os.SEEK_SET)
            os.write(opened, f"{os.getpid()} {socket.gethostname()}".encode())
            yield note
            return
        finally:
            os.close(opened)


_TEXT = 1  # the byte before is what is locked where locks keep others from reading


def _take(opened: int, what: Path) -> str:
    try:
        if os.name == "nt":
            import msvcrt

            msvcrt.locking(opened, msvcrt.LK_NBLCK, 1)  # pyright: ignore
        else:
            import fcntl

            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError) as error:
        process, _, host = _holder(opened).partition(" ")
        raise EncodeError(
            f"upscale: {shown(what)} is being made by process {process or 'unknown'} on "
            f"{host or 'some machine'}; wait for it, or end it"
        ) from error
    except OSError as error:
        if error.errno not in _UNKNOWN:
            raise
        return (
            f"the folder of {shown(what)} knows no locks: do not start a second run for this file"
        )
    return ""


def _holder(opened: int) -> str:
    with contextlib.suppress(OSError):
        os.lseek(opened, _TEXT, os.SEEK_SET)
        return os.read(opened, 300).decode(errors="replace")
    return ""


def _is_still(opened: int, path: Path) -> bool:
    """Whether the file is there under its name: who held the lock before removes it."""
    with contextlib.suppress(OSError):
        return os.path.samestat(os.fstat(opened), path.stat())
    return False
