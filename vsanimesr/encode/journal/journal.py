"""What is done: what the encode is made of, its scenes, its chunks by hash. Each fact is a file.

So a damaged file costs what it tells and no more, and there is nothing to be repaired.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from vsanimesr.encode.common.durable import digest, publish, read_record, write_record
from vsanimesr.encode.common.names import shown
from vsanimesr.encode.verify import Made
from vsanimesr.errors import EncodeError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from vsanimesr.encode.chunks import Chunk

FILM = "film"
"""Name of the record of what is chosen: source, arguments, weights."""
MAKER = "maker"
"""Name of the record of what decides bytes where chunks are made: versions, engine, encoder."""


class Journal:
    """The records in one folder."""

    def __init__(self, folder: Path, output: Path) -> None:
        """Read `folder`; messages are about `output`."""
        self.folder = folder
        """Where it lies."""
        self._name = shown(output.name)
        self._keys: dict[str, str] = {}

    def agree(self, values: Mapping[str, str]) -> None:
        """Compare what is chosen with what was begun, or begin.

        Raises:
            EncodeError: Something differs: all of it is told, with both values.
        """
        if told := self._differs(FILM, values):
            raise EncodeError(
                f"upscale: {self._name} was begun otherwise: {told}; "
                "give --fresh to forget what is done, or the same again to go on"
            )

    def accept(self, facts: Mapping[str, str]) -> str:
        """Compare what a worker is with the one that made the first chunk, or make it that one.

        Returns:
            What differs, or nothing.
        """
        key = _key(facts)
        made = (read_record(path) for path in self.folder.glob("0*.json"))
        others = {one.get("maker", key) for one in made if one} - {key}
        if others and read_record(self.folder / f"{MAKER}.json") is None:
            return "what made the chunks before is lost, and was another; --fresh forgets them"
        return self._differs(MAKER, facts)

    def _differs(self, record: str, values: Mapping[str, str]) -> str:
        path = self.folder / f"{record}.json"
        known = read_record(path)
        if known is not None and self._has_work() and (told := differences(known, values)):
            return told
        if known != dict(values):
            write_record(path, dict(values))
        self._keys[record] = _key(values)
        return ""

    def _has_work(self) -> bool:
        return any(self.folder.glob("0*.json")) or (self.folder / "scenes.json").exists()

    def scenes(self) -> list[int] | None:
        """Scene starts, if they are known."""
        found = read_record(self.folder / "scenes.json")
        return None if found is None else [int(start) for start in found]

    def enter_scenes(self, starts: list[int]) -> None:
        """Keep the scene starts."""
        write_record(self.folder / "scenes.json", starts)

    def file(self, chunk: Chunk) -> Path:
        """Where a finished chunk lies."""
        return self.folder / f"{chunk.start:08d}.mkv"

    def knows(self, chunk: Chunk) -> bool:
        """Whether there is a record of a chunk, whatever it says."""
        return self._record(chunk).exists()

    def made(self, chunk: Chunk) -> Made | None:
        """A finished chunk, looked at again; None: it has to be made.

        Raises:
            EncodeError: It was made of something else, and the record of that is damaged.
        """
        known = read_record(self._record(chunk))
        if known is None or [known["start"], known["stop"]] != [chunk.start, chunk.stop]:
            return None
        if known["key"] != self._keys[FILM]:
            raise EncodeError(
                f"upscale: {chunk} of {self._name} was made with other values, and what "
                "they were is lost; give --fresh to forget what is done"
            )
        made = Made(**known["made"])
        try:
            intact = digest(self.file(chunk)) == made.sha256
        except OSError:
            return None
        return made if intact else None

    def enter(self, chunk: Chunk, path: Path, made: Made) -> None:
        """Keep a finished chunk: its file first, then that it is there.

        Raises:
            OSError: There is no room for it.
        """
        publish(path, self.file(chunk))
        keys = {"key": self._keys[FILM], "maker": self._keys.get(MAKER, "")}
        about = {"start": chunk.start, "stop": chunk.stop, **keys, "made": asdict(made)}
        write_record(self._record(chunk), about)

    def _record(self, chunk: Chunk) -> Path:
        return self.file(chunk).with_suffix(".json")


def _key(values: Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps(dict(values), sort_keys=True).encode()).hexdigest()


def differences(then: Mapping[str, str], now: Mapping[str, str]) -> str:
    """All that differs, with both values."""
    names = [*now, *(name for name in then if name not in now)]
    told = ((name, then.get(name, "nothing"), now.get(name, "nothing")) for name in names)
    return ", ".join(f"{name} {old} then and {new} now" for name, old, new in told if old != new)
