"""The command `vsanimesr upscale`."""

from __future__ import annotations

import argparse
import contextlib
import shlex
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vsanimesr.encode.names import shown
from vsanimesr.errors import EncodeError, VsAnimeSRError
from vsanimesr.options import defaults, meanings

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from vsanimesr.encode.display import Display
    from vsanimesr.encode.inputs import Item

OWN = ("format", "scenes")  # arguments of the filter that mean something else here
SOME_FAILED = 3
"""Exit status where some of several files failed."""


def add(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    from vsanimesr.encode import CHUNK, CRF, ENCODERS, FORMATS, MUXERS, PRESETS, SCENES, Encoding

    parser.description = (
        "Enlarge the video of files. Frame times, sound, subtitles, chapters, attachments and "
        "tags are kept; what the result's container cannot hold is said. What is done is kept "
        "beside the result until that is whole: after an end of any kind the same command goes on."
    )
    flag: dict[str, Any] = {"action": "store_true", "default": argparse.SUPPRESS}
    names = ("overwrite", "fresh", "recursive", "json", "incomplete")
    parser.set_defaults(**dict.fromkeys(names, False))
    known = ", ".join(MUXERS)
    parser.add_argument("sources", type=Path, nargs="+", metavar="IN", help="videos, or folders")
    parser.add_argument(
        "output",
        type=Path,
        metavar="OUT",
        help=f"the file to write ({known}), or a folder for several; those done are skipped",
    )
    parser.add_argument("--overwrite", help="replace OUT if it exists", **flag)
    parser.add_argument("--fresh", help="forget what an earlier run has done", **flag)
    parser.add_argument("--recursive", help="take folders in folders, too", **flag)
    parser.add_argument("--json", help="write events as JSON lines to standard output", **flag)
    parser.add_argument("--incomplete", help="take a source that is not whole", **flag)
    parser.add_argument(
        "--fieldbased",
        choices=("believe", "ignore"),
        default="believe",
        help="ignore: take frames that are marked as interlaced for progressive ones",
    )
    own: dict[str, Any] = {"default": argparse.SUPPRESS}
    parser.add_argument("--track", type=int, help="number of the video among all streams", **own)
    parser.add_argument(
        "--sound-from", type=Path, metavar="FILE", help="take all but the video from there", **own
    )
    network = parser.add_argument_group("network")
    for name, meaning in meanings().items():
        if name not in OWN:
            value = defaults()[name]
            network.add_argument(
                f"--{name}", type=type(value), default=value, help=meaning.replace("`", "")
            )
    network.add_argument(
        "--scenes",
        choices=SCENES,
        default=SCENES[0],
        help=f"start anew at scene changes: {SCENES[0]} finds them, 1 takes those marked by the "
        "decoder, 0 ignores them",
    )
    video = parser.add_argument_group("video")
    video.add_argument("--encoder", choices=ENCODERS, default=ENCODERS[0], help="encoder")
    crf = ", ".join(f"{value:g} for {name}" for name, value in CRF.items())
    presets = ", ".join(f"{value} for {name}" for name, value in PRESETS.items())
    video.add_argument("--crf", type=float, help=f"quality, lower is better ({crf})", **own)
    video.add_argument("--preset", help=f"the encoder's speed ({presets})", **own)
    video.add_argument("--format", choices=FORMATS, default=Encoding().format, help="pixel format")
    video.add_argument(
        "--ffmpeg-args",
        type=shlex.split,
        metavar='"..."',
        help="ffmpeg's options for the video, in place of --encoder, --crf and --preset, "
        'such as --ffmpeg-args="-c:v libvvenc -qp 24"',
        **own,
    )
    work = parser.add_argument_group("work")
    work.add_argument(
        "--workers",
        type=int,
        default=0,
        help="processes that render; 0: one for each GPU, or none besides the command's own",
    )
    work.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help="of a Dask cluster whose workers render instead (extra `cluster`)",
        **own,
    )
    work.add_argument(
        "--chunk", type=int, default=CHUNK, help="least frames that are rendered by themselves"
    )
    parser.set_defaults(run=_run)


def _run(chosen: argparse.Namespace) -> int:
    from vsanimesr.encode.display import Events, Text
    from vsanimesr.encode.inputs import items

    todo = items(chosen.sources, chosen.output, recursive=chosen.recursive)
    job = _job(chosen)
    display: Display = Events(sys.stdout) if chosen.json else Text(sys.stdout, sys.stderr)
    with terminable(), contextlib.closing(display):
        if len(todo) == 1 and chosen.sources == [todo[0].source]:
            display.begin(todo[0].source, todo[0].output)
            try:
                job(todo[0], display)
            except (VsAnimeSRError, OSError) as error:
                if chosen.json:  # people are told by whoever catches it
                    display.fail(todo[0].source, " ".join(str(error).split()))
                raise
            return 0
        failed = [item for item in todo if not _tried(item, job, display, chosen.overwrite)]
        if failed:
            names = ", ".join(shown(item.source) for item in failed)
            display.say(f"{len(failed)} of {len(todo)} files failed: {names}")
        return SOME_FAILED if failed else 0


def _tried(
    item: Item, job: Callable[[Item, Display], None], display: Display, overwrite: bool
) -> bool:
    """Do one of several; whether it is done."""
    display.begin(item.source, item.output)
    try:
        if item.clash:
            raise EncodeError(f"would become {shown(item.output)}, as {shown(item.clash)} does")
        if item.output.exists() and not overwrite:
            display.skip(item.output)
        else:
            job(item, display)
    except (VsAnimeSRError, OSError) as error:
        display.fail(item.source, " ".join(str(error).split()))
        return False
    return True


def _job(chosen: argparse.Namespace) -> Callable[[Item, Display], None]:
    from vsanimesr import encode

    named = vars(chosen)
    options = {name: named[name] for name in defaults() if name not in OWN}
    encoding = encode.Encoding(
        encoder=chosen.encoder,
        crf=named.get("crf"),
        preset=named.get("preset"),
        format=chosen.format,
        arguments=tuple(named.get("ffmpeg_args", ())),
    )

    def job(item: Item, display: Display) -> None:
        result = encode.upscale_file(
            item.source,
            item.output,
            encoding=encoding,
            upscale=encode.AnimeSR(options),
            track=named.get("track"),
            sound_from=named.get("sound_from"),
            scenes=chosen.scenes,
            chunk=chosen.chunk,
            incomplete=chosen.incomplete,
            progressive=chosen.fieldbased == "ignore",
            workers=chosen.workers,
            scheduler=named.get("scheduler", ""),
            fresh=chosen.fresh,
            overwrite=chosen.overwrite,
            report=display.say,
            progress=display.move,
        )
        display.end(result)

    return job


@contextlib.contextmanager
def terminable() -> Generator[None]:
    """A polite end by the system, too, or of the terminal, unwinds as a Ctrl-C does."""

    def end(number: int, _frame: object) -> None:
        sys.exit(128 + number)

    names = [name for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    kept = {name: signal.getsignal(getattr(signal, name)) for name in names}
    before = {name: handler for name, handler in kept.items() if handler != signal.SIG_IGN}  # nohup
    for name in before:
        signal.signal(getattr(signal, name), end)
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(getattr(signal, name), handler)
