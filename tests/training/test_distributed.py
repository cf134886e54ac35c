"""Two processes, joined by gloo on the CPU, as torchrun starts them."""

import os
import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from training.distributed_run import train

from vsanimesr.training import checkpoint, pictures
from vsanimesr.training.train import journal, stages

HERE = Path(__file__).parent
TIMEOUT = 240


def launch(*words, processes=2):
    """Start processes that know of each other as torchrun has them know."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = {"WORLD_SIZE": processes, "LOCAL_WORLD_SIZE": processes, "MASTER_PORT": port}
    common |= {"MASTER_ADDR": "127.0.0.1", "TORCHELASTIC_RUN_ID": "test", "OMP_NUM_THREADS": 1}
    common |= {"GROUP_RANK": 0, "PYTHONPATH": HERE.parent}
    return [
        subprocess.Popen(
            [sys.executable, "-W", "error::UserWarning", *map(str, words)],
            env=os.environ | {k: str(v) for k, v in common.items()} | {"RANK": r, "LOCAL_RANK": r},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for r in map(str, range(processes))
    ]


def finish(processes):
    try:
        said = [process.communicate(timeout=TIMEOUT)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0] * len(processes), "\n".join(said)


def equal(one, other):
    assert one.keys() == other.keys()
    return all(torch.equal(one[name], other[name]) for name in one)


def test_two_processes_are_one_with_the_doubled_batch_and_resume(tmp_path):
    processes = launch(HERE / "distributed_run.py", tmp_path)
    train(stages.processes("cpu"), tmp_path / "one", 4, 2)
    finish(processes)
    whole, parts, one = (checkpoint.latest(tmp_path / n) for n in ("whole", "parts", "one"))
    for name in ("params", "params_ema", "discriminator"):
        assert equal(whole[name], parts[name])  # 2 + 2 = 4, bit for bit
    assert len(whole["random"]) == 2
    for a, b in zip(whole["random"], parts["random"], strict=True):
        assert torch.equal(a["torch"], b["torch"])
    moved = 0.0
    first = checkpoint.load(checkpoint.stored(tmp_path / "one")[0])
    for name, value in one["params"].items():
        torch.testing.assert_close(whole["params"][name], value, rtol=1e-4, atol=2e-7)
        moved = max(moved, (value - first["params"][name]).abs().max().item())
    assert moved > 1e-4  # far more than the tolerance
    said = [
        [line["losses"]["l1"] for line in journal.read(tmp_path / name) if line["event"] == "step"]
        for name in ("whole", "one")
    ]
    assert said[0] == pytest.approx(said[1], rel=1e-5)
    starts = [line for line in journal.read(tmp_path / "parts") if line["event"] == "start"]
    assert [(line["iteration"], line["processes"]) for line in starts] == [(0, 2), (2, 2)]


RECIPE = """
trains = "lbo"
[data]
roots = ["{root}"]
patch = 64
workers = {workers}
[optimizer]
lr = 1e-4
[losses.gan]
scales = 1
[train]
iterations = {iterations}
batch = 1
log_every = 1
save_every = 2
tensorboard = false
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="SIGKILL")
def test_the_command_killed_again_and_again_ends_as_one_that_was_not(tmp_path):
    noise, root = np.random.default_rng(0), tmp_path / "pairs"
    for number in range(4):
        frame = noise.integers(0, 256, (48, 48, 3), np.uint8)
        pictures.write_png(root / f"lr/{number}.png", frame)
        pictures.write_png(root / f"hr/{number}.png", frame.repeat(2, 0).repeat(2, 1))
    path = tmp_path / "lbo.toml"
    path.write_text(RECIPE.format(root=root, iterations=30, workers=0))
    command = ["-m", "vsanimesr.training", "train", path]
    finish(launch(*command, tmp_path / "whole", "--device", "cpu"))
    moments, kills = random.Random(0), 0
    killed = tmp_path / "killed"
    for _ in range(8):
        processes = launch(*command, killed, "--device", "cpu")
        seen = len(checkpoint.stored(killed))
        end = time.monotonic() + TIMEOUT
        while len(checkpoint.stored(killed)) == seen and time.monotonic() < end:
            if all(process.poll() is not None for process in processes):
                break
            time.sleep(0.01)
        time.sleep(moments.uniform(0, 1.5))
        for process in processes:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
                kills += 1
            process.communicate()
    assert kills >= 2
    finish(launch(*command, killed, "--device", "cpu"))
    whole, parts = (checkpoint.latest(tmp_path / name) for name in ("whole", "killed"))
    assert whole["iteration"] == parts["iteration"] == 30
    for name in ("params", "params_ema", "discriminator"):
        assert equal(whole[name], parts[name])
