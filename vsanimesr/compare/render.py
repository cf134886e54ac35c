"""Renders the columns of one source, picture by picture: nothing but a strip's rows is kept.

Files lie as clients of slow.pics write them: a folder a column, in the columns' order, in each the
frames by their number. `slowpics.json` beside the folders has the names that slow.pics shows.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from vsanimesr.compare.look import gray, picture, rgb
from vsanimesr.compare.measures import Values, against, of_picture
from vsanimesr.compare.strips import LENGTH, Strip, rows
from vsanimesr.errors import CompareError
from vsanimesr.still import still

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import numpy as np
    import vapoursynth as vs

    from vsanimesr.compare.choose import Choice, Look
    from vsanimesr.compare.columns import Column


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a strip is taken."""

    first: int
    length: int
    rows: Sequence[int]
    """Of the source."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """What all columns of a source share."""

    source: vs.VideoNode
    choices: Sequence[Choice]
    """Frames to keep, in the order of the clip."""
    where: Place
    stands: Sequence[np.ndarray | None]
    """`stillness` of the source there."""
    original: vs.VideoNode | None = None
    """RGB24 of the columns' size that pictures are measured against."""
    niqe: Callable[[np.ndarray], float | None] | None = None
    """Of an (h, w, 3) uint8 picture; not measured where there is none."""

    def frames(self) -> list[int]:
        """All that have to be rendered, ascending."""
        lasting = range(self.where.first, self.where.first + self.where.length)
        return sorted({choice.frame for choice in self.choices} | set(lasting))


@dataclass(frozen=True, kw_only=True)
class Rendered:
    """What became of one column."""

    pictures: list[Path]
    """A PNG for each choice."""
    strips: list[Path]
    """A PNG for each row of the place."""
    values: list[Values]
    """Measures of each choice."""
    over_time: list[tuple[float | None, float | None]]
    """Flicker and boiling of each row."""
    whole: Values
    """Flicker and boiling of the whole pictures."""


def place(clip: vs.VideoNode, first: int, length: int, count: int) -> Place:
    """The most telling rows of the frame in the middle of a stretch."""
    import vapoursynth as vs

    core: Any = vs.core
    with core.std.Sobel(gray(clip)).get_frame(first + length // 2) as frame:
        found = rows(picture(frame), count)
    return Place(first=first, length=min(length, LENGTH), rows=found)


def stillness(clip: vs.VideoNode, where: Place, looks: Sequence[Look]) -> list[np.ndarray | None]:
    """For each frame of a strip, where the source stands still since the one before.

    None for the strip's first frame and where a scene starts.
    """
    found: list[np.ndarray | None] = []
    before: np.ndarray | None = None
    seen = gray(clip)
    for n in range(where.first, where.first + where.length):
        with seen.get_frame(n) as frame:
            now = picture(frame)
        follows = before is not None and not looks[n].starts
        found.append(still(before, now) if before is not None and follows else None)
        before = now
    return found


def render(
    column: Column, task: Task, folder: Path, strips: Path, done: Callable[[], None]
) -> Rendered:
    """Render one column's pictures and strips.

    Args:
        column: What is rendered.
        task: Frames, rows, and what they are measured against.
        folder: Where its pictures go; made if it is not there.
        strips: Where its strips go; the same.
        done: Called after each frame.

    Raises:
        CompareError: A frame cannot be rendered.
    """
    import vapoursynth as vs

    where, original = task.where, task.original
    clip = _judged(column.clip, original)
    small = rgb(task.source)
    kept = {choice.frame for choice in task.choices}
    scale = clip.height / small.height
    strip = Strip([int((row + 0.5) * scale) for row in where.rows])
    digits = max(len(str(len(clip))), 4)
    pictures: list[Path] = []
    values: list[Values] = []
    for n in task.frames():
        try:
            with clip.get_frame(n) as frame:
                image, judged = picture(frame), frame.props.get("SSIMULACRA2")
            if n in kept:
                with small.get_frame(n) as frame:
                    value = of_picture(image, picture(frame))
                if task.niqe is not None:
                    value["niqe"] = task.niqe(image)
                if original is not None:
                    with original.get_frame(n) as frame:
                        value |= against(image, picture(frame))
                    value["ssimulacra2"] = None if judged is None else float(cast("Any", judged))
                values.append(value)
                pictures.append(save(folder / f"{n:0{digits}}.png", image))
        except vs.Error as error:
            raise CompareError(f"compare: frame {n} of {column.label}: {error}") from error
        if where.first <= n < where.first + where.length:
            strip.add(image, task.stands[n - where.first])
        done()
    return Rendered(
        pictures=pictures,
        strips=[
            save(strips / f"{folder.name}, row {row:04}.png", strip.picture(i))
            for i, row in enumerate(where.rows)
        ],
        values=values,
        over_time=[(strip.flicker(row), strip.boiling(row)) for row in strip.at],
        whole={"flicker": strip.flicker(), "boiling": strip.boiling()},
    )


def _judged(clip: vs.VideoNode, original: vs.VideoNode | None) -> vs.VideoNode:
    """The clip with the property SSIMULACRA2, where there is an original and the plugin."""
    import vapoursynth as vs

    core: Any = vs.core
    if original is None or not hasattr(core, "vszip"):
        return clip
    judged = core.vszip.SSIMULACRA2(original, clip)
    return core.std.CopyFrameProps(clip, judged, props=["SSIMULACRA2"])


def save(path: Path, image: np.ndarray) -> Path:
    """Write an (h, w, 3) uint8 picture as PNG: lossless, the same bytes each time."""
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path, "PNG", compress_level=6)
    return path


def folder_name(number: int, label: str) -> str:
    """A column's folder: its number keeps the order and keeps names apart that disks do not."""
    plain = re.sub(r'[<>:"/\\|?*\x00-\x1f]', "_", label)[:60].strip(" .")
    return f"{number} {plain}".strip()


def write_names(
    path: Path,
    title: str,
    looks: Sequence[Look],
    choices: Sequence[Choice],
    columns: Sequence[tuple[str, Rendered]],
) -> None:
    """Write what slow.pics calls a comparison: a name for each frame, one for each picture."""
    comparisons = [
        {
            "name": f"{clock(looks[choice.frame].time)} / {choice.frame}",
            "images": [
                {
                    "name": f"{label} ({looks[choice.frame].type})"
                    if looks[choice.frame].type
                    else label,
                    "file": rendered.pictures[i].relative_to(path.parent).as_posix(),
                }
                for label, rendered in columns
            ],
        }
        for i, choice in enumerate(choices)
    ]
    content = {"collectionName": title, "comparisons": comparisons}
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def clock(seconds: float) -> str:
    """h:mm:ss.mmm."""
    milliseconds = round(seconds * 1000)
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{minutes // 60}:{minutes % 60:02}:{rest // 1000:02}.{rest % 1000:03}"
