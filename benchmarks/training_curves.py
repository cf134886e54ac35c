"""Whether another way of training learns the same: curves of several seeds, side by side.

    python benchmarks/training_curves.py FOLDER --against TREE
    python benchmarks/training_curves.py FOLDER --against TREE --now fp32 --iterations 600

Trains training/small.toml, much shortened, with each seed: in fp32 by the project as it lies in
TREE (a git worktree of another version), and in bf16 by this one. Of a seed both see the same
samples and begin with the same weights. Prints the loss of every seventh of the iterations: mean
and, in brackets, that of each seed; then how far the two are apart within a seed. Given again, it
goes on where it was stopped.
"""

# pyright: reportMissingImports=none
import argparse
import os
import subprocess
import sys
from pathlib import Path

import learning
import numpy as np

from vsanimesr.training.train import journal

ROOT = Path(__file__).parent.parent
SHORT: dict[str, object] = {
    "data.workers": 0,
    "train.batch": 2,
    "train.tensorboard": "false",
}
ROWS = 7
"""Values of a curve."""


def shortened(iterations: int) -> dict[str, object]:
    """What becomes of the recipe."""
    length: dict[str, object] = {"train.iterations": iterations, "train.save_every": iterations}
    milestones = [iterations * 4 // 7, iterations * 6 // 7]
    return (
        SHORT | length | {"train.log_every": iterations // ROWS, "optimizer.milestones": milestones}
    )


def train(tree: Path, run: Path, settings: dict[str, object]) -> None:
    """One run, by the command of the project in a folder."""
    line = [sys.executable, "-m", "vsanimesr.training", "train"]
    line += [str(ROOT / "training" / "small.toml"), str(run), "--device", "cpu"]
    line += [f"--set={key}={value}" for key, value in settings.items()]
    subprocess.run(line, env={**os.environ, "PYTHONPATH": str(tree)}, check=True)


def curve(run: Path) -> list[float]:
    """The squared error of every so many iterations, times 1000."""
    return [1000 * one["losses"]["mse"] for one in journal.read(run) if one["event"] == "step"]


def main() -> None:
    """Train and compare."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("folder", type=Path)
    add("--against", type=Path, required=True)
    add("--seeds", type=int, default=3)
    add("--iterations", type=int, default=70)
    add("--now", choices=("fp32", "bf16"), default="bf16", help="precision of this version")
    add("--set", nargs="+", default=[], metavar="KEY=VALUE", help="more of the recipe's keys")
    args = parser.parse_args()
    ways = {"before-fp32": (args.against.resolve(), "fp32"), f"now-{args.now}": (ROOT, args.now)}
    short = shortened(args.iterations) | dict(one.split("=", 1) for one in args.set)
    learning.draw(args.folder / "clips", 4)
    curves: dict[str, np.ndarray] = {}
    for way, (tree, precision) in ways.items():
        runs = [args.folder / f"{way}-{seed}" for seed in range(args.seeds)]
        for seed, run in enumerate(runs):
            own = {"data.root": args.folder / "clips", "train.precision": precision}
            train(tree, run, short | own | {"train.seed": seed})
        curves[way] = np.array([curve(run) for run in runs])  # (seed, part of the run)
        cells = (
            f"{at.mean():.2f} ({' '.join(f'{one:.2f}' for one in at)})" for at in curves[way].T
        )
        print(f"| {way} | {' | '.join(cells)} |", flush=True)
    before, now = curves.values()
    apart = np.abs(now / before - 1).max(0)
    print(f"| apart within a seed, at most | {' | '.join(f'{one:.2%}' for one in apart)} |")


if __name__ == "__main__":
    main()
