"""`dataset`: build a dataset of clips from videos, and look into one."""

import argparse
import logging
import os
from collections import Counter
from pathlib import Path

from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from vsanimesr.errors import TrainingError
from vsanimesr.training import config
from vsanimesr.training.clips import ClipStore
from vsanimesr.training.dataset import build, frames, report
from vsanimesr.training.dataset.recipe import DatasetRecipe
from vsanimesr.training.places import make_folder

log = logging.getLogger("vsanimesr")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `dataset`."""
    commands = parser.add_subparsers(required=True, metavar="ACTION", dest="action")
    making = commands.add_parser("build", help="one clip of each video; goes on where it stopped")
    add = making.add_argument
    add("sources", type=Path, nargs="+", metavar="SOURCE", help="videos, or folders of them")
    add("out", type=Path, metavar="OUT", help="folder of the dataset")
    add("--recipe", type=Path, help="such as training/dataset.toml (default: its values)")
    add("--jobs", type=int, default=os.cpu_count(), help="videos at a time (default: every core)")
    looking = commands.add_parser("inspect", help="list the clips and write the report")
    looking.add_argument("out", type=Path, metavar="OUT", help="folder of the dataset")
    looking.add_argument("--verify", action="store_true", help="read all clips, compare hashes")
    for one in (making, looking):  # as before the action
        one.add_argument(
            "--debug",
            action="store_true",
            default=argparse.SUPPRESS,
            help="show where an error came from",
        )


def run(args: argparse.Namespace) -> int:
    """Run the command.

    Returns:
        1 if a video failed or a clip is damaged, else 0.

    Raises:
        TrainingError: An argument, the recipe or the folder cannot be used.
    """
    return _build(args) if args.action == "build" else _inspect(args)


def _build(args: argparse.Namespace) -> int:
    if args.jobs < 1:
        raise TrainingError(f"--jobs {args.jobs}, wanted 1 or more")
    recipe = config.load(args.recipe, DatasetRecipe) if args.recipe else DatasetRecipe()
    videos = frames.videos(args.sources, args.out)
    make_folder(args.out)
    with logging_redirect_tqdm(), tqdm(total=len(videos), unit="video", disable=None) as bar:

        def tell(outcome: build.Outcome) -> None:
            if outcome.detail:
                log.info("%s: %s: %s", outcome.name, outcome.status, outcome.detail)
            bar.update()

        outcomes = build.build(videos, args.out, recipe, jobs=args.jobs, tell=tell)
    count = Counter(outcome.status for outcome in outcomes)
    log.info(
        "%d clips made, %d kept, %d videos without one, %d failed; %s",
        *(count[status] for status in ("made", "kept", "none", "failed")),
        report.write(args.out),
    )
    return 1 if count["failed"] else 0


def _inspect(args: argparse.Namespace) -> int:
    store = ClipStore(args.out)
    names = store.names()
    if not names:
        raise TrainingError(f"{args.out}: no clips there; make some with `dataset build`")
    damaged = set(store.damaged()) if args.verify else set[str]()
    widest = max(map(len, names))
    for name in names:
        width, height = store.size(name)
        log.info(
            "%-*s  %-5s  %5dx%-5d %4d frames%s",
            *(widest, name, store.meta(name)["split"], width, height, store.frames(name)),
            "  DAMAGED" if name in damaged else "",
        )
    if damaged:
        log.error("%d damaged: remove their folders in clips, and build again", len(damaged))
        return 1
    log.info("report: %s", report.write(args.out))
    return 0
