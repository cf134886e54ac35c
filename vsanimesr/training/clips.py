"""Stored clips, in a form that training reads fast.

A clip is a folder `ROOT/clips/NAME` with `frames.b2nd`, its frames (`squares`), and `meta.json`.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from vsanimesr.errors import TrainingError
from vsanimesr.training import squares
from vsanimesr.training.squares import Frames

FRAMES = "frames.b2nd"
SPLITS = ("train", "test")


class ClipStore:
    """The clips under a folder. Reading is safe from several processes and threads."""

    def __init__(self, root: Path) -> None:
        """Use the folder `root`, which need not be there before the first `write`."""
        self.root = Path(root)
        self._meta: dict[str, dict[str, Any]] = {}

    def names(self, split: str | None = None) -> list[str]:
        """Names of the clips of a split (`train` or `test`), or of all, sorted."""
        found = sorted(path.parent.name for path in self.root.glob("clips/*/meta.json"))
        return [name for name in found if split is None or self.meta(name)["split"] == split]

    def meta(self, name: str) -> dict[str, Any]:
        """What was written with the clip, and `width`, `height`, `frames`, `split`, `sha256`.

        Raises:
            TrainingError: There is no such clip.
        """
        if name not in self._meta:
            path = self._folder(name) / "meta.json"
            try:
                self._meta[name] = json.loads(path.read_text())
            except (OSError, ValueError) as error:
                raise TrainingError(
                    f"{self.root}: the clip {name} cannot be read: {error}; remove the folder and "
                    "build again"
                ) from error
        return self._meta[name]

    def frames(self, name: str) -> int:
        """Number of a clip's frames."""
        return int(self.meta(name)["frames"])

    def size(self, name: str) -> tuple[int, int]:
        """Width and height of a clip."""
        meta = self.meta(name)
        return int(meta["width"]), int(meta["height"])

    def read(
        self,
        name: str,
        indices: Sequence[int] | None = None,
        crop: tuple[int, int, int, int] | None = None,
    ) -> Frames:
        """Frames of a clip.

        Args:
            name: Of the clip.
            indices: Which frames, in any order; None: all.
            crop: Left column, top row, width and height; None: whole frames.

        Returns:
            (t, h, w, 3) RGB.

        Raises:
            TrainingError: No such clip or frame, or a crop that leaves the frame.
        """
        width, height = self.size(name)
        x, y, w, h = crop or (0, 0, width, height)
        wanted = range(self.frames(name)) if indices is None else indices
        inside = min(x, y) >= 0 and w > 0 and h > 0 and x + w <= width and y + h <= height
        if not inside or any(not 0 <= i < self.frames(name) for i in wanted):
            raise TrainingError(
                f"{self.root}: frames {list(wanted)[:3]}… at {x},{y} of {w}x{h} asked of the clip "
                f"{name}, which has {self.frames(name)} of {width}x{height}"
            )
        return squares.read(self._file(name), wanted, (x, y, w, h))

    def write(
        self, name: str, frames: Iterable[Frames], split: str, meta: Mapping[str, Any]
    ) -> None:
        """Store a clip; it appears when it is whole, in place of one of the same name.

        Args:
            name: A folder's name.
            frames: (h, w, 3) each, RGB, all of one size.
            split: `train` or `test`.
            meta: More to remember, as JSON can hold it.

        Raises:
            TrainingError: No frames, frames of several sizes, a wrong split, or a disk that is
                full; nothing is changed then.
        """
        if split not in SPLITS or not name or Path(name).name != name:
            raise TrainingError(
                f"clip {name!r} of split {split!r}, wanted a folder's name and one of {SPLITS}"
            )
        clips = self.root / "clips"
        clips.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=clips, prefix=f".{name}-") as temporary:
            made = Path(temporary) / "clip"
            made.mkdir()
            try:
                shape = squares.write(made / FRAMES, name, frames)
                digest = hashlib.sha256((made / FRAMES).read_bytes()).hexdigest()
                whole = {**meta, "split": split, "sha256": digest}
                whole |= dict(zip(("frames", "height", "width"), shape, strict=False))
                (made / "meta.json").write_text(json.dumps(whole, indent=1) + "\n")
                for path in made.iterdir():
                    with path.open("rb") as file:
                        os.fsync(file.fileno())
            except (OSError, RuntimeError) as error:
                hint = "" if isinstance(error, OSError) else " (is the disk full?)"
                raise TrainingError(f"{clips}: {name} cannot be written: {error}{hint}") from error
            self._replace(name, made)

    def _replace(self, name: str, made: Path) -> None:
        target = self._folder(name)
        self._meta.pop(name, None)
        squares.forget()
        if target.exists():  # a folder cannot be replaced in one go where it is not empty
            target.rename(made.with_name("old"))
        made.rename(target)

    def whole(self, name: str) -> bool:
        """Whether there is such a clip, as far as can be told without reading its frames."""
        try:
            self.meta(name)
        except TrainingError:
            return False
        return self._file(name).is_file()

    def remove(self, name: str) -> None:
        """Delete a clip."""
        self._meta.pop(name, None)
        shutil.rmtree(self._folder(name))

    def damaged(self) -> list[str]:
        """Names of the clips whose frames are not those that were written; reads everything."""
        return [name for name in self.names() if not self._sound(name)]

    def _sound(self, name: str) -> bool:
        try:
            data = self._file(name).read_bytes()
        except OSError:
            return False
        return hashlib.sha256(data).hexdigest() == self.meta(name)["sha256"]

    def _folder(self, name: str) -> Path:
        return self.root / "clips" / name

    def _file(self, name: str) -> Path:
        return self._folder(name) / FRAMES
