"""Files that are no checkpoint, or one of something else, wherever weights are asked for."""

import os
import time
import tracemalloc
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from vsanimesr.errors import TrainingError, WeightsError
from vsanimesr.training import checkpoint
from vsanimesr.training.degradation.lbo import Lbo, load_pool
from vsanimesr.training.evaluate import peers
from vsanimesr.training.export.write import export
from vsanimesr.training.networks import trained
from vsanimesr.training.networks.discriminator import MultiScaleDiscriminator
from vsanimesr.training.train import recipe, stages


def text(path: Path) -> None:
    path.write_text("params = 3\n" * 100)


def picture(path: Path) -> None:
    path.write_bytes(cv2.imencode(".png", np.zeros((8, 8, 3), np.uint8))[1].tobytes())


def archive(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("readme.txt", "nothing here")


def tensors(path: Path) -> None:
    save_file({"a": torch.ones(2)}, path)


def half(path: Path) -> None:
    torch.save({"params": Lbo().state_dict()}, path)
    path.write_bytes(path.read_bytes()[:90_000])


def saved(value: object):
    return lambda path: torch.save(value, path)


NONE = {
    "text": (text, "no zip file"),
    "picture": (picture, "no zip file"),
    "archive": (archive, "0 members data.pkl, wanted one"),
    "safetensors": (tensors, "no zip file"),
    "empty": (Path.touch, "no zip file"),
    "half": (half, "no zip file, so damaged, cut short"),
    "folder": (Path.mkdir, "no run, or one without checkpoints|wanted a file"),
    "pipe": (os.mkfifo, "a folder, a pipe or a device, wanted a file"),
    "missing": (lambda path: None, "No such file"),
    "tensor": (saved(torch.ones(3)), "a Tensor, wanted a table"),
    "list": (saved([1, {"params": 3}]), "a list, wanted a table"),
    "number": (saved(3), "a int, wanted a table"),
    "none": (saved(None), "a NoneType, wanted a table"),
    "nothing": (saved({}), "no weights in it|no params in it|no main"),
    "numbers": (saved({1: 2}), "1 is no tensor|no params in it"),
    "states": (saved({"params": 3}), "no weights in it|no params in it"),
    "whole numbers": (
        lambda path: torch.save(
            {"params": {k: v.char() for k, v in Lbo().state_dict().items()}}, path
        ),
        "of torch.int8, wanted floats|numbers",
    ),
    "no tensors": (saved({"params": {"main.0.bias": "x"}}), "no tensor|no params in it"),
    "discriminator": (
        lambda path: torch.save({"params": MultiScaleDiscriminator(1).state_dict()}, path),
        "made for another network|another network",
    ),
}


@pytest.mark.parametrize("kind", NONE)
@pytest.mark.skipif(os.name != "posix", reason="pipes")
def test_export(kind, tmp_path):
    make, said = NONE[kind]
    make(tmp_path / "source.pth")
    with pytest.raises((TrainingError, WeightsError), match=said) as caught:
        export(tmp_path / "source.pth", tmp_path / "out.safetensors")
    assert "source.pth" in str(caught.value)
    assert not (tmp_path / "out.safetensors").exists()


@pytest.mark.parametrize("kind", NONE)
@pytest.mark.skipif(os.name != "posix", reason="pipes")
def test_start_and_pool(kind, tmp_path):
    make, said = NONE[kind]
    place = tmp_path / "source.pth"
    make(place)
    with pytest.raises((TrainingError, WeightsError), match=said) as caught:
        stages.begin(Lbo(), recipe.Start(weights=place))
    assert "source.pth" in str(caught.value)
    with pytest.raises((TrainingError, WeightsError), match=f"{said}|no learnable basic op"):
        stages.pool([place], "params")
    if kind not in ("folder", "missing"):
        with pytest.raises(WeightsError, match=r"source\.pth"):
            load_pool(tmp_path)


@pytest.mark.parametrize("suffix", ["txt", "safetensors"])
def test_the_name_does_not_make_weights(suffix, tmp_path):
    for make in (text, picture, archive, half, Path.touch):
        make(tmp_path / f"a.{suffix}")
        with pytest.raises((TrainingError, WeightsError), match=rf"a\.{suffix}"):
            export(tmp_path / f"a.{suffix}", tmp_path / "out.safetensors")


def test_one_network_for_another(tmp_path):
    network, lbo = trained.new("multi"), Lbo()
    torch.save({"params": network.state_dict()}, tmp_path / "network.pth")
    torch.save({"params": lbo.state_dict()}, tmp_path / "lbo.pth")
    save_file(dict(network.state_dict()), tmp_path / "network.safetensors")
    save_file(dict(lbo.state_dict()), tmp_path / "lbo.safetensors")
    for name in ("network.pth", "network.safetensors"):
        with pytest.raises(TrainingError, match=f"{name}: made for another network: no main"):
            stages.begin(lbo, recipe.Start(weights=tmp_path / name))
    for name in ("lbo.pth", "lbo.safetensors"):
        with pytest.raises(TrainingError, match=f"{name}: made for another network: no recurrent"):
            stages.begin(network, recipe.Start(weights=tmp_path / name))
        with pytest.raises(WeightsError, match="made for another network"):
            trained.load(str(tmp_path / name))


def changed(state, change):
    return {
        name: change(value) if name == "main.2.bias" else value for name, value in state.items()
    }


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda v: v * torch.nan, "main.2.bias holds NaN or infinite values"),
        (lambda v: v - torch.inf, "main.2.bias holds NaN or infinite values"),
        (lambda v: torch.ones(64, dtype=torch.int64), "numbers|of torch.int64, wanted floats|I64"),
        (lambda v: torch.ones(1).expand(2**40), r"main.2.bias is \(1099511627776,\), wanted"),
    ],
)
@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_numbers_that_are_none(change, said, suffix, tmp_path):
    state = changed(Lbo().state_dict(), change)
    path = tmp_path / f"source.{suffix}"
    if suffix == "pth":
        torch.save({"params": state, "params_ema": state}, path)
    elif state["main.2.bias"].numel() > 64:
        return
    else:
        save_file(state, path)
    with pytest.raises(TrainingError, match=said):
        stages.begin(Lbo(), recipe.Start(weights=path))
    with pytest.raises(TrainingError, match=said):
        stages.pool([path], "ema")
    with pytest.raises(WeightsError, match=r"source\."):
        stages.pool([tmp_path], "params")
    if suffix == "pth":
        for place in ("run/checkpoints/00000001.pt",):
            (tmp_path / place).parent.mkdir(parents=True)
            path.rename(tmp_path / place)
        with pytest.raises(TrainingError, match=said):
            stages.pool([tmp_path / "run"], "ema")
        if "int64" not in said:
            with pytest.raises((TrainingError, WeightsError), match=r"run|NaN|1,099,5"):
                export(tmp_path / "run", tmp_path / "out.safetensors")


def test_a_compressed_one_is_not_unpacked(tmp_path):
    """1 MB that would take 250 MB: refused everywhere, within a second and 100 MB."""
    path = tmp_path / "bomb.pth"
    lbo = Lbo().state_dict()
    torch.save({"params": lbo}, tmp_path / "good")
    with (
        zipfile.ZipFile(tmp_path / "good") as good,
        zipfile.ZipFile(path, "w", 8, compresslevel=1) as bomb,
    ):
        for name in good.namelist():
            bomb.writestr(name, good.read(name))
        with bomb.open("good/data/99", "w") as member:
            for _ in range(250):
                member.write(bytes(1_000_000))
    (tmp_path / "good").unlink()
    assert path.stat().st_size < 1_500_000
    (tmp_path / "run/checkpoints").mkdir(parents=True)
    (tmp_path / "run/checkpoints/00000001.pt").write_bytes(path.read_bytes())
    calls = {
        "load": lambda: checkpoint.load(path),
        "latest": lambda: checkpoint.latest(tmp_path / "run"),
        "lbo": lambda: Lbo.load(path),
        "pool": lambda: load_pool(tmp_path),
        "start": lambda: stages.begin(Lbo(), recipe.Start(weights=path)),
        "export": lambda: export(path, tmp_path / "out.safetensors"),
        "evaluate": lambda: peers.load(str(path), torch.device("cpu")),
    }
    for name, call in calls.items():
        begin = time.thread_time()
        tracemalloc.start()  # zipfile and numpy tell it, and torch only sees what they have read
        with pytest.raises((TrainingError, WeightsError), match=r"compressed|are damaged"):
            call()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert time.thread_time() - begin < 1, name
        assert peak < 100_000_000, name
