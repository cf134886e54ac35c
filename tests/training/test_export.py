"""From checkpoints to files that the filter takes."""

import argparse
import re

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import save_file

from vsanimesr import weights
from vsanimesr.errors import TrainingError, WeightsError
from vsanimesr.training import checkpoint, pictures
from vsanimesr.training.degradation.lbo import Lbo
from vsanimesr.training.evaluate import peers
from vsanimesr.training.export import command
from vsanimesr.training.export.write import export
from vsanimesr.training.networks import trained
from vsanimesr.training.train import loop, recipe, stages
from vsanimesr.training.train.samples import Sample


def tensors(arrays, scale=1.0):
    return {name: torch.from_numpy(scale * array) for name, array in arrays.items()}


@pytest.fixture
def run(tmp_path, fixed_weights):
    """A run with two checkpoints; the average is half the trained weights."""
    for iteration in (5, 10):
        state = {
            "iteration": iteration,
            "recipe": '{"name":"test"}',
            checkpoint.PARAMS: tensors(fixed_weights, iteration / 10),
            checkpoint.EMA: tensors(fixed_weights, 0.5),
        }
        checkpoint.save(tmp_path / "run", iteration, state, keep=2)
    return tmp_path / "run"


def metadata(path):
    with safe_open(path, "numpy") as file:
        return file.metadata()


def assert_same(path, wanted):
    loaded = weights.load(str(path))
    assert loaded.keys() == wanted.keys()
    for name, array in wanted.items():
        np.testing.assert_array_equal(loaded[name], array)


def test_a_run_gives_the_average_of_its_newest_checkpoint(run, tmp_path, fixed_weights):
    target = tmp_path / "mine.safetensors"
    facts = export(run, target)
    half = {name: np.float32(0.5) * array for name, array in fixed_weights.items()}
    assert_same(target, half)
    assert metadata(target) == facts
    assert facts["title"] == "mine"
    assert (facts["iteration"], facts["recipe"]) == ("10", '{"name":"test"}')
    assert facts["kind"] == "running average"
    assert facts["weights"] == weights.digest(half)
    assert re.fullmatch(r"[0-9a-f]{40}(-dirty)?|unknown", facts["commit"])


def test_raw_gives_the_trained_weights(run, tmp_path, fixed_weights):
    export(run, tmp_path / "raw.safetensors", raw=True)
    assert_same(tmp_path / "raw.safetensors", fixed_weights)
    older = checkpoint.stored(run)[0]
    export(older, tmp_path / "older.safetensors", raw=True)
    half = {name: np.float32(0.5) * array for name, array in fixed_weights.items()}
    assert_same(tmp_path / "older.safetensors", half)


@pytest.mark.parametrize("wrapped", [True, False])
def test_a_pth_of_the_released_code_will_do(wrapped, tmp_path, fixed_weights):
    state = tensors(fixed_weights)
    state = {f"module.{name}": value for name, value in state.items()} if wrapped else state
    torch.save({"params": state} if wrapped else state, tmp_path / "net_g.pth")
    facts = export(tmp_path / "net_g.pth", tmp_path / "a.safetensors")
    assert facts["kind"] == "trained"
    assert "iteration" not in facts
    assert_same(tmp_path / "a.safetensors", fixed_weights)
    export(tmp_path / "a.safetensors", tmp_path / "b.safetensors", title="B")
    assert_same(tmp_path / "b.safetensors", fixed_weights)
    assert metadata(tmp_path / "b.safetensors")["title"] == "B"


def test_an_operator_can_be_exported_too(tmp_path):
    lbo = Lbo()
    torch.save({"params": lbo.state_dict()}, tmp_path / "net_g.pth")
    export(tmp_path / "net_g.pth", tmp_path / "lbo.safetensors")
    again = Lbo.load(tmp_path / "lbo.safetensors")
    for name, value in lbo.state_dict().items():
        assert torch.equal(again.state_dict()[name], value)


class Small(torch.utils.data.Dataset):
    def __getitem__(self, number):
        wanted = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
        return Sample(wanted[..., ::4, ::4].float() / 255, wanted)


def test_the_ablation_is_exported_for_evaluation_and_refused_by_the_filter(tmp_path):
    run, target = tmp_path / "run", tmp_path / "single.safetensors"
    torch.manual_seed(7)
    network = trained.new("single")
    loop.train(
        stages.processes("cpu"),
        network,
        Small(),
        run,
        settings=recipe.Train(iterations=2, batch=1, ema=0.5, tensorboard=False),
        losses=recipe.Losses(),
        optimizer=recipe.Optimizer(lr=1e-3),
        record={},
    )
    facts = export(run, target, raw=True)
    assert metadata(target) == facts
    assert (facts["network"], facts["iteration"]) == ("single-scale", "2")
    with pytest.raises(WeightsError, match=r"single-scale one, an ablation .* filter does not run"):
        weights.load(str(target))

    peer = peers.load(str(target), torch.device("cpu"))
    clip = torch.rand(1, 4, 3, 16, 12)
    network.to(memory_format=torch.contiguous_format)  # as it lies in the file
    with torch.no_grad():
        wanted = network(clip)[0]
        again = trained.from_weights(trained.load(str(target)))(clip)[0]
    assert torch.equal(again, wanted)
    torch.testing.assert_close(torch.stack([*peer.upscale(clip[0])]), wanted)  # in another layout
    assert peer.name == "single"
    assert peer.parameters == trained.count([network]) == 1_495_351
    weighed = [value for value in network.parameters() if value.ndim == 4]
    assert peer.macs(16, 12) == 16 * 12 * sum(value.numel() for value in weighed)

    export(run, target)  # the running average
    average = trained.load(str(target))
    assert average.keys() == network.state_dict().keys()
    assert any(not np.array_equal(average[n], v.numpy()) for n, v in network.state_dict().items())
    some = dict(list(network.state_dict().items())[:-1])
    torch.save({"params": some}, tmp_path / "some.pth")
    with pytest.raises(WeightsError, match=r"another network: no recurrent_cell\.fusion\.2\.bias$"):
        export(tmp_path / "some.pth", target)


def test_what_is_wrong_leaves_the_old_file(run, tmp_path, fixed_weights, monkeypatch):
    target = tmp_path / "a.safetensors"
    export(run, target)
    before = target.read_bytes()
    bad = fixed_weights | {"recurrent_cell.fusion.2.bias": np.full(112, np.nan, np.float32)}
    save_file(bad, tmp_path / "nan.safetensors")
    with pytest.raises(TrainingError, match=r"fusion\.2\.bias holds NaN"):
        export(tmp_path / "nan.safetensors", target)
    some = dict(list(tensors(fixed_weights).items())[:-1])
    torch.save({"params": some}, tmp_path / "some.pth")
    with pytest.raises(WeightsError, match="made for another network"):
        export(tmp_path / "some.pth", target)
    torch.save({"params": {"a": 1}}, tmp_path / "none.pth")
    with pytest.raises(TrainingError, match="a is no tensor"):
        export(tmp_path / "none.pth", target)
    (tmp_path / "empty").mkdir()
    with pytest.raises(TrainingError, match="no run, or one without checkpoints"):
        export(tmp_path / "empty", target)
    with pytest.raises(TrainingError, match=r"ends in \.safetensors"):
        export(run, tmp_path / "a.pth")

    write = pictures.write_bytes

    def full(path, content):
        if path == target:
            raise TrainingError(f"{path}: cannot be written (no space)")
        write(path, content)

    monkeypatch.setattr(pictures, "write_bytes", full)
    with pytest.raises(TrainingError, match="no space"):
        export(run, target, raw=True)
    assert target.read_bytes() == before


def test_the_command_writes_onnx_as_well(run, tmp_path, fixed_weights):
    onnx = pytest.importorskip("onnx")
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    words = [
        run,
        tmp_path / "a.safetensors",
        "--raw",
        "--title",
        "T",
        "--onnx",
        tmp_path / "a.onnx",
    ]
    command.run(parser.parse_args([str(word) for word in words]))
    assert_same(tmp_path / "a.safetensors", fixed_weights)
    facts = {prop.key: prop.value for prop in onnx.load(tmp_path / "a.onnx").metadata_props}
    assert facts["title"] == "T"
    assert facts["weights"] == weights.digest(fixed_weights)


def test_a_network_without_its_last_image_is_exported_and_taken_by_the_filter(tmp_path):
    target = tmp_path / "unfed.safetensors"
    torch.manual_seed(7)
    network = trained.new("multi", feedback=False)
    assert trained.count([network]) == 1_495_376 - 64 * 48 * 9
    state = {"iteration": 1, "recipe": "{}", checkpoint.PARAMS: network.state_dict()}
    checkpoint.save(tmp_path / "run", 1, state, keep=1)
    export(tmp_path / "run", target)
    with safe_open(target, "numpy") as file:
        shape = file.get_slice("recurrent_cell.conv_s1_first.0.weight").get_shape()
    assert shape == [64, 73, 3, 3]

    again = trained.from_weights(weights.load(str(target)))  # as the filter reads it
    clip = torch.rand(1, 4, 3, 16, 12)
    with torch.no_grad():
        torch.testing.assert_close(again(clip), network(clip))


def test_only_the_state_comes_back_to_a_network_without_feedback():
    network = trained.new("multi", feedback=False)
    window, image, state = (torch.rand(1, n, 8, 8) for n in (9, 48, 64))
    with torch.no_grad():
        made = network.step(window, image, state)
        assert torch.equal(network.step(window, image * 0, state)[0], made[0])
        assert not torch.equal(network.step(window, image, state * 0)[0], made[0])
