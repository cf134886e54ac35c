"""What the bytes of an encode follow from, by name: for the journal, and to compare workers."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vsanimesr import __version__
from vsanimesr.encode.common.durable import temporary
from vsanimesr.encode.common.ffmpeg import find_ffmpeg, version
from vsanimesr.encode.source.script import is_script, script_facts

if TYPE_CHECKING:
    from vsanimesr.encode.chunks import Chunk
    from vsanimesr.encode.given.film import Film
    from vsanimesr.encode.render.renderer import Renderer
    from vsanimesr.encode.source.media import Source

END = 1 << 20
"""Bytes at both ends of a source that are hashed: containers keep their tables there."""
SHOWN = 12
"""Digits of a hash that people are shown; 48 bits."""


def source_facts(path: Path, video: Source) -> dict[str, str]:
    """What a source is: its size, its ends, its frames and when each is shown."""
    sha = hashlib.sha256()
    with path.open("rb") as file:
        size = file.seek(0, 2)
        for place in (0, max(0, size - END)):
            file.seek(place)
            sha.update(file.read(END))
    clip, times = video.clip, video.times
    shown = hashlib.sha256(f"{times.base} {times.last} {times.pts}".encode()).hexdigest()
    picture = f"{clip.width}x{clip.height} {clip.format.name}"
    return {
        "the source's size": str(size),
        "the source's ends": sha.hexdigest()[:SHOWN],
        "the source's video": f"{len(clip)} frames, {picture}, times {shown[:SHOWN]}",
    }


def film_facts(film: Film, video: Source, scenes: str, least: int) -> dict[str, str]:
    """All that is chosen, by the user or with the source."""
    encoding = film.encoding
    return {
        **source_facts(film.source, video),
        "the source's time": str(film.source.stat().st_mtime_ns),
        **(script_facts(film.source) if is_script(film.source) else {}),
        "track": str(film.track),
        "incomplete": str(film.incomplete),
        "progressive": str(film.progressive),
        **film.upscale.arguments(),
        "scenes": scenes,
        "chunk": str(least),
        "encoder": encoding.settings(),
        "format": encoding.format,
    }


def maker_facts(renderer: Renderer, touch: Chunk, folder: Path) -> dict[str, str]:
    """What makes the bytes, and what it makes of one frame.

    Args:
        renderer: Here, or on whatever machine works.
        touch: A chunk whose first frame is rendered and encoded: versions that are alike may
            still compute other bytes on another processor or driver.
        folder: Where it may lie for the moment.
    """
    import vapoursynth as vs

    core: Any = vs.core
    one, path = replace(touch, stop=touch.start + 1), temporary(folder, ".mkv")
    try:
        made = renderer.render(one, path)
    finally:
        path.unlink(missing_ok=True)
    plugins = {"decoder": "bs", "detector": "scd"}
    here = {name: getattr(core, space) for name, space in plugins.items() if hasattr(core, space)}
    return {
        **source_facts(renderer.film.source, renderer.video),
        "vapoursynth-animesr": __version__,
        "VapourSynth": str(vs.__version__.release_major),
        **{name: f"{plugin.version.major}.{plugin.version.minor}" for name, plugin in here.items()},
        **renderer.film.upscale.engine(),
        "ffmpeg": _ffmpeg(renderer.film.encoding.codec),
        f"frame {touch.start}": renderer.digest(touch.start)[:SHOWN],
        f"frame {touch.start} encoded": made.sha256[:SHOWN],
        "head of chunks": made.head[:SHOWN],
    }


def _ffmpeg(encoder: str) -> str:
    said = version(str(find_ffmpeg(encoder)))
    first = said.partition("\n")[0].removeprefix("ffmpeg version ").partition(" Copyright")[0]
    return f"{first} ({hashlib.sha256(said.encode()).hexdigest()[:SHOWN]})"
