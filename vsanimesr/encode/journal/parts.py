"""The folder of what is done, beside the result: `.NAME.parts`, gone when that is whole."""

from __future__ import annotations

import contextlib
import os
import shutil
from typing import TYPE_CHECKING

from vsanimesr.encode.common.durable import TEMPORARY
from vsanimesr.encode.common.names import beside, shown
from vsanimesr.encode.journal.lock import locked
from vsanimesr.errors import EncodeError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path


class Parts:
    """The folder, held by this process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.keep = any(folder.glob("*.json"))
        """Whether to leave it: something is in it that took its time."""

    def forget(self) -> None:
        """Remove all that was done."""
        for path in self.folder.iterdir():
            if path.name != "lock":
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        self.keep = False


@contextlib.contextmanager
def held(output: Path, report: Callable[[str], None]) -> Generator[Parts]:
    """Make or find the folder and keep other runs from it; afterwards it goes, or is kept.

    Raises:
        EncodeError: Another run has it, or it cannot be made.
    """
    folder = beside(output, ".parts")
    try:
        with locked(folder / "lock", output) as note:
            if note:
                report(note)
            parts = Parts(folder)
            _clean(folder)
            try:
                yield parts
            except BaseException:
                if parts.keep:
                    report(
                        f"what is done is kept in {shown(folder.name)}; the same command goes on"
                    )
                raise
            finally:
                _clean(folder)
                if not parts.keep:
                    shutil.rmtree(folder, ignore_errors=True)
        if os.name == "nt" and not parts.keep:  # there the lock could not go while it was held
            with contextlib.suppress(OSError):
                (folder / "lock").unlink()
                folder.rmdir()
    except OSError as error:
        raise EncodeError(f"upscale: cannot write beside {shown(output)}: {error}") from error


def _clean(folder: Path) -> None:
    """Remove what dead runs left unfinished."""
    for path in folder.glob(f"{TEMPORARY}*"):
        with contextlib.suppress(OSError):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
