"""What each of two processes does in test_distributed: one run in one go, one in two parts."""

import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from torch.utils.data import Dataset

from vsanimesr.training.degradation.lbo import Lbo
from vsanimesr.training.train import loop, recipe, stages
from vsanimesr.training.train.samples import Sample


class Halves(Dataset[Sample]):
    """Noise and its halves."""

    def __getitem__(self, number):
        generator = torch.Generator().manual_seed(number)
        given = torch.rand(3, 64, 64, generator=generator)
        return Sample(given, F.avg_pool2d(given, 2))


def train(fabric, run, iterations, batch):
    torch.manual_seed(0)
    loop.train(
        fabric,
        Lbo(),
        Halves(),
        run,
        settings=recipe.Train(
            iterations=iterations, batch=batch, log_every=1, save_every=2, tensorboard=False
        ),
        losses=recipe.Losses(gan=recipe.Gan(scales=1)),
        optimizer=recipe.Optimizer(lr=1e-4),
        record={},
    )


if __name__ == "__main__":
    torch.set_num_threads(1)
    folder = Path(sys.argv[1])
    fabric = stages.processes("cpu")
    train(fabric, folder / "whole", 4, 1)
    train(fabric, folder / "parts", 2, 1)
    torch.rand(3 + fabric.global_rank)
    train(fabric, folder / "parts", 4, 1)
