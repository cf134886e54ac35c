"""The steps of `job`, in its order; each is done by what lies in the folder of its name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vsanimesr.encode.chunks import Chunk, middle
from vsanimesr.encode.common.durable import temporary
from vsanimesr.encode.common.names import shown
from vsanimesr.encode.common.progress import Pace, Told
from vsanimesr.encode.join.join import join
from vsanimesr.encode.join.planning import plan
from vsanimesr.encode.join.rest import tried
from vsanimesr.encode.render.hdr import lost, static
from vsanimesr.encode.render.trial import try_encoder
from vsanimesr.encode.scenes import find
from vsanimesr.encode.source.picture import Look
from vsanimesr.encode.source.script import is_script
from vsanimesr.encode.source.video import open_video
from vsanimesr.encode.workers.work import Work
from vsanimesr.errors import EncodeError

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    from vsanimesr.encode.given.encoders import Encoding
    from vsanimesr.encode.given.film import Film
    from vsanimesr.encode.join.plan import Plan
    from vsanimesr.encode.journal.journal import Journal
    from vsanimesr.encode.source.media import Source
    from vsanimesr.encode.verify import Made
    from vsanimesr.encode.workers.hire import Crew


def goes_along(
    source: Path, muxer: str, track: int | None, sound_from: Path | None
) -> tuple[int, Plan | None]:
    """Number of the video, and what goes along with it: of a script, nothing by itself."""
    if not is_script(source):
        rest = plan(source, muxer, track=track)
        return rest.track, plan(sound_from, muxer, video=False) if sound_from else rest
    return -1, plan(sound_from, muxer, video=False) if sound_from else None


def opened(film: Film, rest: Plan | None, told: Told) -> Source:
    """The film's source; what is to be known of it is told."""
    pace = Pace("index", 100, told.progress)
    video = open_video(film, lambda percent: pace.at(percent, 100))
    pace.at(100, 100)
    lost = _lost(video, film.encoding, film.source)
    for note in (video.times.note, *video.notes, *(rest.notes if rest else ()), lost):
        if note:
            told.report(note)
    return video


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


def scene_starts(
    film: Film,
    video: Source,
    scenes: str,
    rest: Plan | None,
    muxer: str,
    journal: Journal,
    crew: Crew,
    told: Told,
) -> list[int]:
    """Scene starts; before they are looked for, all that may refuse the film has been asked."""
    starts = journal.scenes()
    if starts is not None:
        return starts
    if note := try_encoder(film, video, temporary(journal.folder, ".mkv"), muxer):
        told.report(note)
    crew.load(film, video)
    for note in tried(rest) if rest else ():
        told.report(note)
    starts = _looked_for(film, video, scenes, told)
    journal.enter_scenes(starts)
    return starts


def _looked_for(film: Film, video: Source, scenes: str, told: Told) -> list[int]:
    """Scene starts, and what only a look at every frame tells."""
    pace = Pace("scenes", len(video.clip), told.progress)
    if scenes == "0":
        return []
    look = Look()
    starts = find(video.clip, scenes == "detect", look, pace.at)
    if why := look.refusal():
        raise EncodeError(f"upscale: {shown(film.source)}: {why}")
    for note in look.notes():
        told.report(note)
    return starts


def looked_at(journal: Journal, chunks: Sequence[Chunk], told: Told) -> dict[Chunk, Made]:
    """Chunks that an earlier run has made, each looked at again."""
    found: dict[Chunk, Made] = {}
    begun = [chunk for chunk in chunks if journal.knows(chunk)]
    if not begun:
        return found
    pace = Pace("check", len(begun), told.progress)
    for chunk in begun:
        if made := journal.made(chunk):
            found[chunk] = made
        pace.moved()
    return found


def rendered(
    film: Film,
    video: Source,
    chunks: Sequence[Chunk],
    made: Collection[Chunk],
    journal: Journal,
    crew: Crew,
    told: Told,
) -> None:
    """Have all other chunks rendered, verified and entered into the journal."""
    pace = Pace("chunks", len(video.clip), told.progress, done=sum(map(len, made)))
    crew.work(
        film,
        video,
        Work(
            chunks=[one for one in chunks if one not in made],
            touch=middle(chunks, film.scenes),
            folder=journal.folder,
            accept=journal.accept,
            enter=journal.enter,
            moved=pace.moved,
            report=told.report,
        ),
    )


def joined(
    chunks: Sequence[Chunk],
    journal: Journal,
    suffix: str,
    video: Source,
    rest: Plan | None,
    muxer: str,
    encoding: Encoding,
    told: Told,
) -> Path:
    """Chunks and the rest as one file, which has no name of its own yet."""
    frames = len(video.clip)
    pace = Pace("join", frames, told.progress)
    part = temporary(journal.folder, suffix)
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
        told.report(note)
    return part
