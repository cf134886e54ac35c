"""Whether another way of training learns the same: curves of several seeds, side by side.

    python benchmarks/training_curves.py FOLDER --against TREE

Trains training/small.toml, shortened, with each seed: in fp32 by the project as it lies in TREE (a
git worktree of another version), and in fp32 and bf16 by this one. All see the same samples. Prints
the PSNR of the running average on clips that were not trained on, at every checkpoint. Given again,
it goes on where it was stopped.
"""

# pyright: reportMissingImports=none
import argparse
import os
import subprocess
import sys
from pathlib import Path

import learning
import numpy as np
import torch

from vsanimesr.training import checkpoint
from vsanimesr.training.degradation.degrade import Recipe

ROOT = Path(__file__).parent.parent
SHORT = {
    "data.workers": 0,
    "train.batch": 2,
    "train.iterations": 240,
    "train.save_every": 60,
    "train.tensorboard": "false",
    "optimizer.milestones": "[120, 200]",
}


def train(tree: Path, run: Path, clips: Path, precision: str, seed: int) -> None:
    """One run, by the command of the project in a folder."""
    settings = SHORT | {"data.root": clips, "train.precision": precision, "train.seed": seed}
    line = [sys.executable, "-m", "vsanimesr.training", "train"]
    line += [str(ROOT / "training" / "small.toml"), str(run), "--device", "cpu"]
    line += [f"--set={key}={value}" for key, value in settings.items()]
    subprocess.run(line, env={**os.environ, "PYTHONPATH": str(tree)}, check=True)


def curve(run: Path, clips: learning.Clips) -> list[float]:
    """PSNR, the mean over the clips, of every checkpoint."""
    found: list[float] = []
    for path in checkpoint.stored(run):
        average = checkpoint.load(path)[checkpoint.EMA]
        weights = {name: value.numpy() for name, value in average.items()}
        found.append(learning.mean(learning.measure(weights, clips)))
    return found


def main() -> None:
    """Train and measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("folder", type=Path)
    add("--against", type=Path, required=True)
    add("--seeds", type=int, default=3)
    args = parser.parse_args()
    ways = {
        "before, fp32": (args.against.resolve(), "fp32"),
        "now, fp32": (ROOT, "fp32"),
        "now, bf16": (ROOT, "bf16"),
    }
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    learning.draw(args.folder / "clips", 4)
    for seed in range(args.seeds):
        for way, (tree, precision) in ways.items():
            run = args.folder / f"{way.replace(', ', '-')}-{seed}"
            train(tree, run, args.folder / "clips", precision, seed)
    clips = learning.held_out(Recipe(ops="basic"), 1)
    for way in ways:
        runs = [args.folder / f"{way.replace(', ', '-')}-{seed}" for seed in range(args.seeds)]
        curves = np.array([curve(run, clips) for run in runs])  # (seed, checkpoint)
        cells = (
            f"{mean:.2f} ({' '.join(f'{one:.2f}' for one in at)})"
            for mean, at in zip(curves.mean(0), curves.T, strict=True)
        )
        print(f"| {way} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
