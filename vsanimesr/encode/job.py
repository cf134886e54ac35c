"""The job: one file in, one file out, by chunks that are made once, whatever happens meanwhile."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from vsanimesr.encode.chunks import CHUNK, cut
from vsanimesr.encode.common.durable import publish
from vsanimesr.encode.common.ffmpeg import passed_over
from vsanimesr.encode.common.messages import logged
from vsanimesr.encode.common.names import shown
from vsanimesr.encode.common.progress import Told
from vsanimesr.encode.given.checks import check_arguments, check_paths
from vsanimesr.encode.given.encoders import Encoding
from vsanimesr.encode.given.enlarge import AnimeSR, Upscale
from vsanimesr.encode.given.film import Film
from vsanimesr.encode.journal.journal import Journal
from vsanimesr.encode.journal.parts import held
from vsanimesr.encode.result import Result
from vsanimesr.encode.steps import goes_along, joined, looked_at, opened, rendered, scene_starts
from vsanimesr.encode.workers.facts import film_facts
from vsanimesr.encode.workers.hire import Crew

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from vsanimesr.encode.common.progress import Progress


def upscale_file(
    source: Path,
    output: Path,
    *,
    encoding: Encoding | None = None,
    upscale: Upscale | None = None,
    track: int | None = None,
    sound_from: Path | None = None,
    scenes: str = "detect",
    chunk: int = CHUNK,
    incomplete: bool = False,
    progressive: bool = False,
    workers: int = 0,
    scheduler: str = "",
    fresh: bool = False,
    overwrite: bool = False,
    report: Callable[[str], None] = lambda _: None,
    progress: Callable[[Progress], None] = lambda _: None,
) -> Result:
    """Enlarge the video of a file; keep its frame times, sound, subtitles, chapters and tags.

    What is done lies beside `output` in `.NAME.parts`, and the same call goes on with it after an
    error, a Ctrl-C, or the end of the process. `output` is written when all is done and checked.

    Args:
        source: A file with video, or a VapourSynth script whose output 0 is one.
        output: The file to write: .mkv, .mp4, .m4v or .mov. Of a link, what it leads to.
        encoding: How to compress; None: the defaults of `Encoding`.
        upscale: What enlarges the clip; None: `core.animesr.Upscale` with its defaults.
        track: Number of the video stream among all streams; None: the default one.
        sound_from: A file that sound, subtitles and all the rest are taken from, not `source`.
        scenes: One of `SCENES`.
        chunk: Least frames of a chunk, 1 or more.
        incomplete: Whether the source may be shorter than it states.
        progressive: Whether marks of interlaced frames are ignored.
        workers: Processes that render; 0: one for each GPU, or none besides this one.
        scheduler: Address of a Dask scheduler whose workers render, or the file it has written.
        fresh: Whether to forget what an earlier call has done.
        overwrite: Whether `output` may exist.
        report: Called with each line the user should read.
        progress: Called whenever something moves.

    Raises:
        EncodeError: The source cannot be read or enlarged, the result cannot be written, or what
            is done was done with other arguments or versions.
        OptionError: An argument is not possible.
    """
    begun = time.monotonic()
    encoding, upscale, told = encoding or Encoding(), upscale or AnimeSR(), Told(report, progress)
    check_arguments(scenes, chunk, workers, encoding)
    output = output.resolve() if output.is_symlink() else output
    muxer = check_paths(source, output, overwrite)
    if note := passed_over(encoding.codec):  # and the absence of any is told before all else
        report(note)
    with held(output, report) as parts, logged(report):
        if fresh:
            parts.forget()
        number, rest = goes_along(source, muxer, track, sound_from)
        film = Film(
            source=source.absolute(),
            track=number,
            upscale=upscale,
            encoding=encoding,
            incomplete=incomplete,
            progressive=progressive,
        )
        video = opened(film, rest, told)
        journal = Journal(parts.folder, output)
        journal.agree(film_facts(film, video, scenes, chunk))
        crew = Crew(workers, scheduler, upscale.device)
        starts = scene_starts(film, video, scenes, rest, muxer, journal, crew, told)
        film = replace(film, scenes=tuple(starts))
        chunks = cut(len(video.clip), starts, upscale.block, chunk)
        parts.keep = parts.keep or len(chunks) > 1
        made = looked_at(journal, chunks, told)
        rendered(film, video, chunks, made, journal, crew, told)
        part = joined(chunks, journal, output.suffix, video, rest, muxer, encoding, told)
        size = part.stat().st_size
        check_paths(source, output, overwrite)  # it may have appeared meanwhile
        if note := publish(part, output):
            report(f"{shown(output)} is whole, but cannot be synced to the disk: {note}")
        parts.keep = False
    return Result(
        output=output,
        frames=len(video.clip),
        seconds=time.monotonic() - begun,
        rendered=len(video.clip) - sum(map(len, made)),
        resumed=len(made),
        chunks=len(chunks),
        size=size,
    )
