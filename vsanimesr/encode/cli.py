"""The command `vsanimesr upscale`."""

from __future__ import annotations

import argparse
import contextlib
import signal
import sys
from typing import TYPE_CHECKING

from vsanimesr.encode import arguments
from vsanimesr.encode.arguments import OWN
from vsanimesr.encode.common.names import shown
from vsanimesr.errors import EncodeError, VsAnimeSRError
from vsanimesr.options import defaults

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from vsanimesr.encode.display import Display
    from vsanimesr.encode.inputs import Item

SOME_FAILED = 3
"""Exit status where some of several files failed."""


def add(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    arguments.add(parser)
    parser.set_defaults(run=_run)


def _run(chosen: argparse.Namespace) -> int:
    from vsanimesr.encode.display import Text
    from vsanimesr.encode.events import Events
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
