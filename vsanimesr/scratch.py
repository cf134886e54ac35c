"""A folder for a while, of which a killed process leaves nothing for ever."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator

PREFIX = "vsanimesr-"
"""How the folders' names begin."""
OLD = 24 * 3600.0
"""Seconds after which one belongs to nobody."""


@contextlib.contextmanager
def folder() -> Generator[Path]:
    """A folder of its own where the system has its temporary files; gone afterwards.

    Those that were left there by processes that could not take them away go as well.

    Raises:
        OSError: None can be made.
    """
    with tempfile.TemporaryDirectory(prefix=PREFIX) as name:
        made = Path(name)
        _sweep(made)
        yield made


def _sweep(made: Path) -> None:
    with contextlib.suppress(OSError):
        for left in made.parent.glob(f"{PREFIX}*"):
            with contextlib.suppress(OSError):
                state = left.lstat()
                own = not hasattr(os, "getuid") or state.st_uid == os.getuid()
                if own and time.time() - state.st_mtime > OLD:
                    shutil.rmtree(left, ignore_errors=True)
