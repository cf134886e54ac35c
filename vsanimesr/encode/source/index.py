"""BestSource's index of frames, kept in the user's cache under the name of what it was made from.

BestSource itself looks at the file's size only: of a file that was still being written it would
take the index later, too, and serve the half of it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vsanimesr.encode.common.names import raw

_END = 1 << 20
_SAMPLES, _SAMPLE = 64, 4096
_OLD = 24 * 3600.0
# They read other files, whose content no hash of theirs says.
_POINTERS = {"hls", "dash", "concat", "image2", "imf", "sdp", "rtsp"}


def fingerprint(path: Path) -> str:
    """SHA-256 of a file's size, its time of change and samples of its bytes, as hex digits.

    The samples are 1 MiB at each end and 64 blocks of 4 KiB between: a film is not read twice.
    """
    sha = hashlib.sha256()
    with path.open("rb") as file:
        state = os.fstat(file.fileno())
        sha.update(f"{state.st_size} {state.st_mtime_ns} ".encode())
        sha.update(file.read(_END))
        for n in range(_SAMPLES):
            file.seek(state.st_size * n // _SAMPLES)
            sha.update(file.read(_SAMPLE))
        file.seek(max(state.st_size - _END, 0))
        sha.update(file.read(_END))
    return sha.hexdigest()


@dataclass(frozen=True, kw_only=True)
class Index:
    """Where BestSource reads and writes one file's index."""

    mode: int
    """Its `cachemode`."""
    base: Path
    """Its `cachepath`: it appends the track's number and `.bsindex`."""
    made: Path
    """The name that `base` gets once it is written."""
    note: str = ""
    """Why there is none; empty when there is one."""

    def arguments(self) -> dict[str, int | bytes]:
        """Arguments of `bs.VideoSource`."""
        return {"cachemode": self.mode} | ({"cachepath": raw(self.base)} if self.mode else {})

    def keep(self, track: int) -> None:
        """Give a new index its final name, so that nobody ever reads the half of one."""
        if self.base == self.made:
            return
        ending = f".{track}.bsindex"
        with contextlib.suppress(OSError):  # none: the film is too short to be worth it
            self.base.with_name(self.base.name + ending).replace(
                self.made.with_name(self.made.name + ending)
            )

    def recall(self, track: int) -> dict[str, Any] | None:
        """What an earlier run has found out by reading the file to its end, if it is known."""
        if self.mode and self.base == self.made:
            with contextlib.suppress(OSError, ValueError):
                found = json.loads(self._facts(track).read_text("utf-8"))
                return found if isinstance(found, dict) else None
        return None

    def remember(self, track: int, facts: dict[str, Any]) -> None:
        """Keep such facts beside the index; without one, the film is too short to be worth it."""
        if not self.mode or not self.made.with_name(f"{self.made.name}.{track}.bsindex").is_file():
            return
        part = self.made.with_name(f"{self.made.name}~{os.getpid()}-{time.monotonic_ns()}")
        with contextlib.suppress(OSError):
            part.write_text(json.dumps(facts), "utf-8")
            part.replace(self._facts(track))

    def _facts(self, track: int) -> Path:
        return self.made.with_name(f"{self.made.name}.{track}.facts-4.json")


def index(path: Path, track: int, container: str) -> Index:
    """Find or prepare the index of a file.

    Args:
        path: The video file.
        track: The stream's number.
        container: libavformat's name of its format.
    """
    none = Index(mode=0, base=Path(), made=Path())
    if _POINTERS & set(container.split(",")):
        return none
    try:
        folder = _folder()
        # A time of change can be set back, this one cannot.
        changed = path.stat().st_ctime_ns
        key = hashlib.sha256(f"{fingerprint(path)} {changed}".encode()).hexdigest()[:32]
        made = folder / key
        if made.with_name(f"{key}.{track}.bsindex").is_file():
            return Index(mode=3, base=made, made=made)
        _sweep(folder)
        # A name of its own for each run; and whether one can write here is known before the film
        # is read, for BestSource says so afterwards.
        base = folder / f"{key}~{os.getpid()}-{time.monotonic_ns()}"
        base.touch()
        base.unlink()
    except OSError as error:
        why = error.strerror or str(error)
        return Index(
            mode=0,
            base=Path(),
            made=Path(),
            note=f"no index of frames is kept ({why}: {error.filename}); each run makes its own",
        )
    return Index(mode=3, base=base, made=made)


def _folder() -> Path:
    import platformdirs

    try:
        folder = Path(platformdirs.user_cache_dir("vsanimesr", appauthor=False), "index")
    except RuntimeError as error:
        raise OSError(0, "no home folder is known", "~/.cache") from error
    if not folder.is_absolute():  # `~` stayed as it is
        raise OSError(0, "no home folder is known", str(folder))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _sweep(folder: Path) -> None:
    """Take away what killed runs left half written."""
    for left in folder.glob("*~*"):
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > _OLD:
                left.unlink()
