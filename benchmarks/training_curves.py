"""Whether another way of training learns the same: curves of several seeds, side by side.

    python benchmarks/training_curves.py FOLDER --against TREE

Trains training/small.toml, much shortened, with each seed: in fp32 by the project as it lies in
TREE (a git worktree of another version), and in bf16 by this one. Of a seed both see the same
samples and begin with the same weights. Prints the loss of every ten iterations: mean and, in
brackets, that of each seed; then how far the two are apart within a seed. Given again, it goes on
where it was stopped.
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
SHORT = {
    "data.workers": 0,
    "train.batch": 2,
    "train.iterations": 70,
    "train.save_every": 70,
    "train.log_every": 10,
    "train.tensorboard": "false",
    "optimizer.milestones": "[40, 60]",
}


def train(tree: Path, run: Path, clips: Path, precision: str, seed: int) -> None:
    """One run, by the command of the project in a folder."""
    settings = SHORT | {"data.root": clips, "train.precision": precision, "train.seed": seed}
    line = [sys.executable, "-m", "vsanimesr.training", "train"]
    line += [str(ROOT / "training" / "small.toml"), str(run), "--device", "cpu"]
    line += [f"--set={key}={value}" for key, value in settings.items()]
    subprocess.run(line, env={**os.environ, "PYTHONPATH": str(tree)}, check=True)


def curve(run: Path) -> list[float]:
    """The squared error of every ten iterations, times 1000."""
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
    args = parser.parse_args()
    ways = {"before-fp32": (args.against.resolve(), "fp32"), "now-bf16": (ROOT, "bf16")}
    learning.draw(args.folder / "clips", 4)
    curves: dict[str, np.ndarray] = {}
    for way, (tree, precision) in ways.items():
        runs = [args.folder / f"{way}-{seed}" for seed in range(args.seeds)]
        for seed, run in enumerate(runs):
            train(tree, run, args.folder / "clips", precision, seed)
        curves[way] = np.array([curve(run) for run in runs])  # (seed, ten iterations)
        cells = (
            f"{at.mean():.2f} ({' '.join(f'{one:.2f}' for one in at)})" for at in curves[way].T
        )
        print(f"| {way} | {' | '.join(cells)} |", flush=True)
    before, now = curves.values()
    apart = np.abs(now / before - 1).max(0)
    print(f"| apart within a seed, at most | {' | '.join(f'{one:.2%}' for one in apart)} |")


if __name__ == "__main__":
    main()
