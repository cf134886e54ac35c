"""The page: one HTML file that holds its pictures, written picture by picture."""

from __future__ import annotations

import base64
import math
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Any

from vsanimesr.compare.choose import scenes
from vsanimesr.compare.measures import MEASURES, Measure, means
from vsanimesr.compare.render import clock

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from vsanimesr.compare.choose import Look
    from vsanimesr.compare.measures import Values
    from vsanimesr.compare.record import Chosen
    from vsanimesr.compare.render import Rendered

STRIP_ZOOM = 3
"""Screen pixels a frame of a strip is high."""


@dataclass(frozen=True, kw_only=True)
class Clip:
    """All there is to show of one source."""

    name: str
    width: int
    """Of the columns."""
    height: int
    looks: Sequence[Look]
    chosen: Chosen
    columns: Sequence[tuple[str, Rendered]]
    """Labels and pictures."""
    about: str
    """What to know about its columns."""


@dataclass(frozen=True)
class _Image:
    id: str
    path: Path

    def read(self) -> str:
        """The file in base64, read when the page gets to it."""
        return base64.b64encode(self.path.read_bytes()).decode("ascii")


def write_page(path: Path, title: str, clips: Sequence[Clip], made: Sequence[str]) -> None:
    """Write the page; it gets its name when it is whole.

    Args:
        path: The file.
        title: Of the page.
        clips: All with the same labels.
        made: Lines that tell how it was made.
    """
    import jinja2
    from markupsafe import Markup

    folder = resources.files("vsanimesr.compare")
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    template = environment.from_string((folder / "page.html.j2").read_text("utf-8"))
    shots = [shot for clip in clips for shot in _shots(clip)]
    images: list[_Image] = []
    for clip in clips:
        for i in range(len(clip.chosen.frames)):
            number = len(images) // len(clip.columns)
            images += [
                _Image(f"{number}-{column}", rendered.pictures[i])
                for column, (_, rendered) in enumerate(clip.columns)
            ]
    labels = [label for label, _ in clips[0].columns]
    measures = [one for one in MEASURES if any(one.key in _values(clip) for clip in clips)]
    stream = template.stream(
        title=title,
        style=Markup((folder / "page.css").read_text("utf-8")),
        script=Markup((folder / "page.js").read_text("utf-8")),
        strip_zoom=STRIP_ZOOM,
        strip_length=max(clip.chosen.strip.length for clip in clips),
        clips=[_described(clip, measures) for clip in clips],
        measures=measures,
        made=made,
        images=images,
        data={"columns": labels, "clips": [clip.name for clip in clips], "shots": shots},
    )
    part = path.with_name(path.name + ".part")
    with part.open("w", encoding="utf-8") as file:
        file.writelines(stream)
    part.replace(path)


def _shots(clip: Clip) -> list[dict[str, Any]]:
    starts = scenes(clip.looks)
    found: list[dict[str, Any]] = []
    for choice in clip.chosen.frames:
        look = clip.looks[choice.frame]
        number = sum(start <= choice.frame for start in starts)
        found.append(
            {
                "frame": choice.frame,
                "why": choice.why,
                "type": look.type,
                "time": clock(look.time),
                "scene": f"scene {number}, its frame {choice.frame - starts[number - 1]}",
                "clip": clip.name,
                "width": clip.width,
                "height": clip.height,
            }
        )
    return found


def _values(clip: Clip) -> set[str]:
    return {key for _, rendered in clip.columns for key in table_row(rendered)}


def table_row(rendered: Rendered) -> Values:
    """Means of a column's measures."""
    return means(rendered.values) | rendered.whole


def _described(clip: Clip, measures: Sequence[Measure]) -> dict[str, Any]:
    strip = clip.chosen.strip
    return {
        "name": clip.name,
        "width": clip.width,
        "about": clip.about,
        "table": [
            {
                "label": label,
                "cells": [number(table_row(rendered).get(one.key), one.digits) for one in measures],
            }
            for label, rendered in clip.columns
        ],
        "strips": [
            {
                "row": row,
                "first": strip.first,
                "last": strip.first + strip.length - 1,
                "height": strip.length,
                "columns": [
                    {
                        "label": label,
                        "flicker": number(rendered.over_time[i][0], 3),
                        "boiling": number(rendered.over_time[i][1], 3),
                        "image": _Image("", rendered.strips[i]).read,
                    }
                    for label, rendered in clip.columns
                ],
            }
            for i, row in enumerate(strip.rows)
        ],
    }


def number(value: float | None, digits: int) -> str:
    """A figure of the table; a dash where there is none."""
    if value is None:
        return "\N{EN DASH}"
    return f"{value:.{digits}f}" if math.isfinite(value) else "\N{INFINITY}"
