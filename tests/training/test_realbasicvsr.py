"""RealBasicVSR against what its papers say, and networks in a report for their cost only."""

import argparse

import cv2
import msgspec
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from vsanimesr.errors import TrainingError, WeightsError
from vsanimesr.training import pictures
from vsanimesr.training.evaluate import command, peers, realbasicvsr, report
from vsanimesr.training.evaluate.realbasicvsr import RealBasicVSR, SpyNet, warp
from vsanimesr.training.measures import table

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(1)
    return RealBasicVSR().eval().requires_grad_(False)


def noise(*shape, seed=1):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def test_it_has_the_parameters_and_names_of_the_published_files(network):
    assert sum(value.numel() for value in network.parameters()) == 6_294_834
    shapes = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    for name, shape in {
        "image_cleaning.0.main.0.weight": (64, 3, 3, 3),
        "image_cleaning.0.main.2.19.conv2.bias": (64,),
        "image_cleaning.1.weight": (3, 64, 3, 3),
        "basicvsr.spynet.mean": (1, 3, 1, 1),
        "basicvsr.spynet.std": (1, 3, 1, 1),
        "basicvsr.spynet.basic_module.5.basic_module.0.conv.weight": (32, 8, 7, 7),
        "basicvsr.spynet.basic_module.0.basic_module.4.conv.bias": (2,),
        "basicvsr.backward_resblocks.main.0.weight": (64, 67, 3, 3),
        "basicvsr.forward_resblocks.main.2.0.conv1.weight": (64, 64, 3, 3),
        "basicvsr.fusion.weight": (64, 128, 1, 1),
        "basicvsr.upsample1.upsample_conv.weight": (256, 64, 3, 3),
        "basicvsr.upsample2.upsample_conv.bias": (256,),
        "basicvsr.conv_hr.weight": (64, 64, 3, 3),
        "basicvsr.conv_last.weight": (3, 64, 3, 3),
    }.items():
        assert shapes[name] == shape
    blocks = 3 * (2 + 20 * 4)
    assert len(shapes) == blocks + 2 + 2 + 6 * 5 * 2 + 5 * 2


def test_operations_are_those_of_its_layers():
    """The papers' layers, one after the other; a frame within a clip has two flows."""
    width, height = 70, 40  # the flow sees 96x64
    block = 20 * 2 * 64 * 64 * 9
    cleaning = 3 * 64 * 9 + block + 64 * 3 * 9
    direction = 67 * 64 * 9 + block
    first, second = 64 * 256 * 9, 4 * 64 * 256 * 9
    enlarging = 128 * 64 + first + second + 16 * (64 * 64 * 9 + 64 * 3 * 9)
    level = 49 * (8 * 32 + 32 * 64 + 64 * 32 + 32 * 16 + 16 * 2)
    flow = sum(level * (96 >> n) * (64 >> n) for n in range(6))
    wanted = (cleaning + 2 * direction + enlarging) * width * height + 2 * flow
    assert peers.untrained("realbasicvsr", CPU).macs(width, height) == wanted


def test_warping_moves_by_the_flow():
    x = noise(1, 3, 9, 12)
    assert torch.allclose(warp(x, torch.zeros(1, 2, 9, 12)), x, atol=1e-5)
    flow = torch.tensor([2.0, -1.0])[None, :, None, None].expand(1, 2, 9, 12)
    moved = warp(x, flow)  # from two to the right and one up
    assert torch.allclose(moved[..., 1:, :-2], x[..., :-1, 2:], atol=1e-5)
    assert moved[..., 0, :].abs().max() < 1e-5
    assert moved[..., -2:].abs().max() < 1e-5
    assert torch.allclose(warp(x, flow, "border")[..., 1:, -1], x[..., :-1, -1], atol=1e-5)
    half = warp(x, torch.tensor([0.5, 0.0])[None, :, None, None].expand(1, 2, 9, 12))
    assert torch.allclose(half[..., :-1], (x[..., :-1] + x[..., 1:]) / 2, atol=1e-5)


def test_the_flow_grows_from_level_to_level():
    """Constant flows of 1, 0, 0, 0, 0, 0 pixels at the levels' sizes make 32 at the finest."""
    spynet = SpyNet().requires_grad_(False)
    for value in spynet.parameters():
        value.zero_()
    spynet.basic_module[0].basic_module[-1][0].bias.copy_(torch.tensor([1.0, -1.0]))
    flow = spynet(noise(1, 3, 40, 64), noise(1, 3, 40, 64, seed=2))
    assert flow.shape == (1, 2, 40, 64)
    assert torch.allclose(flow[:, 0], torch.tensor(32.0))
    assert torch.allclose(flow[:, 1], torch.tensor(-32.0 * 40 / 64))  # it saw 64 rows for 40


def test_levels_see_both_frames_as_the_flow_so_far_aligns_them():
    seen = []
    spynet = SpyNet().requires_grad_(False)
    for value in spynet.parameters():
        value.zero_()
    spynet.basic_module[4].basic_module[-1][0].bias.copy_(torch.tensor([2.0, 0.0]))
    spynet.basic_module[5].register_forward_pre_hook(lambda _, x: seen.append(x[0]))
    other = noise(1, 3, 32, 64)
    frame = torch.roll(other, -4, dims=3)
    spynet(frame, other)
    (x,) = seen
    assert torch.allclose(x[:, :3, :, :-4], x[:, 3:6, :, :-4], atol=1e-4)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    wanted = (frame[0] - mean[:, None, None]) / std[:, None, None]
    assert torch.allclose(x[0, :3], wanted, atol=1e-5)


def test_every_picture_depends_on_the_whole_clip(network):
    clip = noise(1, 4, 3, 13, 18)
    images = network(clip)
    assert images.shape == (1, 4, 3, 52, 72)
    for changed, watched in ((3, 0), (0, 3)):
        other = clip.clone()
        other[:, changed] = 1 - other[:, changed]
        assert (network(other)[:, watched] - images[:, watched]).abs().max() > 1e-6
    alone = network(clip[:, :1])
    assert (alone - images[:, :1]).abs().max() > 1e-6
    assert torch.equal(torch.stack([*network.images(clip.unbind(1))], dim=1), images)


def test_features_follow_the_flow(network, monkeypatch):
    """A direction receives the features of its previous frame, fetched along the flow."""
    flow = torch.tensor([1.0, 0.0])[None, :, None, None].expand(1, 2, 8, 10)
    pairs = []
    monkeypatch.setattr(
        network.basicvsr.spynet, "forward", lambda a, b: pairs.append((a, b)) or flow
    )
    frames = [noise(1, 3, 8, 10, seed=n) for n in range(2)]
    received = []

    def body(x):
        received.append(x)
        return x[:, 3:] + x[:, :1]

    first, _ = network.basicvsr._propagated(body, frames)
    assert torch.equal(received[0][:, 3:], torch.zeros(1, 64, 8, 10))
    assert torch.equal(received[1][:, :3], frames[1])
    assert torch.allclose(received[1][:, 3:, :, :-1], first[..., 1:], atol=1e-5)
    assert [(a is frames[1], b is frames[0]) for a, b in pairs] == [(True, True)]


def test_without_its_last_convolutions_it_is_bilinear():
    network = RealBasicVSR().requires_grad_(False)
    for layer in (network.image_cleaning[1], network.basicvsr.conv_last):
        for value in layer.parameters():
            value.zero_()
    clip = noise(1, 2, 3, 6, 5)
    wanted = F.interpolate(clip[0], scale_factor=4, mode="bilinear")
    assert torch.allclose(network(clip)[0], wanted, atol=1e-6)


@pytest.mark.parametrize(("passes", "threshold", "wanted"), [(1, 0, 1), (3, 0, 3), (3, 10, 1)])
def test_cleaning_is_repeated_while_much_changes(passes, threshold, wanted):
    network = RealBasicVSR(passes, threshold)
    network.image_cleaning.forward = lambda frame: torch.full_like(frame, 0.25)
    for frame in network.cleaned([torch.zeros(1, 3, 2, 2)] * 2):
        assert torch.equal(frame, torch.full((1, 3, 2, 2), 0.25 * wanted))


def checkpoint(path, state):
    """As MMEditing writes them: plain, averaged and other networks side by side."""
    content = {f"generator_ema.{name}": value for name, value in state.items()}
    content |= {f"generator.{name}": value + 1 for name, value in state.items()}
    content["step_counter"] = torch.zeros(1)
    torch.save({"meta": {"epoch": 1}, "state_dict": content}, path)


def test_files_of_it_can_be_compared(network, tmp_path):
    frames = [noise(3, 8, 10, seed=n) for n in range(3)]
    with torch.inference_mode():
        wanted = network(torch.stack(frames)[None])[0]
    state = network.state_dict()
    checkpoint(tmp_path / "published.pth", state)
    save_file(state, tmp_path / "bare.safetensors")
    for name in ("published.pth", "bare.safetensors"):
        peer = peers.load(str(tmp_path / name), CPU)
        assert (peer.name, peer.parameters) == (name.split(".")[0], 6_294_834)
        assert (peer.trained, peer.whole) == (True, True)
        assert torch.allclose(torch.stack([*peer.upscale(frames)]), wanted, atol=1e-5)


def test_files_that_do_not_fit_are_refused(network, tmp_path):
    state = dict(network.state_dict())
    del state["basicvsr.fusion.bias"]
    save_file(state, tmp_path / "less.safetensors")
    with pytest.raises(WeightsError, match=r"less.*RealBasicVSR: .*no basicvsr\.fusion\.bias"):
        peers.load(str(tmp_path / "less.safetensors"), CPU)
    state["basicvsr.fusion.bias"] = torch.full((64,), torch.nan)
    checkpoint(tmp_path / "nan.pth", state)
    with pytest.raises(WeightsError, match=r"nan.*fusion\.bias holds NaN"):
        peers.load(str(tmp_path / "nan.pth"), CPU)
    torch.save({"state_dict": {"a": torch.zeros(1)}}, tmp_path / "other.pth")
    with pytest.raises(WeightsError, match=r"other\.pth: holds 'state_dict'"):
        peers.load(str(tmp_path / "other.pth"), CPU)
    (tmp_path / "bad.pth").write_bytes(b"nothing")
    assert realbasicvsr.read(tmp_path / "bad.pth") == {}
    with pytest.raises(WeightsError, match="no zip file"):
        peers.load(str(tmp_path / "bad.pth"), CPU)
    save_file({"odd.weight": torch.zeros(1)}, tmp_path / "odd.safetensors")
    with pytest.raises(TrainingError, match="not a network that spandrel knows"):
        peers.load(str(tmp_path / "odd.safetensors"), CPU)


def test_the_time_of_a_whole_clip_is_shared_by_its_frames(monkeypatch):
    clock = [0.0]
    lengths = []

    def upscale(images):
        pictures = [*images]
        lengths.append(len(pictures))
        clock[0] += 2.0 * len(pictures) + 1
        yield from pictures

    monkeypatch.setattr(peers.time, "perf_counter", lambda: clock[0])
    peer = peers.Peer(name="x", upscale=upscale, parameters=0, macs=lambda w, h: 0, whole=True)
    assert peers.milliseconds(peer, 4, 4, frames=10) == pytest.approx(2100)
    assert lengths == [2, 10]


def test_bsrgan_and_real_esrgan_cost_what_their_network_does():
    """ESRGAN, section 3.1: 23 blocks of three dense blocks of five convolutions, 64 features."""
    dense = [64, 96, 128, 160]
    block = 3 * (sum(n * 32 for n in dense) + 192 * 64)
    weights = 3 * 64 + 23 * block + 64 * 64
    biases = 64 + 23 * 3 * (4 * 32 + 64) + 64 + 2 * 64 + 64 + 3
    peer = peers.untrained("bsrgan", CPU)
    assert not peer.trained
    assert peer.parameters == 9 * (weights + 3 * 64 * 64 + 64 * 3) + biases == 16_697_987
    enlarging = 4 * 64 * 64 + 16 * (64 * 64 + 64 * 64 + 64 * 3)
    assert peer.macs(64, 64) == 9 * (weights + enlarging) * 64 * 64


def test_a_report_has_rows_of_cost_only(tmp_path, monkeypatch):
    alone = {"niqe": lambda x: x.mean(dim=(1, 2, 3))}
    panel = table.Panel(device=CPU, against={}, alone=alone, missing={})
    monkeypatch.setattr(table, "panel", lambda *_: panel)
    for n in range(2):
        sheet = (255 * noise(12, 16, 3, seed=n)).numpy().astype(np.uint8)
        pictures.write_png(tmp_path / f"lr/{n}.png", sheet)
    words = f"{tmp_path / 'lr'} --networks bicubic --costs realbasicvsr --timing 16x12 --out"
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    words = [*words.split(), str(tmp_path / "out"), "--timing-frames", "2"]
    command.run(parser.parse_args(words))
    text = (tmp_path / "out/report.md").read_text()
    (row,) = (line for line in text.splitlines() if line.startswith("| RealBasicVSR"))
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[:2] == ["RealBasicVSR", "6,294,834"]
    assert float(cells[2]) > 0
    assert float(cells[3]) > 0
    assert set(cells[4:]) == {"\N{EN DASH}"}
    assert "\nRealBasicVSR: random weights: cost only; runs through the clip in both" in text
    assert "time of a clip of 2 frames" in text
    assert "\nbicubic:" not in text
    found = msgspec.json.decode((tmp_path / "out/report.json").read_bytes(), type=report.Report)
    bicubic, cost = found.results
    assert (cost.series, set(cost.means.values())) == ({}, {None})
    assert bicubic.means["niqe"] is not None
    for name in ("means.png", "frames.png"):
        assert cv2.imread(str(tmp_path / "out" / name)).shape[0] > 200
