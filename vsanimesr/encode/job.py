"""The job: one file in, one file out, by chunks that are made once, whatever happens meanwhile."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from vsanimesr.encode.checks import check_arguments, check_paths
from vsanimesr.encode.chunks import CHUNK, Chunk, cut, middle
from vsanimesr.encode.cluster import render_on
from vsanimesr.encode.durable import publish, temporary
from vsanimesr.encode.encoders import Encoding
from vsanimesr.encode.enlarge import AnimeSR, Upscale
from vsanimesr.encode.facts import film_facts
from vsanimesr.encode.ffmpeg import passed_over
from vsanimesr.encode.film import Film
from vsanimesr.encode.hdr import lost, static
from vsanimesr.encode.hire import children, gpus, here
from vsanimesr.encode.join import join, tried
from vsanimesr.encode.journal import Journal
from vsanimesr.encode.messages import logged
from vsanimesr.encode.names import shown
from vsanimesr.encode.parts import held
from vsanimesr.encode.picture import Look
from vsanimesr.encode.progress import Pace, Progress
from vsanimesr.encode.render import Renderer
from vsanimesr.encode.scenes import find
from vsanimesr.encode.script import is_script
from vsanimesr.encode.streams import plan
from vsanimesr.encode.trial import try_encoder
from vsanimesr.encode.video import open_video
from vsanimesr.encode.workers import Work, run
from vsanimesr.errors import EncodeError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from vsanimesr.encode.source import Source
    from vsanimesr.encode.streams import Plan
    from vsanimesr.encode.verify import Made


@dataclass(frozen=True, kw_only=True)
class Result:
    """What became of a file."""

    output: Path
    frames: int
    seconds: float
    """Since the call."""
    rendered: int
    """Frames that were made now, not by an earlier run."""
    resumed: int
    """Chunks that an earlier run had made."""
    chunks: int
    size: int
    """Bytes of the file."""


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
    encoding, upscale = encoding or Encoding(), upscale or AnimeSR()
    check_arguments(scenes, chunk, workers, encoding)
    if output.is_symlink():
        output = output.resolve()
    muxer = check_paths(source, output, overwrite)
    if note := passed_over(encoding.codec):  # and the absence of any is told before all else
        report(note)
    with held(output, report) as parts, logged(report):
        if fresh:
            parts.forget()
        number, rest = _rest(source, muxer, track, sound_from)
        film = Film(
            source=source.absolute(),
            track=number,
            upscale=upscale,
            encoding=encoding,
            incomplete=incomplete,
            progressive=progressive,
        )
        video = _opened(film, rest, report, progress)
        frames = len(video.clip)
        journal = Journal(parts.folder, output)
        journal.agree(film_facts(film, video, scenes, chunk))
        count = workers or max(1, len(gpus(upscale.device)))
        alone = not scheduler and count == 1
        renderer = None
        starts = journal.scenes()
        if starts is None:
            try_encoder(film, video, temporary(parts.folder, ".mkv"), muxer)
            renderer = Renderer(film, video) if alone else None  # what it refuses is told first
            for note in tried(rest) if rest else ():
                report(note)
            starts = _scenes(film, video, scenes, report, progress)
            journal.enter_scenes(starts)
        film = replace(film, scenes=tuple(starts))
        chunks = cut(frames, starts, upscale.block, chunk)
        parts.keep = parts.keep or len(chunks) > 1
        resumed = _looked_at(journal, chunks, progress)
        work = Work(
            chunks=[one for one in chunks if one not in resumed],
            touch=middle(chunks, starts),
            folder=parts.folder,
            accept=journal.accept,
            enter=journal.enter,
            moved=Pace("chunks", frames, progress, done=sum(map(len, resumed))).moved,
            report=report,
        )
        if scheduler:
            render_on(scheduler, film, work)
        elif alone:
            run(work, here(film, renderer or Renderer(film, video)) if work.chunks else [])
        else:
            run(work, children(film, count, upscale.device, report))
        pace = Pace("join", frames, progress)
        part = temporary(parts.folder, output.suffix)
        notes = join(
            [journal.file(one) for one in chunks],
            part,
            times=video.times,
            rest=rest,
            muxer=muxer,
            tags={"ENCODER_SETTINGS": encoding.settings()},
            moved=lambda done: pace.at(done, frames),
        )
        for note in notes:
            report(note)
        size = part.stat().st_size
        check_paths(source, output, overwrite)  # it may have appeared meanwhile
        if note := publish(part, output):
            report(f"{shown(output)} is whole, but its folder cannot be synced: {note}")
        parts.keep = False
    return Result(
        output=output,
        frames=frames,
        seconds=time.monotonic() - begun,
        rendered=frames - sum(map(len, resumed)),
        resumed=len(resumed),
        chunks=len(chunks),
        size=size,
    )


def _rest(
    source: Path, muxer: str, track: int | None, sound_from: Path | None
) -> tuple[int, Plan | None]:
    """Number of the video, and what goes along with it: of a script, nothing by itself."""
    if not is_script(source):
        rest = plan(source, muxer, track=track)
        return rest.track, plan(sound_from, muxer, video=False) if sound_from else rest
    return -1, plan(sound_from, muxer, video=False) if sound_from else None


def _opened(
    film: Film,
    rest: Plan | None,
    report: Callable[[str], None],
    progress: Callable[[Progress], None],
) -> Source:
    """The film's source; what is to be known of it is told."""
    pace = Pace("index", 100, progress)
    video = open_video(film, lambda percent: pace.at(percent, 100))
    pace.at(100, 100)
    lost = _lost(video, film.encoding, film.source)
    for note in (video.times.note, *video.notes, *(rest.notes if rest else ()), lost):
        if note:
            report(note)
    return video


def _scenes(
    film: Film,
    video: Source,
    scenes: str,
    report: Callable[[str], None],
    progress: Callable[[Progress], None],
) -> list[int]:
    """Scene starts, and what only a look at every frame tells."""
    pace = Pace("scenes", len(video.clip), progress)
    if scenes == "0":
        return []
    look = Look()
    starts = find(video.clip, scenes == "detect", look, pace.at)
    if why := look.refusal():
        raise EncodeError(f"upscale: {shown(film.source)}: {why}")
    for note in look.notes():
        report(note)
    return starts


def _lost(video: Source, encoding: Encoding, source: Path) -> str:
    """What HDR metadata does not get into the result, or nothing."""
    import vapoursynth as vs

    try:
        props = video.clip.get_frame(0).props
    except vs.Error as error:
        raise EncodeError(f"frame 0 of {shown(source)}: {error}") from error
    names = lost(props)
    if encoding.arguments:
        names = [*static(props), *names]
    return f"{', '.join(names)} data of {shown(source.name)} is not carried over" if names else ""


def _looked_at(
    journal: Journal, chunks: Sequence[Chunk], progress: Callable[[Progress], None]
) -> dict[Chunk, Made]:
    """Chunks that an earlier run has made, each looked at again."""
    found: dict[Chunk, Made] = {}
    begun = [chunk for chunk in chunks if journal.knows(chunk)]
    if not begun:
        return found
    pace = Pace("check", len(begun), progress)
    for chunk in begun:
        if made := journal.made(chunk):
            found[chunk] = made
        pace.moved()
    return found
