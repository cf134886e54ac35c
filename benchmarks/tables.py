"""The paper's tables in small: what each degradation, each structure and each stage brings.

    python benchmarks/tables.py run FOLDER --seeds 3
    python benchmarks/tables.py measure FOLDER
    python benchmarks/tables.py show FOLDER

`run` draws clips and trains every row of `table_rows`, one seed of all rows after the other. Given
again, it goes on where it was stopped, in the middle of a row as well; several may run at a time in
one folder, each taking the next row that none has begun. `--minutes` stops it by the clock. The
pictures that each row makes of the test clips are kept, so that `measure` can take one more measure
of them without any network. `show` prints the tables, with mean and spread over the seeds.

What each budget is, `table_rows.BUDGETS` says. Nobody has run the one of a GPU yet; it is meant for
pieces of under eight minutes, a row taking three of them:

    python benchmarks/tables.py run FOLDER --budget gpu --device cuda --minutes 7
"""

# pyright: reportMissingImports=none
import argparse
import fcntl
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from itertools import product
from pathlib import Path

import learning
import numpy as np
import table_clips
import table_measures
import table_rows
import torch
from table_clips import KNOWN
from table_rows import Budget, Job

from vsanimesr.models import RELEASES
from vsanimesr.training import cli, config
from vsanimesr.training.evaluate import peers
from vsanimesr.training.export.write import export
from vsanimesr.training.networks import stream, trained
from vsanimesr.training.train import recipe, stages

FACTOR = 0.5
"""Of input rescaling; what the paper calls typical."""
MEASURES = ("psnr", "ssim", "lpips")
"""Those of all rows; `--measures` takes the others of `table_measures`. `clipiqa` needs weights."""
COSTS = "costs.md"
"""File of `table_measures.SCORES`, of the peers."""
PEERS = ("bicubic", peers.PEER, *RELEASES)


def run(args: argparse.Namespace) -> None:
    """Train whatever is not done yet."""
    folder: Path = args.folder
    budget = table_rows.BUDGETS[args.budget]
    torch.set_num_threads(args.threads)
    if args.minutes:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        clock = threading.Timer(60 * args.minutes, os.kill, (os.getpid(), signal.SIGTERM))
        clock.daemon = True
        clock.start()
    jobs = table_rows.jobs(folder, budget, args.seeds)
    if args.rows is not None:
        jobs = wanted(jobs, args.rows)
    if jobs:
        with claim(folder / "drawing", wait=True):
            learning.draw(folder / "clips", budget.sizes.clips)
            table_clips.write_videos(folder / table_clips.VIDEOS, budget.sizes)
    while left := [job for job in jobs if not finished(folder, job)]:
        ready = (job for job in left if all(finished(folder, one) for one in job.after))
        if not any(attempt(folder, job, budget, args.device) for job in ready):
            time.sleep(5)  # another process has what this one waits for
    for name in args.peers:
        peer(folder, name, budget, args.device)


def wanted(jobs: list[Job], rows: list[str]) -> list[Job]:
    """The jobs of these rows and all that they need, in order."""
    names = {job.name for job in jobs if job.row in rows}
    for job in reversed(jobs):
        if job.name in names:
            names |= set(job.after)
    return [job for job in jobs if job.name in names]


def finished(folder: Path, job: Job | str) -> bool:
    """Whether all of a job is done."""
    return (folder / "runs" / (job if isinstance(job, str) else job.name) / "done").is_file()


def attempt(folder: Path, job: Job, budget: Budget, device: str) -> bool:
    """Do a job, unless another process is at it. Returns whether it was done."""
    place = folder / "runs" / job.name
    with claim(place / "claim") as free:
        if not free or finished(folder, job):
            return False
        print(f"{time.strftime('%H:%M:%S')} {job.name}", flush=True)
        if job.row.endswith("-rescaled"):
            rescale(folder, job.row.split("-")[1], budget, device)
        train(place, job, device)
        if job.tested:
            weights = place / "weights.safetensors"
            export(place, weights)
            upscale = stream.recurrent(trained.load(str(weights)), torch.device(device))
            test(folder, job.name, upscale, budget)
        (place / "done").touch()
    return True


@contextmanager
def claim(path: Path, *, wait: bool = False) -> Generator[bool]:
    """Hold a file's lock, which ends with the process. Yields whether it could be had."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
        else:
            yield True


def train(place: Path, job: Job, device: str) -> None:
    """Train by the job's recipe, or go on with it."""
    path = learning.ROOT / "training" / job.recipe
    stage = config.load(path, recipe.Stage, table_rows.overrides(job))  # pyright: ignore[reportArgumentType]
    stages.run(stage, place, device)


def rescale(folder: Path, kind: str, budget: Budget, device: str) -> None:
    """Make the pairs of a video by the paper's input rescaling, as `rescale` does.

    Raises:
        SystemExit: It failed.
    """
    sizes = budget.sizes
    model = folder / "runs" / table_rows.PLAIN / "0" / "weights.safetensors"
    words = ["rescale", folder / table_clips.VIDEOS / kind]
    words += [table_rows.pairs(folder, kind, rescaled=True), "--model", model, "--factor", FACTOR]
    words += ["--clips", sizes.films * len(learning.CARTOONS), "--length", sizes.length]
    if status := cli.main([*map(str, words), "--device", device]):
        sys.exit(status)


def test(folder: Path, name: str, upscale: stream.Upscale, budget: Budget) -> None:
    """Keep what a network makes of the test clips."""
    made = {
        clip: np.stack([stream.rounded(image) for image in upscale(poor)])
        for clip, (poor, _) in table_clips.tests(budget.sizes).items()
    }
    table_clips.save_outputs(folder / table_measures.OUTPUTS / f"{name}.npz", made)


def peer(folder: Path, name: str, budget: Budget, device: str) -> None:
    """The same of a network that was not trained here."""
    if not (folder / table_measures.OUTPUTS / name / "0.npz").is_file():
        test(folder, f"{name}/0", peers.load(name, torch.device(device)).upscale, budget)


def costs(names: Sequence[str], device: str, *, rounds: int = 5, frames: int = 6) -> str:
    """What each peer takes: processor time of a frame of 160x120, the least of rounds in turn."""
    loaded = [peers.load(name, torch.device(device)) for name in names]
    source = torch.rand(3, 120, 160, generator=torch.Generator().manual_seed(0))
    least = dict.fromkeys(names, float("inf"))
    for _, (name, one) in product(range(rounds), zip(names, loaded, strict=True)):
        begin = time.process_time()
        deque(one.upscale(source for _ in range(frames)), maxlen=0)
        least[name] = min(least[name], (time.process_time() - begin) / frames)
    lines = [
        "\ncosts\n",
        "| network | parameters | GMAC, 640x480 | ms, 160x120 |",
        "|---|---|---|---|",
    ]
    for name, one in zip(names, loaded, strict=True):
        gmac = one.macs(640, 480) / 1e9
        lines.append(f"| {name} | {one.parameters:,} | {gmac:.1f} | {1000 * least[name]:.0f} |")
    return "\n".join(lines)


def measure(args: argparse.Namespace) -> None:
    """Measure all pictures that are kept, where that is not done yet; time the peers."""
    torch.set_num_threads(args.threads)
    budget = table_rows.BUDGETS[args.budget]
    table_measures.measure(args.folder, budget.sizes, args.measures)
    kept = args.folder / table_measures.SCORES / COSTS
    if not kept.is_file():
        there = {
            path.parent.name for path in (args.folder / table_measures.OUTPUTS).glob("*/0.npz")
        }
        kept.write_text(costs([one for one in args.peers if one in there], args.device))


def show(args: argparse.Namespace) -> None:
    """Print the tables."""
    print(table_measures.tables(args.folder, args.measures, [*KNOWN, "basic"]))
    for file in (table_measures.OPERATORS, COSTS):
        print((args.folder / table_measures.SCORES / file).read_text())


def main() -> None:
    """Run, measure, or show."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("what", choices=("run", "measure", "show"))
    add("folder", type=Path, help="where clips, runs, pictures and measures go")
    add("--budget", choices=list(table_rows.BUDGETS), default="cpu")
    add("--seeds", type=int, default=3)
    add("--rows", nargs="*", help="only these, and what they need (default: all); none: only peers")
    add("--peers", nargs="*", default=PEERS, help="networks to measure beside the rows")
    add("--measures", nargs="+", choices=list(table_measures.MEASURES), default=MEASURES)
    add("--device", default="cpu", help="cpu (default) or cuda")
    add("--minutes", type=float, help="stop then; given again, it goes on")
    add("--threads", type=int, default=1, help="of torch (default: 1)")
    args = parser.parse_args()
    try:
        {"run": run, "measure": measure, "show": show}[args.what](args)
    except KeyboardInterrupt:
        sys.exit("stopped; the same command goes on")


if __name__ == "__main__":
    main()
