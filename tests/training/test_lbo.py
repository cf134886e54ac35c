"""The learnable basic operator: its shape, its files, and files that are none."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from torch import Tensor

from vsanimesr.errors import OptionError, WeightsError
from vsanimesr.training.degradation.lbo import Lbo, load_pool


@pytest.fixture(scope="module")
def lbo():
    torch.manual_seed(5)
    network = Lbo()
    for name, value in network.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.normal_(value, std=0.1)
    return network


def plain(lbo: Lbo, picture: np.ndarray) -> np.ndarray:
    """The network in float64 by loops over taps: (3, 2h, 2w) to (3, h, w)."""
    p = {name: value.double().numpy() for name, value in lbo.state_dict().items()}
    folded = [picture[c, dy::2, dx::2] for c in range(3) for dy in (0, 1) for dx in (0, 1)]
    x = np.stack(folded)
    for layer in (0, 2, 4):
        weight, bias = p[f"main.{layer}.weight"], p[f"main.{layer}.bias"]
        padded = np.pad(x, ((0, 0), (1, 1), (1, 1)))
        h, w = x.shape[1:]
        x = bias[:, None, None] + sum(
            np.tensordot(weight[:, :, i, j], padded[:, i : i + h, j : j + w], 1)
            for i in range(3)
            for j in range(3)
        )
        if layer < 4:
            x = np.where(x > 0, x, 0.2 * x)
    return x


def test_network_is_that_of_the_released_code(lbo):
    assert {name: tuple(value.shape) for name, value in lbo.state_dict().items()} == {
        "main.0.weight": (64, 12, 3, 3),
        "main.0.bias": (64,),
        "main.2.weight": (64, 64, 3, 3),
        "main.2.bias": (64,),
        "main.4.weight": (3, 64, 3, 3),
        "main.4.bias": (3,),
    }
    assert sum(value.numel() for value in lbo.parameters()) == 45_635


def test_network_equals_a_plain_one(lbo):
    pictures = torch.rand(2, 3, 10, 14, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        small = lbo(pictures)
    assert small.shape == (2, 3, 5, 7)
    for picture, result in zip(pictures.double().numpy(), small.numpy(), strict=True):
        np.testing.assert_allclose(result, plain(lbo, picture), atol=1e-5)


def test_initial_values():
    torch.manual_seed(1)
    state = Lbo().state_dict()
    for layer, deviation in (0, 0.136), (2, 0.059), (4, 0.059):
        assert state[f"main.{layer}.weight"].std() == pytest.approx(deviation, rel=0.06)
        assert not state[f"main.{layer}.bias"].any()


@pytest.mark.parametrize("size", [(5, 8), (8, 5)])
def test_odd_pictures_are_refused(lbo, size):
    with pytest.raises(OptionError, match=f"{size[1]}x{size[0]}, wanted even"):
        lbo(torch.zeros(1, 3, *size))


def same(a: Lbo, b: Lbo) -> bool:
    one, other = a.state_dict(), b.state_dict()
    return all(torch.equal(one[name], other[name]) for name in one)


def test_saved_and_loaded(lbo, tmp_path):
    path = tmp_path / "a.safetensors"
    lbo.save(path)
    lbo.save(path)  # replaces
    loaded = Lbo.load(path)
    assert same(loaded, lbo)
    assert not loaded.training
    assert not any(value.requires_grad for value in loaded.parameters())
    assert [found.name for found in tmp_path.iterdir()] == ["a.safetensors"]


@pytest.mark.parametrize("wrap", [lambda s: s, lambda s: {"params": s}])
def test_released_files_are_read(lbo, wrap, tmp_path):
    torch.save(wrap(lbo.state_dict()), tmp_path / "net_g.pth")
    assert same(Lbo.load(tmp_path / "net_g.pth"), lbo)


def test_half_precision_is_widened(lbo, tmp_path):
    halves = {name: value.half().numpy() for name, value in lbo.state_dict().items()}
    save_file(halves, tmp_path / "half.safetensors")
    loaded = Lbo.load(tmp_path / "half.safetensors").state_dict()
    assert all(torch.equal(loaded[name], lbo.state_dict()[name].half().float()) for name in loaded)


def arrays(lbo: Lbo) -> dict[str, np.ndarray]:
    return {name: value.numpy().copy() for name, value in lbo.state_dict().items()}


def test_files_that_are_none(lbo, tmp_path):
    with pytest.raises(WeightsError, match=r"missing.safetensors: cannot be read"):
        Lbo.load(tmp_path / "missing.safetensors")
    (tmp_path / "junk.safetensors").write_bytes(b"junk")
    with pytest.raises(WeightsError, match=r"junk.safetensors: damaged"):
        Lbo.load(tmp_path / "junk.safetensors")
    (tmp_path / "junk.pth").write_bytes(b"junk")
    with pytest.raises(WeightsError, match=r"junk.pth: no zip file"):
        Lbo.load(tmp_path / "junk.pth")
    fewer = arrays(lbo)
    del fewer["main.4.bias"]
    save_file(fewer, tmp_path / "fewer.safetensors")
    with pytest.raises(WeightsError, match=r"fewer.safetensors: not a learnable basic operator"):
        Lbo.load(tmp_path / "fewer.safetensors")
    torch.save({"params": {"main.0.weight": torch.zeros(3)}}, tmp_path / "other.pth")
    with pytest.raises(WeightsError, match=r"other.pth: not a learnable basic operator"):
        Lbo.load(tmp_path / "other.pth")
    broken = arrays(lbo)
    broken["main.2.bias"][7] = np.nan
    save_file(broken, tmp_path / "nan.safetensors")
    with pytest.raises(WeightsError, match=r"nan.safetensors: main.2.bias holds NaN"):
        Lbo.load(tmp_path / "nan.safetensors")


def test_no_code_of_a_file_runs(tmp_path):
    class Runs:
        def __reduce__(self):
            return Path.touch, (tmp_path / "ran",)

    torch.save({"params": Runs()}, tmp_path / "evil.pth")
    with pytest.raises(WeightsError, match="refused"):
        Lbo.load(tmp_path / "evil.pth")
    assert not (tmp_path / "ran").exists()


def test_a_failed_save_leaves_the_old_file(lbo, tmp_path, monkeypatch):
    path = tmp_path / "a.safetensors"
    lbo.save(path)
    before = path.read_bytes()

    def full(self, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(WeightsError, match=r"a.safetensors: cannot be written .*No space"):
        lbo.save(path)
    monkeypatch.undo()
    assert path.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


def test_a_pool_is_a_folder_in_order_of_names(tmp_path):
    made: dict[str, Tensor] = {}
    for seed, name in enumerate(("b.safetensors", "a.pth", "c.safetensors")):
        torch.manual_seed(seed)
        lbo = Lbo()
        made[name] = lbo.state_dict()["main.0.weight"]
        if name.endswith("pth"):
            torch.save({"params": lbo.state_dict()}, tmp_path / name)
        else:
            lbo.save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("of 2,000 pairs")
    (tmp_path / ".b.safetensors.0a.tmp").write_bytes(b"")
    pool = load_pool(tmp_path)
    assert len(pool) == 3
    for lbo, name in zip(pool, sorted(made), strict=True):
        assert torch.equal(lbo.state_dict()["main.0.weight"], made[name])


def test_an_empty_pool_is_an_error(tmp_path):
    for folder in tmp_path, tmp_path / "missing":
        with pytest.raises(WeightsError, match="holds no learnable basic operator"):
            load_pool(folder)
