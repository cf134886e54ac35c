"""The paper's whole order of work at the smallest size, by the commands a user gives."""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
import vapoursynth as vs

from training import drawings
from vsanimesr import weights
from vsanimesr.training import checkpoint, pictures
from vsanimesr.training.clips import ClipStore
from vsanimesr.training.networks import stream, vgg
from vsanimesr.training.train import journal

ROOT = Path(__file__).parents[2]
RECIPES = ROOT / "training"
ITERATIONS = 4
SMALL = {
    "data.patch": 96,
    "data.workers": 0,
    "train.batch": 2,
    "train.ema": 0.5,
    "train.log_every": 1,
    "train.save_every": 2,
    "train.iterations": ITERATIONS,
}
CLIPS = SMALL | {"data.root": "avc", "data.frames": 5}
PERCEPTUAL = {"losses.perceptual.backbone": "vgg16", "losses.perceptual.file": "vgg16.safetensors"}


@pytest.fixture
def command(tmp_path):
    """Give a command in an empty folder, and get what it says."""
    environment = os.environ | {
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",  # much faster beside other work, hardly slower without
        "PIP_NO_INDEX": "1",  # nothing is fetched
    }

    def call(*words, **options):
        for key, value in options.pop("settings", {}).items():
            words += ("--set", f"{key}={value}")
        line = [sys.executable, "-m", "vsanimesr.training", *map(str, words)]
        done = subprocess.run(
            line, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == options.get("status", 0), done.stderr
        return done.stderr

    return call


def films(folder):
    """Six films of two shots, for the dataset; and a poor one of a cartoon that is in none."""
    folder.mkdir()
    for number in range(6):
        cartoon = ("bacon", "dalek", "starfish")[number % 3]
        shots = [drawings.render(cartoon, 24, zoom=1.5 + k, seed=2 * number + k) for k in (0, 1)]
        drawings.film(folder / f"film{number}.mkv", shots)
    drawn = drawings.render("banner", 24, size=(192, 128), zoom=1.5, seed=99)
    drawings.film(folder.parent / "real.mkv", [drawn], crf=38)


DATASET = """
extends = "{paper}"
[sources]
height = 128
[quality]
method = "sharpness"
[clip]
frames = 16
stride = 4
test = 0.34
"""


def run_of(folder, *, started=(0,), losses=("l1",), iterations=ITERATIONS):
    """The last checkpoint of a run that is as it should be."""
    lines = journal.read(folder)
    assert [line["iteration"] for line in lines if line["event"] == "start"] == [*started]
    steps = [line for line in lines if line["event"] == "step"]
    assert [line["iteration"] for line in steps] == [*range(1, iterations + 1)]
    assert all(set(line["losses"]) == set(losses) for line in steps)
    assert all(np.isfinite([*line["losses"].values()]).all() for line in steps)
    assert lines[-1]["event"] == "end"
    saved = [line["file"] for line in lines if line["event"] == "save"]
    assert saved == [path.name for path in checkpoint.stored(folder)]
    assert list((folder / "tensorboard").glob("events*"))
    return checkpoint.latest(folder)


def moved(one, other):
    """The share of the tensors that differ."""
    assert one.keys() == other.keys()
    return np.mean([not torch.equal(one[name], other[name]) for name in one])


@pytest.mark.slow
def test_from_films_to_frames_of_the_filter(command, tmp_path):
    begin = spent()
    films(tmp_path / "films")
    random = torch.Generator().manual_seed(0)
    convolutions = {}
    layers = [i for i, layer in enumerate(layers_of_vgg16()) if layer]
    for place, shape in zip(layers, vgg.shapes("vgg16"), strict=True):
        scale = (2 / np.prod(shape[1:])) ** 0.5
        convolutions[f"features.{place}.weight"] = scale * torch.randn(shape, generator=random)
        convolutions[f"features.{place}.bias"] = torch.zeros(shape[0])
    safetensors.torch.save_file(convolutions, tmp_path / "vgg16.safetensors")

    # 1. clips
    (tmp_path / "dataset.toml").write_text(DATASET.format(paper=RECIPES / "dataset.toml"))
    said = command("dataset", "build", "films", "avc", "--recipe", "dataset.toml", "--jobs", "2")
    assert "6 clips made" in said
    assert "6 clips kept" not in command("dataset", "inspect", "avc", "--verify")
    store = ClipStore(tmp_path / "avc")
    (held_out, *_), trained = store.names("test"), store.names("train")
    assert len(store.names()) == 6
    assert len(trained) >= 2
    assert all(store.frames(name) == 16 for name in store.names())

    # 2. the model with basic operators only; the second command goes on with the first one's run
    basic = (RECIPES / "basic-l1.toml", "runs/basic-l1")
    command("train", *basic, settings=CLIPS | {"train.iterations": 2})
    command("train", *basic, settings=CLIPS)
    state = run_of(tmp_path / "runs/basic-l1", started=(0, 2))
    half = checkpoint.load(checkpoint.stored(tmp_path / "runs/basic-l1")[0])
    assert (half["iteration"], state["iteration"]) == (2, ITERATIONS)
    assert moved(half["params"], state["params"]) > 0.9
    command("export", "runs/basic-l1", "basic.safetensors")

    # 3. and 4. pairs of a real video, by its best factor
    pick = ("--auto", "--factors", "0.5", "1.0", "--probes", "1", "--clips", "2", "--length", "6")
    command("rescale", "real.mkv", "pairs", "--model", "basic.safetensors", *pick)
    record = json.loads((tmp_path / "pairs/rescale.json").read_text())
    assert record["settings"]["factor"] in (0.5, 1.0)
    assert (tmp_path / "pairs/contact.html").stat().st_size > 1000
    small, large = (sorted((tmp_path / "pairs" / kind).iterdir()) for kind in ("lr", "hr"))
    assert len(small) == 10
    assert [path.name for path in small] == [path.name for path in large]
    assert next(pictures.read(tmp_path / "pairs/hr")).shape == (256, 384, 3)

    # 5. a learnable basic operator
    pairs = {"data.roots": '["pairs"]', "train.ema": 0.0}
    command("train", RECIPES / "lbo-l1.toml", "runs/lbo-1-l1", settings=SMALL | pairs)
    operator = run_of(tmp_path / "runs/lbo-1-l1")["params"]
    assert "main.4.weight" in operator
    command("export", "runs/lbo-1-l1", "lbo.safetensors")

    # 6. the final model, in two stages
    final = CLIPS | {"data.lbos": '["runs/lbo-1-l1"]'}
    command("train", RECIPES / "final-l1.toml", "runs/final-l1", settings=final)
    first = run_of(tmp_path / "runs/final-l1")
    gan = final | PERCEPTUAL
    command("train", RECIPES / "final-gan.toml", "runs/final-gan", settings=gan)
    every = ("l1", "perceptual", "gan", "discriminator")
    second = run_of(tmp_path / "runs/final-gan", losses=every)
    assert moved(first["params"], second["params"]) > 0.9
    assert len(second["discriminator"]) > 3 * 5
    recipe = json.loads(second["recipe"])
    assert recipe["degrade"]["ops"] == "paper"
    assert recipe["start"]["weights"] == "runs/final-l1"
    # with the same samples and start, the operator is what differs from basic operators only
    assert moved(state["params"], first["params"]) > 0.9

    # 7. weights, of before the last stage and after it
    command("export", "runs/final-l1", "before.safetensors")
    command("export", "runs/final-gan", "animesr.safetensors")

    # 8. figures
    original = store.read(held_out, range(6), (0, 0, 128, 96))
    for n, picture in enumerate(original):
        pictures.write_png(tmp_path / f"gt/{n}.png", picture)
        pictures.write_png(tmp_path / f"lr/{n}.png", np.ascontiguousarray(picture[::4, ::4]))
    networks = ("--networks", "bicubic", "animesr.safetensors")
    timing = ("--timing", "32x32", "--timing-frames", "1", "--out", "report")
    command("evaluate", "lr", "--originals", "gt", *networks, *timing)
    report = (tmp_path / "report/report.md").read_text()
    assert "bicubic" in report
    assert "animesr" in report
    assert "PSNR" in report

    # 9. frames, by the filter: what the trainer's own network makes of the same weights
    after, before = (filtered(tmp_path / f"{name}.safetensors") for name in ("animesr", "before"))
    tensors = weights.load(str(tmp_path / "animesr.safetensors"))
    average = second["params_ema"]
    assert all(np.array_equal(tensors[name], average[name].numpy()) for name in average)
    own = stream.recurrent(tensors)(stream.tensor(picture) for picture in SOURCE)
    for frame, other, image in zip(after, before, own, strict=True):
        np.testing.assert_allclose(frame, image, atol=2e-4)
        assert np.abs(frame - other).max() > 1e-3
    assert spent() - begin < 300


def spent():
    """CPU seconds of this process and of those it waited for; on idle cores, no more pass."""
    each = (resource.getrusage(who) for who in (resource.RUSAGE_CHILDREN, resource.RUSAGE_SELF))
    return sum(one.ru_utime + one.ru_stime for one in each)


SOURCE = drawings.render("banner", 3, size=(64, 48), seed=7)


def filtered(model):
    """Frames (3, 192, 256) that the filter makes of `SOURCE` with these weights."""

    def draw(n, f):
        out = f.copy()
        for plane in range(3):
            np.asarray(out[plane])[:] = SOURCE[n][..., plane] / np.float32(255)
        return out

    blank = vs.core.std.BlankClip(None, 64, 48, vs.RGBS, len(SOURCE))
    clip = blank.std.ModifyFrame(blank, draw)
    clip = clip.animesr.Upscale(model=str(model), device="cpu", backend="torch", precision="fp32")
    return [np.stack([np.asarray(frame[p]) for p in range(3)]) for frame in clip.frames()]


def layers_of_vgg16():
    """Of torchvision's `features`: true for a convolution, false for a ReLU or a pooling."""
    for count in vgg.STAGES["vgg16"]:
        yield from [True, False] * count
        yield False
