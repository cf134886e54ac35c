import errno
import os
import random
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from vsanimesr.errors import TrainingError
from vsanimesr.training import checkpoint

CPU = torch.device("cpu")


def state(iteration, size=1000):
    """A state whose numbers all tell the iteration."""
    return {"iteration": iteration, "params": {"w": torch.full((size,), float(iteration))}}


def whole(found):
    return bool((found["params"]["w"] == found["iteration"]).all())


def test_what_was_saved_comes_back_and_the_last_ones_are_kept(tmp_path):
    assert checkpoint.latest(tmp_path) is None
    for iteration in range(1, 6):
        checkpoint.save(tmp_path, iteration, state(iteration), keep=2)
    names = [path.name for path in sorted((tmp_path / "checkpoints").iterdir())]
    assert names == ["00000004.pt", "00000005.pt"]
    found = checkpoint.latest(tmp_path)
    assert found["iteration"] == 5
    assert whole(found)


def test_random_generators_go_on():
    def draw():
        gauss = [random.gauss(0, 1), np.random.standard_normal()]  # noqa: NPY002
        return [*gauss, random.random(), np.random.random(), torch.randn(3).tolist()]  # noqa: NPY002

    draw()
    saved = checkpoint.random_state(CPU)
    before = draw()
    draw()
    checkpoint.restore_random(saved, CPU)
    assert draw() == before


def test_random_states_survive_the_file(tmp_path):
    saved = checkpoint.random_state(CPU)
    before = [random.random(), np.random.random(), torch.rand(1).item()]  # noqa: NPY002
    checkpoint.save(tmp_path, 1, {"random": [saved]}, keep=1)
    checkpoint.restore_random(checkpoint.latest(tmp_path)["random"][0], CPU)
    assert [random.random(), np.random.random(), torch.rand(1).item()] == before  # noqa: NPY002


def cut(content):
    return content[: len(content) // 2]


def flip(content):
    place = content.index(torch.full((4,), 2.0).numpy().tobytes()) + 5
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


@pytest.mark.parametrize("damage", [cut, flip, lambda content: b""])
def test_a_damaged_one_is_found_and_the_one_before_taken(tmp_path, caplog, damage):
    for iteration in (1, 2):
        checkpoint.save(tmp_path, iteration, state(iteration), keep=3)
    first, last = checkpoint.stored(tmp_path)
    last.write_bytes(damage(last.read_bytes()))
    with pytest.raises(TrainingError, match=r"00000002.pt: .*damaged( \(Bad CRC-32)?"):
        checkpoint.load(last)
    assert checkpoint.latest(tmp_path)["iteration"] == 1
    assert "00000002.pt" in caplog.text
    assert "taking the one before" in caplog.text
    first.write_bytes(b"no zip")
    with pytest.raises(TrainingError, match="all 2 checkpoints are damaged"):
        checkpoint.latest(tmp_path)


class Evil:
    def __reduce__(self):
        return exec, ("raise SystemExit('run')",)


def test_no_code_of_a_checkpoint_is_run(tmp_path):
    torch.save({"iteration": Evil()}, tmp_path / "evil.pt")
    with pytest.raises(TrainingError, match=r"evil.pt: cannot be read"):
        checkpoint.load(tmp_path / "evil.pt")


def test_a_full_disk_leaves_the_last_one(tmp_path):
    checkpoint.save(tmp_path, 1, state(1), keep=1)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(TrainingError, match=r"00000002.pt: cannot be .*00000001.pt is still"):
            checkpoint.save(tmp_path, 2, state(2, 1_000_000), keep=1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["00000001.pt"]
    assert whole(checkpoint.latest(tmp_path))


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_no_space_at_any_step_leaves_the_last_one(tmp_path, monkeypatch, call):
    checkpoint.save(tmp_path, 1, state(1), keep=1)

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(*((os, call) if call == "fsync" else (Path, call)), full)
    with pytest.raises(TrainingError, match=r"No space left on device.*00000001.pt is still"):
        checkpoint.save(tmp_path, 2, state(2), keep=1)
    monkeypatch.undo()
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["00000001.pt"]


KILLED = """
import os, random, signal, sys, time
from pathlib import Path
import torch
torch.set_num_threads(1)
from vsanimesr.training import checkpoint

run, rounds = Path(sys.argv[1]), int(sys.argv[2])
size, done, cut = 500_000, 0, 0
random.seed(0)
for _ in range(rounds):
    child = os.fork()
    if not child:
        for i in range(done + 1, done + 1000):
            state = {"iteration": i, "params": {"w": torch.full((size,), float(i))}}
            checkpoint.save(run, i, state, keep=2)
        os._exit(1)
    time.sleep(random.uniform(0.02, 0.15))
    os.kill(child, signal.SIGKILL)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL
    cut += any((run / "checkpoints").glob(".*.tmp"))
    for path in checkpoint.stored(run):  # every one that has its name is whole
        state = checkpoint.load(path)
        assert (state["params"]["w"] == state["iteration"]).all()
        done = state["iteration"]
print(done, cut)
"""


@pytest.mark.parametrize("rounds", [6, pytest.param(300, marks=pytest.mark.slow)])
@pytest.mark.skipif(os.name == "nt", reason="forks")
def test_killed_at_random_moments(tmp_path, rounds):
    said = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path), str(rounds)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert said.returncode == 0, said.stderr
    done, cut = map(int, said.stdout.split())
    assert done > 0
    if rounds > 100:
        assert cut > 0  # some were killed in the middle of a file


def test_weights_from_wherever_they_are(tmp_path):
    params, average = {"w": torch.ones(2)}, {"w": torch.zeros(2)}
    both = {"iteration": 1, "params": params, "params_ema": average}
    path = checkpoint.save(tmp_path / "run", 1, both, keep=1)
    for place in (tmp_path / "run", path):
        assert torch.equal(checkpoint.weights(place)["w"], params["w"])
        assert torch.equal(checkpoint.weights(place, "ema")["w"], average["w"])
    torch.save(params, tmp_path / "bare.pth")
    save_file(params, tmp_path / "bare.safetensors")
    for name in ("bare.pth", "bare.safetensors"):
        assert torch.equal(checkpoint.weights(tmp_path / name, "ema")["w"], params["w"])
    with pytest.raises(TrainingError, match="no run, or one without checkpoints"):
        checkpoint.weights(tmp_path)
    torch.save({"iteration": 3}, tmp_path / "odd.pt")
    with pytest.raises(TrainingError, match="no params in it"):
        checkpoint.weights(tmp_path / "odd.pt")
    with pytest.raises(TrainingError, match=r"none.safetensors: cannot be read"):
        checkpoint.weights(tmp_path / "none.safetensors")
