"""What a result holds besides packets: attachments, chapters, tags."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vsanimesr.encode.join.plan import Plan
    from vsanimesr.encode.source.times import Times

_TAGS = {"mp4": "encoding_tool", "mov": "comment"}
"""Where tags of the video go, in containers that hold none of streams: what of the few names that
their muxers write comes nearest."""


def furnish(result: Any, rest: Plan, notes: list[str], times: Times, muxer: str) -> None:  # noqa: ANN401
    """Put in what has no packets: attachments, chapters, tags."""
    for file in rest.files:
        attached = result.add_attachment(file.name, file.mime, file.data)
        attached.metadata.update(file.tags)
    result.metadata.update(rest.tags)
    chapters = rest.chapters
    if muxer != "matroska":
        end = (times.pts[-1] + times.last) * times.base
        chapters = _bounded(chapters, end, notes)
    if chapters:
        result.set_chapters(chapters)


def _bounded(
    chapters: list[dict[str, Any]], end: Fraction, notes: list[str]
) -> list[dict[str, Any]]:
    """Chapters as MP4 holds them: each with a title, none after the end, for that is moved."""
    kept = list[dict[str, Any]]()
    for number, chapter in enumerate(chapters, 1):
        base = Fraction(chapter["time_base"])
        if chapter["start"] * base >= end:
            continue
        tags = dict(chapter["metadata"])
        tags.setdefault("title", f"Chapter {number}")
        tags["title"] = tags["title"] or f"Chapter {number}"
        last = min(chapter["end"], int(end / base))
        kept.append(chapter | {"metadata": tags, "end": last})
    if late := len(chapters) - len(kept):
        notes.append(f"{late} chapter{'s' * (late > 1)} after the end of the film left out")
    return kept


def tag(result: Any, tags: Mapping[str, str], muxer: str) -> None:  # noqa: ANN401
    """Say what the video's tags say where the container holds none of streams."""
    if place := _TAGS.get(muxer):
        said = " ".join(f"{name}={value}" for name, value in tags.items())
        result.metadata.setdefault(place, said)
