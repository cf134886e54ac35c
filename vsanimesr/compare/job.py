"""A whole comparison: look, choose, render, measure, write."""

from __future__ import annotations

import importlib.util
import json
import math
from typing import TYPE_CHECKING

from vsanimesr import __version__
from vsanimesr.compare.choose import choose, stretch
from vsanimesr.compare.columns import Column, make
from vsanimesr.compare.look import Source, looks, open_source, rgb
from vsanimesr.compare.natural import niqe
from vsanimesr.compare.page import Clip, table_row, write_page
from vsanimesr.compare.record import Chosen, fitting, read_choice, write_choice
from vsanimesr.compare.render import (
    Rendered,
    Task,
    folder_name,
    place,
    render,
    stillness,
    write_names,
)
from vsanimesr.compare.strips import LENGTH
from vsanimesr.compare.wish import CHOICE, PAGE, Wish
from vsanimesr.errors import CompareError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    import numpy as np
    import vapoursynth as vs

MEASURED = "measures.json"
ORIGINAL = "original"
LIMIT = 1 << 30
"""Bytes of raw pictures, of which the page will have about a third; browsers take no more than half
a thousand million characters of text at once."""


def compare(
    wish: Wish,
    report: Callable[[str], None] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Make a comparison.

    Args:
        wish: What is compared.
        report: Called with lines about what is being done.
        progress: Called with steps done and steps in all, anew for each thing reported.

    Returns:
        The page. Beside it lie the pictures, the choice of frames and the measures.

    Raises:
        CompareError: Something of it cannot be had; no page is written then.
    """
    report, progress = report or _silent, progress or _silent
    for name in ("jinja2", "PIL", "av"):
        if importlib.util.find_spec(name) is None:
            raise CompareError(
                f"compare: {name} is missing; install it: "
                "pip install 'vapoursynth-animesr[compare]'"
            )
    out = wish.folder / PAGE
    if out.exists() and not wish.overwrite:
        raise CompareError(f"compare: {out} exists; name another folder, or give --overwrite")
    if wish.originals and len(wish.originals) != len(wish.sources):
        raise CompareError(
            f"compare: {len(wish.originals)} originals for {len(wish.sources)} sources, "
            "wanted: one for each, in the same order"
        )
    if not wish.columns:
        raise CompareError("compare: no columns, wanted at least one")
    if min(wish.count, wish.rows) < 1:
        raise CompareError(
            f"compare: count={wish.count}, rows={wish.rows}, wanted: 1 or more of each"
        )
    earlier = read_choice(wish.repeat) if wish.repeat else None
    judge = niqe() if wish.niqe else None
    clips: list[Clip] = []
    for i, path in enumerate(wish.sources):
        source = open_source(path)
        original = open_source(wish.originals[i]) if wish.originals else None
        columns = make(wish.columns, source, wish.options)
        clips.append(_clip(wish, i, source, columns, original, earlier, judge, report, progress))
    write_choice(wish.folder / CHOICE, wish.seed, [clip.chosen for clip in clips])
    _write_measures(wish.folder / MEASURED, clips)
    options = ", ".join(f"{name}={value}" for name, value in wish.options.items())
    report(f"writing {out}")
    made = [
        f"vsanimesr {__version__}, columns {' '.join(wish.columns)}",
        f"arguments of Upscale: {options or 'the defaults'}",
        f"frames by seed {wish.seed}; {CHOICE} beside this page repeats the choice (--repeat)",
        "pictures are 8 bit RGB made by VapourSynth's resize.Bicubic from each column's own format",
    ]
    write_page(out, " and ".join(clip.name for clip in clips), clips, made)
    return out


def _silent(*_: object) -> None: ...


def _clip(
    wish: Wish,
    index: int,
    source: Source,
    columns: list[Column],
    original: Source | None,
    earlier: Sequence[Chosen] | None,
    judge: Callable[[np.ndarray], float | None] | None,
    report: Callable[[str], None],
    progress: Callable[[int, int], None],
) -> Clip:
    """Choose, render and measure the frames of one source."""
    width, height = columns[0].clip.width, columns[0].clip.height
    against = _original(original, source, width, height)
    if against is not None:
        columns = [*columns, Column(label=ORIGINAL, clip=against)]
    report(f"looking at {len(source.clip)} frames of {source.name}")
    seen = looks(source, progress)
    if earlier is None:
        first, length = stretch(seen, LENGTH)
        chosen = Chosen(
            source=source.name,
            length=len(source.clip),
            frames=choose(seen, wish.frames, wish.count, wish.seed),
            strip=place(source.clip, first, length, wish.rows),
        )
    else:
        chosen = fitting(earlier, index, source.name, len(source.clip), source.clip.height)
    raw = 3 * width * height * len(columns) * len(chosen.frames) * len(wish.sources)
    if raw > LIMIT:
        fewer = max(1, len(chosen.frames) * LIMIT // raw)
        raise CompareError(
            f"compare: {len(chosen.frames)} frames of {len(columns)} columns of {width}x{height} "
            f"are too much for one page; wanted: at most --count {fewer}, or a cropped clip"
        )
    task = Task(
        source=source.clip,
        choices=chosen.frames,
        where=chosen.strip,
        stands=stillness(source.clip, chosen.strip, seen),
        original=against,
        niqe=judge,
    )
    name = folder_name(index + 1, source.path.stem)
    frames, done = len(task.frames()), 0

    def one_more() -> None:
        nonlocal done
        done += 1
        progress(done, frames * len(columns))

    rendered: list[tuple[str, Rendered]] = []
    for i, column in enumerate(columns, 1):
        report(f"rendering {frames} frames of {column.label}")
        folder = wish.folder / "pictures" / name / folder_name(i, column.label)
        strips = wish.folder / "strips" / name
        rendered.append((column.label, render(column, task, folder, strips, one_more)))
    names = wish.folder / "pictures" / name / "slowpics.json"
    write_names(names, source.name, seen, chosen.frames, rendered)
    notes = [f"{column.label}: {column.note}." for column in columns if column.note]
    about = f"{len(chosen.frames)} frames; over time {chosen.strip.length} frames from frame "
    about += f"{chosen.strip.first} on. {' '.join(notes)}"
    return Clip(
        name=source.name,
        width=width,
        height=height,
        looks=seen,
        chosen=chosen,
        columns=rendered,
        about=about.strip(),
    )


def _original(
    original: Source | None, source: Source, width: int, height: int
) -> vs.VideoNode | None:
    if original is None:
        return None
    clip = original.clip
    if (clip.width, clip.height, len(clip)) != (width, height, len(source.clip)):
        raise CompareError(
            f"compare: the original {original.name} is {clip.width}x{clip.height} of {len(clip)} "
            f"frames, wanted {width}x{height} of {len(source.clip)}"
        )
    return rgb(clip)


def _write_measures(path: Path, clips: Sequence[Clip]) -> None:
    """Every number there is; what is not finite is null."""

    def plain(values: Mapping[str, float | None]) -> dict[str, float | None]:
        return {k: v if v is None or math.isfinite(v) else None for k, v in values.items()}

    content = [
        {
            "source": clip.name,
            "columns": [
                {
                    "label": label,
                    "means": plain(table_row(rendered)),
                    "frames": [
                        {"frame": choice.frame} | plain(values)
                        for choice, values in zip(clip.chosen.frames, rendered.values, strict=True)
                    ],
                    "strips": [
                        {"row": row, "flicker": flicker, "boiling": boiling}
                        for row, (flicker, boiling) in zip(
                            clip.chosen.strip.rows, rendered.over_time, strict=True
                        )
                    ],
                }
                for label, rendered in clip.columns
            ],
        }
        for clip in clips
    ]
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
