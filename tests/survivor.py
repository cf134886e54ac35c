"""An encode that ends itself, with all its children, at the n-th thing it does.

python survivor.py SOURCE OUTPUT N [JSON of arguments]; N 0: it counts, and prints how much it does.
"""

import functools
import itertools
import json
import os
import sys
from pathlib import Path

import psutil
from enlargers import By

from vsanimesr.encode import Encoding, job, scenes, steps, upscale_file
from vsanimesr.encode.common import durable
from vsanimesr.encode.common.ffmpeg import Process
from vsanimesr.encode.journal import journal
from vsanimesr.encode.render import renderer
from vsanimesr.encode.workers import facts

count = itertools.count(1)


def end():
    for child in psutil.Process().children(recursive=True):
        child.kill()
    os.kill(os.getpid(), 9)


def counted(function, at):
    @functools.wraps(function)
    def call(*given, **named):
        if next(count) == at:
            end()
        result = function(*given, **named)
        if next(count) == at:
            end()
        return result

    return call


def main(source, output, at, options):
    at = int(at)
    for place, name in (
        (durable, "publish"),
        (journal, "publish"),
        (journal, "write_record"),
        (job, "publish"),
        (steps, "find"),
        (steps, "open_video"),
        (renderer, "verify"),
        (facts, "source_facts"),
        (scenes, "detected"),
        (Process, "write"),
        (Process, "finish"),
        (os, "fsync"),
    ):
        setattr(place, name, counted(getattr(place, name), at))

    def moved(progress):
        if progress.stage in ("join", "scenes") and next(count) == at:
            end()

    encoding = Encoding(preset="ultrafast", **options.pop("encoding", {}))
    upscale_file(
        Path(source), Path(output), upscale=By(), encoding=encoding, progress=moved, **options
    )
    if not at:
        print(next(count))


if __name__ == "__main__":
    main(*sys.argv[1:4], json.loads(sys.argv[4]) if len(sys.argv) > 4 else {})
