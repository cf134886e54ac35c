"""The columns of a comparison: the source enlarged by a scaler, weights, and other scripts."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vsanimesr.compare.look import SCRIPTS, Source, rgb, run_script
from vsanimesr.compare.wish import SCALERS
from vsanimesr.encode.common.names import shown
from vsanimesr.errors import CompareError
from vsanimesr.models import RELEASES, SCALE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import vapoursynth as vs

WEIGHTS = (".pth", ".safetensors")


@dataclass(frozen=True, kw_only=True)
class Column:
    """One way to enlarge a source."""

    label: str
    clip: vs.VideoNode
    """RGB24, all columns of a source of one size and length."""
    note: str = ""
    """What to know about it."""


def make(words: Sequence[str], source: Source, options: Mapping[str, str | float]) -> list[Column]:
    """Columns by their words, in this order.

    Args:
        words: A scaler's name, `v1`, `v2`, a file of weights, or a script (`x.vpy`, or `x.vpy:1`
            for its output 1); `label=` before it names the column.
        source: What is enlarged. Scripts find its path in their variable `source`.
        options: Arguments of `Upscale` for weights; its `scale` goes for scalers, too.

    Raises:
        CompareError: A word is none of these, two columns have one name, a script gives another
            number of frames, or the filter refuses.
    """
    import vapoursynth as vs

    core: Any = vs.core
    made: list[tuple[str, vs.VideoNode | None, str]] = []
    for word in words:
        label, what = _labelled(word)
        try:
            made.append((label, _clip(what, source, options), what))
        except vs.Error as error:
            raise CompareError(f"compare: column {word}: {error}") from error
    labels = [label for label, _, _ in made]
    for label in labels:
        if labels.count(label) > 1:
            raise CompareError(
                f"compare: two columns are called {label}; name one as in other={label}"
            )
    width, height = _size([clip for _, clip, _ in made if clip], source, options)
    columns: list[Column] = []
    for label, clip, what in made:
        note = ""
        if clip is None:
            clip = _scaled(what, source.clip, width, height)
        elif (clip.width, clip.height) != (width, height):
            note = f"{clip.width}x{clip.height}, brought to {width}x{height} by bicubic"
            clip = core.resize.Bicubic(clip, width, height)
        columns.append(Column(label=label, clip=rgb(clip), note=note))
    return columns


def _labelled(word: str) -> tuple[str, str]:
    label, equals, what = word.partition("=")
    if equals and label and what:
        return label, what
    path = Path(word)
    known = path.suffix.lower() in (*WEIGHTS, *SCRIPTS)
    return (path.stem if known else path.name), word


def _clip(what: str, source: Source, options: Mapping[str, str | float]) -> vs.VideoNode | None:
    """The column's clip, or None for a scaler, which follows the size of the others."""
    script, number = what, 0
    if found := re.fullmatch(r"(.+\.\w+):([0-9]+)", what):
        script, number = found[1], int(found[2])
    if Path(script).suffix.lower() in SCRIPTS:
        clip = run_script(Path(script), number, source.path)
        if len(clip) != len(source.clip):
            raise CompareError(
                f"compare: {shown(Path(what))} gives {len(clip)} frames, {source.name} has "
                f"{len(source.clip)}; wanted: as many, in the same order"
            )
        return clip
    if what in RELEASES or Path(what).suffix.lower() in WEIGHTS:
        from vsanimesr.vs.functions import upscale

        return upscale(source.clip, **{"model": what} | dict(options))
    return None


def _size(
    clips: Sequence[vs.VideoNode], source: Source, options: Mapping[str, str | float]
) -> tuple[int, int]:
    """The size of the largest clip that is not smaller than the source enlarged."""
    scale = float(options.get("scale", SCALE))
    plain = round(source.clip.width * scale), round(source.clip.height * scale)
    return max(((clip.width, clip.height) for clip in clips), default=plain)


def _scaled(name: str, clip: vs.VideoNode, width: int, height: int) -> vs.VideoNode:
    import vapoursynth as vs

    core: Any = vs.core
    if name in SCALERS:
        return getattr(core.resize, name.capitalize())(clip, width, height)
    wanted = (
        f"wanted {', '.join((*SCALERS, *RELEASES))}, a file of weights "
        f"({', '.join(WEIGHTS)}) or a script ({SCRIPTS[0]})"
    )
    try:
        from vskernels import Scaler
    except ImportError:
        raise CompareError(
            f"compare: column {name} is unknown; {wanted}; with the extra jet also any scaler of "
            "vs-jetpack"
        ) from None
    try:
        return Scaler.ensure_obj(name).scale(clip, width, height)
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise CompareError(
            f"compare: column {name} is no scaler that works here ({reason}); {wanted}"
        ) from error
