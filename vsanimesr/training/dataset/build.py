"""Builds a dataset video by video: what is done is not done again, what fails stops no other.

OUT/videos/NAME.json  measurements of a video (`analysis.Analysis`)
OUT/clips/NAME        its clip (`clips.ClipStore`)
OUT/build.json        what became of every video in the last run
"""

import multiprocessing
import os
import shutil
import threading
from collections.abc import Callable, Generator, Iterable, Mapping
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import blosc2
import cv2
import msgspec
import torch

from vsanimesr.errors import TrainingError, VsAnimeSRError
from vsanimesr.training import leaving, pictures
from vsanimesr.training.clips import ClipStore
from vsanimesr.training.dataset import analysis, frames, motion, quality, select
from vsanimesr.training.dataset.analysis import Analysis
from vsanimesr.training.dataset.recipe import DatasetRecipe
from vsanimesr.training.dataset.shots import CutFinder

RECORD = "build.json"


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a video."""

    name: str
    path: str
    status: Literal["made", "kept", "none", "failed"]
    """A new clip; that of an earlier run; none in it that is good enough; an error."""
    detail: str = ""
    """Of the last two: why. And what makes one doubt that the video is whole."""


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """What `build.json` holds."""

    recipe: dict[str, Any]
    outcomes: list[Outcome]


def build(
    videos: Mapping[str, Path],
    out: Path,
    recipe: DatasetRecipe,
    *,
    jobs: int,
    tell: Callable[[Outcome], None],
) -> list[Outcome]:
    """Make the clips of all videos. One build at a time may write into a folder.

    Args:
        videos: By the names of their clips.
        out: Folder of the dataset.
        recipe: What to make; a clip that another recipe made otherwise is made again.
        jobs: Videos at a time, each in a process; 1: in this one.
        tell: Is told of every video as it is done.

    Returns:
        In the order of the videos.

    Raises:
        TrainingError: The measures of the recipe cannot be had, or `out` cannot be written.
    """
    motion.load(recipe.motion.method, recipe.motion.file)  # before any video fails by it
    quality.load(recipe.quality.method, recipe.quality.file)
    _clear(out)  # of a build that was killed
    arguments = [(name, path, out, recipe) for name, path in videos.items()]
    done: dict[str, Outcome] = {}
    try:
        with closing(_here(arguments) if jobs == 1 else _in_processes(arguments, jobs)) as results:
            for outcome in results:
                done[outcome.name] = outcome
                tell(outcome)
    finally:
        _clear(out)
    outcomes = [done[name] for name in videos]
    record = Record(recipe=msgspec.to_builtins(recipe, enc_hook=str), outcomes=outcomes)
    pictures.write_bytes(out / RECORD, msgspec.json.format(msgspec.json.encode(record), indent=1))
    return outcomes


def _clear(out: Path) -> None:
    """Remove clips that are not finished."""
    for unfinished in (out / "clips").glob(".*"):
        shutil.rmtree(unfinished, ignore_errors=True)


def build_video(name: str, path: Path, out: Path, recipe: DatasetRecipe) -> Outcome:
    """Make the clip of one video, as far as it is not there.

    Returns:
        What became of it; errors are told, not raised.
    """
    try:
        status, detail = _build(name, path, out, recipe)
    except (VsAnimeSRError, OSError) as error:
        status, detail = "failed", str(error)
    except Exception as error:  # noqa: BLE001 (told with the video's name; the others go on)
        status, detail = "failed", f"{type(error).__name__}: {error}"
    return Outcome(name=name, path=str(path), status=status, detail=detail)


def _build(
    name: str, path: Path, out: Path, recipe: DatasetRecipe
) -> tuple[Literal["made", "kept", "none"], str]:
    source = frames.probe(path)
    store = ClipStore(out)
    there = store.whole(name)
    chosen, doubt = _refused(source, recipe), ""
    if not chosen:
        measured = _analysis(name, path, out, source, recipe)
        doubt = measured.doubt
        transition = select.drawn(recipe.seed, "transition", name, recipe.clip.transitions)
        chosen = select.choose(
            measured, recipe.clip, recipe.motion, recipe.quality, transition=transition
        )
    if isinstance(chosen, str):
        if there:
            store.remove(name)
        return "none", f"{chosen}; {doubt}" if doubt else chosen
    split = "test" if select.drawn(recipe.seed, "test", name, recipe.clip.test) else "train"
    meta = msgspec.to_builtins(chosen) | {
        "source": msgspec.to_builtins(source),
        "path": str(path),
        "form": recipe.frames,
        "measure": recipe.quality.method,
    }
    if there and {**store.meta(name), **meta, "split": split} == store.meta(name):
        return "kept", doubt
    found = frames.read(path, recipe.frames)
    store.write(name, islice(found, chosen.first, chosen.first + chosen.frames), split, meta)
    return "made", doubt


def _refused(source: frames.Source, recipe: DatasetRecipe) -> str:
    """Why the video is not even looked at, or nothing."""
    least = recipe.sources
    if source.height < least.height:
        return f"{source.height} rows, wanted {least.height}"
    if 0 < source.bitrate < least.bitrate:
        return f"{source.bitrate:.0f} kbit/s, wanted {least.bitrate}"
    return ""


def _analysis(
    name: str, path: Path, out: Path, source: frames.Source, recipe: DatasetRecipe
) -> Analysis:
    file = out / "videos" / f"{name}.json"
    settings = recipe.measured().decode()
    if file.is_file():
        found = analysis.load(file.read_bytes(), str(file))
        if (found.source, found.recipe) == (source, settings):
            return found
    lists = analysis.analyse(
        frames.read(path, recipe.frames),
        CutFinder(recipe.shots),
        motion.Speedometer(
            motion.load(recipe.motion.method, recipe.motion.file), recipe.motion.width
        ),
        quality.load(recipe.quality.method, recipe.quality.file),
        recipe.quality.every,
    )
    measured = msgspec.convert(
        {
            "path": str(path),
            "source": msgspec.to_builtins(source),
            "recipe": settings,
            "doubt": frames.doubt(path, len(lists["flat"])),
            **lists,
        },
        Analysis,
    )
    pictures.write_bytes(file, msgspec.json.encode(measured))
    return measured


type Arguments = tuple[str, Path, Path, DatasetRecipe]


def _here(arguments: Iterable[Arguments]) -> Generator[Outcome]:
    for one in arguments:
        yield build_video(*one)


def _in_processes(arguments: Iterable[Arguments], jobs: int) -> Generator[Outcome]:
    context = multiprocessing.get_context("spawn")  # torch's threads survive no fork
    with ProcessPoolExecutor(jobs, mp_context=context, initializer=_set_up) as pool:
        try:
            with leaving.unheard():
                running: dict[Future[Outcome], Arguments] = {
                    pool.submit(build_video, *one): one for one in arguments
                }
            for future in as_completed(running):
                yield _outcome(future, *running[future][:2])
        except BaseException:  # nobody waits for what they do
            for process in multiprocessing.active_children():
                process.terminate()
            raise
        finally:
            pool.shutdown(cancel_futures=True)


def _outcome(future: Future[Outcome], name: str, path: Path) -> Outcome:
    try:
        return future.result()
    except BrokenProcessPool:
        detail = "a process died, for want of memory or at this or another video; build again"
        return Outcome(name=name, path=str(path), status="failed", detail=detail)


def _set_up() -> None:
    """Videos run side by side: within one, more threads would only be in each other's way."""
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    blosc2.set_nthreads(1)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A pool's processes wait for work for ever where the build itself was killed."""
    parent = multiprocessing.parent_process()
    assert parent
    parent.join()
    os._exit(1)


def read_record(out: Path) -> Record | None:
    """What became of every video in the last build, if there was one.

    Raises:
        TrainingError: The file is damaged.
    """
    path = out / RECORD
    if not path.is_file():
        return None
    try:
        return msgspec.json.decode(path.read_bytes(), type=Record)
    except msgspec.DecodeError as error:
        raise TrainingError(f"{path}: damaged ({error}); build again") from error
