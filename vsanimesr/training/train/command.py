"""`train`: one stage, from its recipe; given again, it goes on where the run stands."""

import argparse
import logging
from pathlib import Path
from typing import cast

import torch

from vsanimesr.training import config
from vsanimesr.training.train import recipe, stages

log = logging.getLogger("vsanimesr")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `train`."""
    parser.description = (
        "Train one stage. The run's folder gets checkpoints, journal.jsonl and tensorboard; if it "
        "has checkpoints, training goes on from the newest. Several processes: put "
        "`torchrun --nproc-per-node N -m vsanimesr.training` in place of "
        "`python -m vsanimesr.training`, on several machines with a folder they share."
    )
    add = parser.add_argument
    add("recipe", type=Path, help="TOML file; those of the paper are in training/")
    add("run", type=Path, help="folder of the run")
    add(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="overrides",
        help="replace one key of the recipe, as in --set train.iterations=20; may be repeated",
    )
    add(
        "--device",
        choices=("auto", "cpu", "cuda"),
        default="auto",
        help="auto (default): cuda where there is one",
    )


def run(args: argparse.Namespace) -> int:
    """Run the command.

    Raises:
        TrainingError: The recipe, its data or the device cannot be used, or training cannot go on.
    """
    stage = config.load(args.recipe, cast(type[recipe.Stage], recipe.Stage), args.overrides)
    device = args.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    log.info(
        "%s: %d iterations by %s, on %s", args.run, stage.train.iterations, args.recipe, device
    )
    stages.run(stage, args.run, device)
    log.info("%s: done", args.run)
    return 0
