"""Which files become which: one, several, or all of a folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vsanimesr.encode.common.names import shown
from vsanimesr.encode.given.containers import MUXERS
from vsanimesr.errors import EncodeError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

VIDEOS = frozenset(
    f".{name}"
    for name in (
        *("3gp", "asf", "avi", "divx", "f4v", "flv", "m2ts", "m2v", "m4v", "mkv", "mov", "mp4"),
        *("mpeg", "mpg", "mts", "mxf", "nut", "ogm", "ogv", "rm", "rmvb", "ts", "vob", "webm"),
        *("wmv", "y4m"),
    )
)
"""Names' ends by which files of a folder are taken for videos; a file that is named is taken."""


@dataclass(frozen=True)
class Item:
    """One file to make."""

    source: Path
    output: Path
    clash: Path | None = None
    """Another source that becomes the same file."""


def items(sources: Sequence[Path], output: Path, *, recursive: bool = False) -> list[Item]:
    """Pair files with results; folders of results are made.

    Args:
        sources: Files and folders.
        output: A file, or a folder where there are several sources or one is a folder.
        recursive: Take the folders in folders, too, and keep them in the results.

    Raises:
        EncodeError: `output` is a file where a folder is wanted, or nothing is to be done.
    """
    several = len(sources) > 1 or sources[0].is_dir()
    if not several and not output.is_dir():
        return [Item(sources[0], output)]
    if output.exists() and not output.is_dir():
        raise EncodeError(
            f"upscale: {shown(output)} is a file; wanted: a folder for several results"
        )
    if not several and output.is_dir():
        return [Item(sources[0], _named(sources[0], output))]
    pairs: list[tuple[Path, Path]] = []
    for source in sources:
        if source.is_dir():
            found = _videos(source, output, recursive)
            pairs += [(path, output / path.relative_to(source).parent) for path in found]
        else:
            pairs.append((source, output))
    if not pairs:
        raise EncodeError(f"upscale: no video in {', '.join(map(shown, sources))}")
    made: dict[Path, Path] = {}
    result: list[Item] = []
    for source, folder in pairs:
        _make(folder)
        name = _named(source, folder)
        result.append(Item(source, name, made.get(name)))
        made.setdefault(name, source)
    return result


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EncodeError(
            f"upscale: the folder {shown(folder)} cannot be made ({error.strerror}); name another"
        ) from error


def _videos(folder: Path, output: Path, recursive: bool) -> Iterator[Path]:
    """Videos of a folder by name, without hidden ones and those in `output`."""
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if path.is_dir():
            if recursive and path.resolve() != output.resolve():
                yield from _videos(path, output, recursive)
        elif path.suffix.lower() in VIDEOS:
            yield path


def _named(source: Path, folder: Path) -> Path:
    """The result's name: containers that can be written are kept, all else becomes Matroska."""
    kept = source.suffix.lower() in MUXERS
    return folder / (source.name if kept else f"{source.stem}.mkv")
