import copy
import json
import math
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch.utils.data import Dataset

from vsanimesr.errors import TrainingError
from vsanimesr.training import checkpoint, cli, pictures
from vsanimesr.training.clips import ClipStore
from vsanimesr.training.degradation import legacy
from vsanimesr.training.degradation.blur import Blur
from vsanimesr.training.degradation.codec import H264
from vsanimesr.training.degradation.degrade import Degrader, Recipe, draw
from vsanimesr.training.degradation.downscale import Downscale
from vsanimesr.training.degradation.lbo import Lbo
from vsanimesr.training.degradation.noise import Noise
from vsanimesr.training.train import journal, loop, recipe, stages
from vsanimesr.training.train.learners import Learners
from vsanimesr.training.train.losses import sharpen
from vsanimesr.training.train.on_device import CrispSamples, OnDevice, ahead
from vsanimesr.training.train.patches import PatchDataset
from vsanimesr.training.train.samples import (
    ClipSamples,
    Numbers,
    PairSamples,
    Sample,
    load,
    seed_of,
)

GAN = recipe.Losses(gan=recipe.Gan(scales=1))


class Halves(Dataset):
    """Noise and its halves; sample `bad` holds a NaN."""

    def __init__(self, bad=None, side=64):
        self.bad, self.side = bad, side

    def __getitem__(self, number):
        generator = torch.Generator().manual_seed(number)
        given = torch.rand(3, self.side, self.side, generator=generator)
        wanted = (F.avg_pool2d(given, 2) * 255).to(torch.uint8)
        if number == self.bad:
            given[0, 3, 3] = math.nan
        return Sample(given, wanted)


@pytest.fixture(scope="module")
def fabric():
    return stages.processes("cpu")


def train(fabric, run, iterations, *, losses=GAN, data=None, lr=1e-3, record=None, **settings):
    torch.manual_seed(5)
    operator = Lbo()
    options = {"batch": 1, "log_every": 1, "save_every": 2, "keep": 9, "tensorboard": False}
    loop.train(
        fabric,
        operator,
        data or Halves(),
        run,
        settings=recipe.Train(iterations=iterations, **options | settings),
        losses=losses,
        optimizer=recipe.Optimizer(lr=lr, milestones=(2,)),
        record=record or {"optimizer": {"lr": lr}},
    )
    return operator


def same(one, other):
    """Bit for bit, however deep."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


def steps(run):
    return [line for line in journal.read(run) if line["event"] == "step"]


def test_two_and_two_iterations_are_four_bit_for_bit(fabric, tmp_path):
    train(fabric, tmp_path / "whole", 4)
    train(fabric, tmp_path / "parts", 2)
    np.random.seed(1)  # noqa: NPY002 (whatever happens between the two)
    torch.rand(3)
    train(fabric, tmp_path / "parts", 4)
    whole, parts = (checkpoint.latest(tmp_path / name) for name in ("whole", "parts"))
    assert whole["iteration"] == 4
    assert whole.keys() >= {
        "params_ema",
        "adam",
        "discriminator",
        "adam_of_discriminator",
        "scaler",
    }
    first = checkpoint.load(checkpoint.stored(tmp_path / "whole")[0])
    for key in ("params", "params_ema", "adam", "discriminator"):
        assert not same(first[key], whole[key])
    for key in list(whole):
        assert same(whole[key], parts[key]), key
    losses = [[line["losses"] for line in steps(tmp_path / name)] for name in ("whole", "parts")]
    assert losses[0] == losses[1]
    assert len(losses[0]) == 4
    events = [line["event"] for line in journal.read(tmp_path / "parts")]
    assert events == ["start", "step", "step", "save", "end"] * 2


class Interrupting(Halves):
    """Sends signals when sample 2 is asked for."""

    def __init__(self, *signals):
        super().__init__()
        self.signals = signals

    def __getitem__(self, number):
        if number == 2:
            for one in self.signals:
                os.kill(os.getpid(), one)
        return super().__getitem__(number)


def test_layout_is_of_the_run_not_of_its_checkpoints(fabric, tmp_path):
    options = recipe.Optimizer(lr=1e-3)
    settings = recipe.Train(iterations=2, batch=1)
    learners = Learners(Lbo(), options, settings, recipe.Gan(scales=1), torch.device("cpu"))
    train(fabric, tmp_path, 1, save_every=1)
    state = checkpoint.latest(tmp_path)
    tensors = [
        value for key in ("params", "params_ema", "discriminator") for value in state[key].values()
    ]
    tensors += [value for one in state["adam"]["state"].values() for value in one.values()]
    assert all(value.is_contiguous() for value in tensors)
    learners.restore(state)
    assert same(learners.state()["adam"], state["adam"])
    for adam in (learners.adam, learners.critics.adam):
        assert any(value.ndim == 4 and not value.is_contiguous() for value in adam.state)
        for value in adam.state:
            assert value.ndim < 4 or value.is_contiguous(memory_format=torch.channels_last)
            assert adam.state[value]["exp_avg"].stride() == value.stride()


INTERRUPTED = {
    "SIGINT": [signal.SIGINT],
    "SIGTERM": [signal.SIGTERM],
    "twice": [signal.SIGINT, signal.SIGINT],
}


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory):
    """Folder and messages of runs that got these signals, in a process of their own.

    A handler runs on the stack that some library may have set for signals; in a process with as
    many libraries as the tests' that was freed memory.
    """
    folder = tmp_path_factory.mktemp("interrupted")
    signals = {name: [int(one) for one in all_] for name, all_ in INTERRUPTED.items()}
    code = f"""
import logging, signal, sys
from pathlib import Path
sys.path.insert(0, {str(Path(__file__).parent)!r})
from test_loop import Interrupting, stages, train
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have it ignored
logging.basicConfig(level="INFO")
fabric = stages.processes("cpu")
for name, signals in {signals}.items():
    try:
        train(fabric, Path({str(folder)!r}, name), 5, data=Interrupting(*signals), save_every=100)
    except KeyboardInterrupt:
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        print("interrupted", name, file=sys.stderr)
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    said, rest = {}, done.stderr
    for name in INTERRUPTED:
        said[name], rest = rest.split(f"interrupted {name}\n")
    return folder, said


@pytest.mark.skipif(os.name == "nt", reason="no signals between processes")
@pytest.mark.parametrize("one", ["SIGINT", "SIGTERM"])
def test_an_interrupted_run_saves_and_goes_on_bit_for_bit(fabric, tmp_path, interrupted, one):
    folder, said = interrupted
    assert "saved after 3 iterations" in said[one]
    train(fabric, folder / one, 5)
    train(fabric, tmp_path / "whole", 5)
    whole, parts = (checkpoint.latest(run) for run in (tmp_path / "whole", folder / one))
    assert same(whole["params"], parts["params"])
    assert same(whole["adam_of_discriminator"], parts["adam_of_discriminator"])


@pytest.mark.skipif(os.name == "nt", reason="no signals between processes")
def test_a_second_interrupt_does_not_wait(interrupted):
    folder, said = interrupted
    assert "saved after" not in said["twice"]
    assert not checkpoint.stored(folder / "twice")


def test_a_damaged_checkpoint_costs_the_iterations_since_the_one_before(fabric, tmp_path, caplog):
    train(fabric, tmp_path, 4)
    before, last = checkpoint.stored(tmp_path)[-2:]
    wanted = checkpoint.load(last)
    last.write_bytes(last.read_bytes()[:5000])
    train(fabric, tmp_path, 4)
    assert "taking the one before" in caplog.text
    assert before.name == "00000002.pt"
    assert same(checkpoint.load(last), wanted)


def test_nothing_is_left_to_do(fabric, tmp_path, caplog):
    train(fabric, tmp_path, 2)
    caplog.set_level("INFO")
    train(fabric, tmp_path, 2)
    assert "all 2 iterations are done" in caplog.text
    train(fabric, tmp_path, 1)
    assert "2 iterations are done and train.iterations is 1: nothing is left to" in caplog.text
    assert len(steps(tmp_path)) == 2


@pytest.mark.parametrize("bad", [2, 3])
def test_a_loss_that_is_no_number_stops_with_its_batch(fabric, tmp_path, bad):
    with pytest.raises(TrainingError, match=rf"iteration {bad}: losses .*nan.*not_finite"):
        train(fabric, tmp_path, 6, data=Halves(bad))
    (path,) = tmp_path.glob("not_finite_*.pt")
    found = torch.load(path, weights_only=True)
    assert found["samples"] == [bad]
    assert found["given"].isnan().sum() == 1
    assert math.isnan(found["losses"]["l1"])
    state = checkpoint.latest(tmp_path)
    assert state["iteration"] == 2
    assert all(value.isfinite().all() for value in state["params"].values())


def test_weights_that_are_no_numbers_are_not_saved(fabric, tmp_path):
    with pytest.raises(TrainingError, match=r"holds NaN or infinite|losses .*(nan|inf)"):
        train(fabric, tmp_path, 2, lr=math.inf, losses=recipe.Losses(), save_every=1)
    assert not checkpoint.stored(tmp_path)


def test_a_run_goes_on_with_its_own_recipe_only(fabric, tmp_path):
    record = {"optimizer": {"lr": 1e-3}, "train": {"iterations": 2}, "data": {"root": "a"}}
    train(fabric, tmp_path, 2, record=record)
    other = copy.deepcopy(record)
    other["optimizer"]["lr"] = 2e-3
    with pytest.raises(
        TrainingError, match=r"another recipe: optimizer.lr = 0.002, not 0.001. Set"
    ):
        train(fabric, tmp_path, 4, record=other)
    with pytest.raises(TrainingError, match=r"2 samples an iteration over all processes, not 1"):
        train(fabric, tmp_path, 4, record=record, batch=2)
    other = copy.deepcopy(record)
    other["train"]["iterations"], other["data"]["root"] = 3, "b"
    train(fabric, tmp_path, 3, record=other)
    assert checkpoint.latest(tmp_path)["iteration"] == 3


def test_running_average_and_learning_rate(fabric, tmp_path):
    train(fabric, tmp_path, 3, losses=recipe.Losses(), ema=0.5, save_every=1)
    torch.manual_seed(5)
    average = Lbo().main[0].weight.detach().double()
    for path in checkpoint.stored(tmp_path):
        state = checkpoint.load(path)
        average = 0.5 * average + 0.5 * state["params"]["main.0.weight"].double()
        torch.testing.assert_close(state["params_ema"]["main.0.weight"].double(), average)
    assert [line["lr"] for line in steps(tmp_path)] == [1e-3, 1e-3, 5e-4]


def test_without_an_average_it_is_the_weights(fabric, tmp_path):
    operator = train(fabric, tmp_path, 2, losses=recipe.Losses(), ema=0.0)
    state = checkpoint.latest(tmp_path)
    assert same(state["params"], state["params_ema"])
    assert same(state["params"], dict(operator.state_dict()))


def test_it_learns(fabric, tmp_path):
    class Same(Halves):
        def __getitem__(self, number):
            return super().__getitem__(0)

    train(fabric, tmp_path, 60, losses=recipe.Losses(), data=Same(side=16), save_every=60)
    said = [line["losses"]["l1"] for line in steps(tmp_path)]
    assert said[-1] < 0.3 * said[0]


def test_the_journal(fabric, tmp_path):
    train(fabric, tmp_path, 5, losses=recipe.Losses(mse=2.0), log_every=2, record={"a": [1]})
    start, *_ = lines = journal.read(tmp_path)
    assert start["event"] == "start"
    assert start["recipe"] == {"a": [1]}
    assert (start["processes"], start["device"]) == (1, "cpu")
    said = steps(tmp_path)
    assert [line["iteration"] for line in said] == [2, 4, 5]
    for line in said:
        assert set(line["losses"]) == {"l1", "mse"}
        assert 0 <= line["waiting"] <= 1
        count = 1 if line["iteration"] == 5 else 2
        assert line["iterations_per_second"] * line["seconds"] == pytest.approx(count)
    assert [line["file"] for line in lines if line["event"] == "save"][-1] == "00000005.pt"
    # the mean of the iterations since the line before
    train(fabric, tmp_path / "each", 2, losses=recipe.Losses(mse=2.0))
    each = [line["losses"]["mse"] for line in steps(tmp_path / "each")]
    assert said[0]["losses"]["mse"] == pytest.approx(np.mean(each), rel=1e-6)


def test_a_journal_that_was_cut_short_goes_on(tmp_path):
    with journal.Journal(tmp_path, iteration=0, tensorboard=True) as one:
        one.write("step", 1, losses={"l1": 0.5}, seconds=2.0)
    with (tmp_path / journal.NAME).open("ab") as file:
        file.write(b'{"event":"st')
    with journal.Journal(tmp_path, iteration=1, tensorboard=False) as one:
        one.write("step", 2, losses={"l1": math.nan})
    lines = journal.read(tmp_path)
    assert [line["iteration"] for line in lines] == [1, 2]
    assert lines[1]["losses"]["l1"] is None
    written = (tmp_path / journal.NAME).read_text().splitlines()
    assert [json.loads(line)["event"] for line in (written[0], written[2])] == ["step", "step"]
    (events,) = (tmp_path / "tensorboard").glob("events*")
    assert b"losses/l1" in events.read_bytes()
    with pytest.raises(TrainingError, match="cannot be read"):
        journal.read(tmp_path / "none")


def test_bf16_keeps_weights_and_average_in_fp32(fabric, tmp_path):
    train(fabric, tmp_path / "half", 2, losses=recipe.Losses(), precision="bf16")
    train(fabric, tmp_path / "full", 2, losses=recipe.Losses())
    half, full = (checkpoint.latest(tmp_path / name) for name in ("half", "full"))
    assert {value.dtype for value in half["params"].values()} == {torch.float32}
    assert not same(half["params"], full["params"])
    said = [steps(tmp_path / name)[-1]["losses"]["l1"] for name in ("half", "full")]
    assert said[0] == pytest.approx(said[1], rel=0.02)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_bf16_is_told_where_the_processor_does_not_multiply_it(
    tmp_path, monkeypatch, caplog, precision
):
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    stage = recipe.LboStage(
        data=recipe.Pairs(roots=(tmp_path,)),
        optimizer=recipe.Optimizer(lr=1e-3),
        train=recipe.Train(iterations=1, batch=1, precision=precision),
    )
    with pytest.raises(TrainingError, match="0 pictures in lr"):
        stages.run(stage, tmp_path, "cpu")
    assert ('faster here with "fp32"' in caplog.text) == (precision == "bf16")


def test_the_sharpened_target(fabric, tmp_path):
    torch.manual_seed(5)
    sample = Halves()[0]
    wanted = sample.wanted[None].float() / 255
    with torch.no_grad():
        made = Lbo()(sample.given[None])
    for target, images in (("plain", wanted), ("usm", sharpen(wanted))):
        train(fabric, tmp_path / target, 1, losses=recipe.Losses(target=target))
        said = steps(tmp_path / target)[0]["losses"]["l1"]
        assert said == pytest.approx(F.l1_loss(made, images).item(), rel=1e-5)


def test_processes_share_the_samples_of_one_with_a_larger_batch():
    one = list(Numbers(3, 7, batch=4, process=0, processes=1))
    two = [list(Numbers(3, 7, batch=2, process=p, processes=2)) for p in (0, 1)]
    assert [sorted(a + b) for a, b in zip(*two, strict=True)] == one
    assert two[1][0] == [13, 15]
    resumed = list(Numbers(5, 7, batch=4, process=0, processes=1))
    assert resumed == one[2:]


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """Folders of pairs: each pixel of the frame is the mean of its four of the pseudo HR."""
    root, random = tmp_path_factory.mktemp("pairs"), np.random.default_rng(0)
    for name in ("a", "b"):
        frame = random.integers(0, 256, (40, 56, 3), np.uint8)
        for number in range(2):
            shifted = np.roll(frame, number, 1)
            pictures.write_png(root / name / f"lr/{number:08d}.png", shifted)
            pictures.write_png(
                root / name / f"hr/{number:08d}.png", shifted.repeat(2, 0).repeat(2, 1)
            )
    return root


def test_pairs_are_cropped_and_turned_together(pairs):
    roots = (pairs / "a", pairs / "b")
    data = PairSamples(roots, patch=32, flips=True, transpose=True, seed=3)
    frame = pictures.read(pairs / "a" / "lr").__next__()
    seen = set()
    for number in range(30):
        sample = data[number]
        assert sample.given.shape == (3, 32, 32)
        assert sample.wanted.shape == (3, 16, 16)
        assert sample.given.dtype == sample.wanted.dtype == torch.uint8
        halves = F.avg_pool2d(sample.given.float(), 2)
        torch.testing.assert_close(halves, sample.wanted.float())
        assert torch.equal(sample.given, data[number].given)
        seen.add(sample.wanted.numpy().tobytes())
    assert len(seen) == 30
    plain = PairSamples((pairs / "a",), patch=80, flips=False, transpose=False, seed=0)
    windows = np.lib.stride_tricks.sliding_window_view(frame, (40, 40, 3))[0, :, 0]
    found = [np.array_equal(plain[i].wanted.permute(1, 2, 0), w) for i in range(6) for w in windows]
    assert any(found)  # as it lies in the file, RGB


def test_pairs_that_cannot_be_used(pairs, tmp_path):
    with pytest.raises(TrainingError, match="0 pictures in lr and 0 in hr, wanted the same names"):
        PairSamples((tmp_path,), patch=32, flips=True, transpose=True, seed=0)
    with pytest.raises(TrainingError, match=r"frame of 56x40, wanted .* frames of 64x64 or more"):
        PairSamples((pairs / "a",), patch=128, flips=True, transpose=True, seed=0)[0]
    pictures.write_png(tmp_path / "lr/1.png", np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(TrainingError, match=r"\(1.png without the other\)"):
        PairSamples((tmp_path,), patch=8, flips=True, transpose=True, seed=0)


class Plain:
    """Stands for a store of clips and for a degradation."""

    def __getitem__(self, number):
        return torch.full((2, 3, 8, 8), number, dtype=torch.uint8)

    def __call__(self, clips, seeds):
        return clips[..., ::4, ::4] + seeds[0] % 1000


def test_clips_are_degraded_by_a_seed_of_their_own():
    data = ClipSamples(Plain(), Plain(), seed=1)
    one, two = data[7], data[8]
    assert one.wanted.unique() == 7
    assert one.given.shape == (2, 3, 2, 2)
    assert not torch.equal(one.given, two.given)
    assert torch.equal(one.given, data[7].given)
    assert not torch.equal(one.given, ClipSamples(Plain(), Plain(), seed=2)[7].given)


LBO = """
trains = "lbo"
[data]
roots = ["{root}/a", "{root}/b"]
patch = 48
workers = 0
[optimizer]
lr = 1e-4
[losses.gan]
scales = 1
[train]
iterations = 2
batch = 2
save_every = 2
tensorboard = false
"""

NETWORK = """
trains = "network"
[data]
root = "{root}"
frames = 3
patch = 32
lbos = ["{lbo}"]
workers = {workers}
[degrade]
ops = "paper"
[optimizer]
lr = 1e-4
[train]
iterations = 2
batch = 2
checkpointing = true
tensorboard = false
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    root, random = tmp_path_factory.mktemp("clips"), np.random.default_rng(1)
    clips = ClipStore(root)
    for name in ("x", "y"):
        small = random.integers(0, 256, (8, 12, 15, 3), np.uint8)
        clips.write(name, small.repeat(4, 1).repeat(4, 2), "train", {})
    return root


def test_from_pairs_to_an_operator_to_the_network(pairs, store, tmp_path, capsys):
    (tmp_path / "lbo.toml").write_text(LBO.format(root=pairs))
    lbo, run = tmp_path / "lbo", tmp_path / "run"
    assert cli.main(["train", str(tmp_path / "lbo.toml"), str(lbo), "--device", "cpu"]) == 0
    assert set(steps(lbo)[0]["losses"]) == {"l1", "gan", "discriminator"}
    path = tmp_path / "network.toml"
    path.write_text(NETWORK.format(root=store, lbo=lbo, workers=0))
    arguments = ["train", str(path), str(run), "--device", "cpu"]
    assert cli.main(arguments) == 0
    state = checkpoint.latest(run)
    assert state["iteration"] == 2
    assert len(state["params"]) == 50

    second = [*arguments[:2], str(tmp_path / "second"), *arguments[3:]]
    begin = ["--set", f"start.weights={run}", "--set", "start.use=ema"]
    assert cli.main([*second, *begin, "--set", "train.iterations=1"]) == 0
    capsys.readouterr()
    assert cli.main([*second, *begin, "--set", f"start.weights={lbo}"]) == 1
    assert "made for another network" in capsys.readouterr().err
    assert cli.main([*second, "--set", "train.precision=fp16"]) == 1
    assert capsys.readouterr().err.startswith('train: train.precision = "fp16" on the CPU, wanted')
    assert cli.main([*second, "--set", "train.prec=fp16"]) == 1
    assert "train.prec: unknown key, wanted one of batch, check" in capsys.readouterr().err


def test_what_the_device_degrades_is_what_workers_would_have(store):
    ops = (Blur(), Noise(), Downscale(), Downscale(), legacy.Comb(), legacy.Ringing())
    ops += (legacy.DotCrawl(), legacy.ChromaBleed(), legacy.LineJitter())
    ops += (legacy.Mpeg2(probability=0.5), H264(probability=0.5))
    degrade = Recipe(ops=ops)
    torch.manual_seed(3)
    lbos = [Lbo().requires_grad_(False) for _ in range(2)]
    patches = PatchDataset(ClipStore(store), frames=3, patch=48, seed=2)
    numbers = Numbers(1, 5, batch=3, process=0, processes=1)
    drawn = [draw(degrade, seed_of(4, number), lbos=2) for one in numbers for number in one]
    assert {one.lbo for one in drawn if one.steps[3].mode == "lbo"} == {0, 1}
    for place in range(len(ops)):
        assert any(one.steps[place] for one in drawn)

    there = ClipSamples(patches, Degrader(degrade, lbos=lbos, workers=1), seed=4)
    here = OnDevice(Degrader(degrade, lbos=lbos, workers=2), torch.device("cpu"))
    crisp = load(CrispSamples(patches, seed=4), numbers, workers=0, pin=False)
    wanted = load(there, numbers, workers=0, pin=False)
    for one, other in zip(ahead(crisp, here), wanted, strict=True):
        assert torch.equal(one.given, other.given)
        assert torch.equal(one.wanted, other.wanted)
        assert one.wanted.dtype == torch.uint8


def test_one_batch_is_prepared_ahead():
    begun = [threading.Event() for _ in range(4)]

    def prepare(number):
        begun[number].set()
        if number == 3:
            raise TrainingError("no more")
        return Sample(torch.tensor(number), torch.tensor(threading.get_ident()))

    batches = ahead(iter(range(4)), prepare)
    assert not begun[0].is_set()
    for number in range(3):
        given, thread = next(batches)
        assert given == number
        assert thread != threading.get_ident()
        assert begun[number + 1].wait(20)  # nobody has asked for it
        assert not any(event.is_set() for event in begun[number + 2 :])
    with pytest.raises(TrainingError, match="no more"):
        next(batches)


def test_a_run_that_degrades_on_the_device_goes_on_bit_for_bit(store, tmp_path, capsys):
    torch.manual_seed(0)
    Lbo().save(tmp_path / "lbo.safetensors")
    path = tmp_path / "network.toml"
    path.write_text(NETWORK.format(root=store, lbo=tmp_path, workers=0))

    def run(name, iterations, place="device"):
        options = (f"train.iterations={iterations}", "train.log_every=1")
        words = [f"--set={one}" for one in (*options, f"data.degrade_on={place}")]
        return cli.main(["train", str(path), str(tmp_path / name), "--device=cpu", *words])

    assert run("whole", 3) == run("parts", 1) == run("parts", 3) == 0
    assert run("elsewhere", 3, "workers") == 0
    whole = checkpoint.latest(tmp_path / "whole")
    parts, elsewhere = (checkpoint.latest(tmp_path / name) for name in ("parts", "elsewhere"))
    for key in list(whole):
        assert same(whole[key], parts[key]), key
        assert same(whole[key], elsewhere[key]) == (key != "recipe"), key
    losses = {
        name: [line["losses"] for line in steps(tmp_path / name)] for name in ("whole", "parts")
    }
    assert losses["whole"] == losses["parts"]
    capsys.readouterr()
    assert run("parts", 4, "workers") == 1  # a GPU would draw other noise
    assert "data.degrade_on = 'workers', not 'device'" in capsys.readouterr().err


@pytest.mark.slow
def test_workers_do_not_change_what_is_trained(store, tmp_path):
    torch.manual_seed(0)
    Lbo().save(tmp_path / "lbo.safetensors")
    found = []
    for workers, place in ((0, "workers"), (2, "workers"), (2, "device")):
        path, run = tmp_path / "recipe.toml", tmp_path / f"{workers}-{place}"
        path.write_text(NETWORK.format(root=store, lbo=tmp_path, workers=workers))
        words = ["--device", "cpu", "--set", f"data.degrade_on={place}"]
        assert cli.main(["train", str(path), str(run), *words]) == 0
        found.append(checkpoint.latest(run)["params"])
    assert same(found[0], found[1])
    assert same(found[0], found[2])


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # the compiler looks at gradients that are not there
def test_compiled_steps(fixed_weights, fabric, tmp_path):
    from vsanimesr.network import Network

    class Clips(Dataset):
        def __getitem__(self, number):
            generator = torch.Generator().manual_seed(number)
            wanted = torch.randint(0, 256, (3, 3, 32, 32), generator=generator, dtype=torch.uint8)
            return Sample(F.avg_pool2d(wanted.float() / 255, 4), wanted)

    found = []
    for compiled in (False, True):
        loop.train(
            fabric,
            Network.from_weights(fixed_weights),
            Clips(),
            tmp_path / str(compiled),
            settings=recipe.Train(
                iterations=2, batch=1, compile=compiled, checkpointing=True, tensorboard=False
            ),
            losses=recipe.Losses(),
            optimizer=recipe.Optimizer(lr=1e-4),
            record={},
        )
        found.append(steps(tmp_path / str(compiled))[0]["losses"]["l1"])
    assert found[0] == pytest.approx(found[1], rel=1e-5)


def test_the_command_says_what_it_does(capsys):
    with pytest.raises(SystemExit, match="0"):
        cli.main(["--help"])
    said = capsys.readouterr().out
    for name in ("dataset", "train", "rescale", "evaluate", "export"):
        assert f"    {name} " in said
    for name in ("train", "rescale", "export"):
        with pytest.raises(SystemExit, match="0"):
            cli.main([name, "--help"])
        assert "usage: python -m vsanimesr.training" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="2"):
        cli.main(["trian"])
