"""Stored clips, in a form that training reads fast, and the patches drawn from them.

A clip is a folder `ROOT/clips/NAME` with `frames.b2nd`, its frames as lossless compressed squares
of `SQUARE` pixels (Blosc2, zstd), and `meta.json`. A crop so costs the squares it touches instead
of whole frames: docs/data_path.md has the measurement behind the choice.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import blosc2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from vsanimesr.errors import TrainingError

SQUARE = 128
SPLITS = ("train", "test")

type Frames = np.ndarray[Any, np.dtype[np.uint8]]
"""(t, h, w, 3) RGB."""


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
        path = self._folder(name) / "frames.b2nd"
        try:
            stored = _opened(str(path))
        except (OSError, RuntimeError) as error:
            raise TrainingError(
                f"{path}: cannot be opened ({error}); remove the folder and build again"
            ) from error
        result = np.empty((len(wanted), h, w, 3), np.uint8)
        for place, i in enumerate(wanted):
            result[place] = stored[i, y : y + h, x : x + w]
        return result

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
                shape = _store(made / "frames.b2nd", name, frames)
                digest = hashlib.sha256((made / "frames.b2nd").read_bytes()).hexdigest()
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
        _opened.cache_clear()
        if target.exists():  # a folder cannot be replaced in one go where it is not empty
            target.rename(made.with_name("old"))
        made.rename(target)

    def whole(self, name: str) -> bool:
        """Whether there is such a clip, as far as can be told without reading its frames."""
        try:
            self.meta(name)
        except TrainingError:
            return False
        return (self._folder(name) / "frames.b2nd").is_file()

    def remove(self, name: str) -> None:
        """Delete a clip."""
        self._meta.pop(name, None)
        shutil.rmtree(self._folder(name))

    def damaged(self) -> list[str]:
        """Names of the clips whose frames are not those that were written; reads everything."""
        return [name for name in self.names() if not self._sound(name)]

    def _sound(self, name: str) -> bool:
        try:
            data = (self._folder(name) / "frames.b2nd").read_bytes()
        except OSError:
            return False
        return hashlib.sha256(data).hexdigest() == self.meta(name)["sha256"]

    def _folder(self, name: str) -> Path:
        return self.root / "clips" / name


def _store(path: Path, name: str, frames: Iterable[Frames]) -> tuple[int, ...]:
    """Write the frames one by one, and give their common shape (t, h, w, 3)."""
    array: Any = None
    for i, frame in enumerate(frames):
        if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
            raise TrainingError(
                f"clip {name}: frame {i} is {frame.dtype} {frame.shape}, wanted RGB"
            )
        if array is None:
            square = (1, min(SQUARE, frame.shape[0]), min(SQUARE, frame.shape[1]), 3)
            array = blosc2.empty(
                (0, *frame.shape),
                dtype=np.dtype(np.uint8),
                chunks=square,
                blocks=square,
                urlpath=str(path),
                mode="w",
                cparams=blosc2.CParams(
                    codec=blosc2.Codec.ZSTD,
                    clevel=1,
                    typesize=3,
                    filters=[blosc2.Filter.SHUFFLE],
                    nthreads=1,
                ),
                dparams=blosc2.DParams(nthreads=1),  # it is kept in the file
            )
        if array.shape[1:] != frame.shape:
            raise TrainingError(
                f"clip {name}: frame {i} is {frame.shape[1]}x{frame.shape[0]}, the first one "
                f"{array.shape[2]}x{array.shape[1]}; wanted one size"
            )
        array.resize((i + 1, *frame.shape))
        array[i] = frame
    if array is None:
        raise TrainingError(f"clip {name} has no frames")
    return array.shape


@lru_cache(maxsize=256)
def _opened(path: str) -> Any:  # noqa: ANN401 - blosc2 is not typed
    return blosc2.open(path, mode="r")


class PatchDataset(Dataset[Tensor]):
    """Patches of clips: sample number i is the same whoever asks for it, in whatever order.

    As the released code's data sets, but for the draws' independence of workers: frames at one
    distance of `intervals`, backwards with probability `reverse`, one place for all frames, and
    mirrored and transposed with probability 1/2 each.
    """

    def __init__(
        self,
        store: ClipStore,
        *,
        split: str = "train",
        frames: int = 15,
        patch: int = 256,
        intervals: Sequence[int] = (1, 2, 3),
        reverse: float = 0.5,
        flips: bool = True,
        transpose: bool = True,
        seed: int = 0,
    ) -> None:
        """Draw from the clips of a split.

        Raises:
            TrainingError: There are none, or one is too small or too short for a patch.
        """
        self.store, self.length, self.patch = store, frames, patch
        self.intervals, self.reverse = tuple(intervals), reverse
        self.flips, self.transpose, self.seed = flips, transpose, seed
        self.names = store.names(split)
        if not self.names:
            raise TrainingError(f"{store.root} has no clips to {split}: make some with `dataset`")
        for name in self.names:
            if min(store.size(name)) < patch or not self._fitting(name):
                width, height = store.size(name)
                raise TrainingError(
                    f"{store.root}: the clip {name} has {store.frames(name)} frames of "
                    f"{width}x{height}, wanted {frames} of {patch}x{patch} or more"
                )

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, number: int) -> Tensor:
        """Sample `number` (0 or more; it may pass `len`, for a next epoch): (t, 3, p, p), uint8."""
        epoch, position = divmod(number, len(self.names))
        order = np.random.default_rng([self.seed, epoch, 0]).permutation(len(self.names))
        name = self.names[order[position]]
        random = np.random.default_rng([self.seed, number, 1])
        interval = int(random.choice(self._fitting(name)))
        room = self.store.frames(name) - (self.length - 1) * interval
        first = int(random.integers(room))
        indices = [first + interval * k for k in range(self.length)]
        width, height = self.store.size(name)
        x, y = (int(random.integers(side - self.patch + 1)) for side in (width, height))
        backwards, sideways, upside_down, swapped = random.random(4)
        if backwards < self.reverse:
            indices.reverse()
        clip = self.store.read(name, indices, (x, y, self.patch, self.patch))
        if self.flips and sideways < 0.5:
            clip = clip[:, :, ::-1]
        if self.flips and upside_down < 0.5:
            clip = clip[:, ::-1]
        axes = (0, 3, 2, 1) if self.transpose and swapped < 0.5 else (0, 3, 1, 2)
        return torch.from_numpy(np.ascontiguousarray(clip.transpose(axes)))

    def _fitting(self, name: str) -> list[int]:
        """The distances between frames at which the clip is long enough."""
        span = self.store.frames(name) - 1
        return [i for i in self.intervals if (self.length - 1) * i <= span]
