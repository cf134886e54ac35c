"""The choice of frames as a JSON file, so that a comparison can be repeated with other columns."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vsanimesr.compare.choose import Choice
from vsanimesr.compare.render import Place
from vsanimesr.errors import CompareError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """What was chosen of one source."""

    source: str
    """Its name."""
    length: int
    """Frames it has."""
    frames: list[Choice]
    strip: Place


def write_choice(path: Path, seed: int, chosen: Sequence[Chosen]) -> None:
    """Write the file."""
    clips = [
        {
            "source": one.source,
            "length": one.length,
            "frames": [{"frame": each.frame, "why": each.why} for each in one.frames],
            "strip": {
                "first": one.strip.first,
                "length": one.strip.length,
                "rows": list(one.strip.rows),
            },
        }
        for one in chosen
    ]
    content = {"format": FORMAT, "seed": seed, "clips": clips}
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def read_choice(path: Path) -> list[Chosen]:
    """Read a file that `write_choice` wrote.

    Raises:
        CompareError: It is not there, or is no such file.
    """
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != FORMAT:
            raise CompareError(
                f"compare: {path} is of format {content['format']!r}, wanted {FORMAT}; "
                "choose the frames anew, without --repeat"
            )
        return [_chosen(clip) for clip in content["clips"]]
    except OSError as error:
        raise CompareError(
            f"compare: cannot read the choice of frames {path}: {error.strerror}"
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise CompareError(
            f"compare: {path} is no choice of frames ({type(error).__name__}: {error}); "
            "wanted: the frames.json of an earlier comparison"
        ) from error


def _chosen(clip: dict[str, Any]) -> Chosen:
    strip = clip["strip"]
    return Chosen(
        source=str(clip["source"]),
        length=int(clip["length"]),
        frames=[Choice(frame=int(one["frame"]), why=str(one["why"])) for one in clip["frames"]],
        strip=Place(
            first=int(strip["first"]),
            length=int(strip["length"]),
            rows=[int(row) for row in strip["rows"]],
        ),
    )


def fitting(chosen: Sequence[Chosen], index: int, name: str, length: int, height: int) -> Chosen:
    """The choice for the source of this index.

    Raises:
        CompareError: There is none, or it was made from a clip of another length.
    """
    if index >= len(chosen):
        raise CompareError(
            f"compare: the choice of frames is of {len(chosen)} clips, {name} is number {index + 1}"
        )
    one = chosen[index]
    inside = all(0 <= each.frame < length for each in one.frames) and one.frames
    strip = one.strip
    inside = inside and strip.length > 0 and 0 <= strip.first <= length - strip.length
    if one.length != length or not inside or not all(0 <= row < height for row in strip.rows):
        raise CompareError(
            f"compare: the choice of frames was made from {one.source} of {one.length} frames and "
            f"does not fit {name} of {length} frames, {height} rows; choose anew, without --repeat"
        )
    return one
