import copy
from pathlib import Path

import msgspec
import pytest

from vsanimesr.errors import TrainingError
from vsanimesr.training import config
from vsanimesr.training.config import ConfigError
from vsanimesr.training.train import recipe

ROOT = Path(__file__).parents[2]
STAGES = sorted(set((ROOT / "training").glob("*.toml")) - {ROOT / "training/dataset.toml"})
RECIPES = [
    path for path in STAGES if path.stem.split("-")[0] in ("basic", "lbo", "final", "ablation")
]
"""The paper's; there may be others."""


MINIMAL = """
trains = "network"
[data]
root = "clips"
[degrade]
ops = "basic"
[optimizer]
lr = 1e-4
[train]
iterations = 10
batch = 2
"""


@pytest.fixture
def minimal(tmp_path):
    path = tmp_path / "minimal.toml"
    path.write_text(MINIMAL)
    return path


def load(path, *overrides):
    return config.load(path, recipe.Stage, overrides)


def test_every_recipe_loads():
    assert [type(load(path)).__name__ for path in STAGES]


def test_the_papers_recipes_say_what_they_take():
    assert len(RECIPES) == 16
    for path in RECIPES:
        head = path.read_text().split("\n\n")[0]
        assert all(line.startswith("#") for line in head.splitlines())
        for word in ("Command:", "Hardware:", "Time:", "Numbers:", f"training/{path.name} runs/"):
            assert word in head, path.name
        stage = load(path)
        adversarial = path.stem.endswith("gan")
        assert (stage.losses.gan is not None) == adversarial
        assert (stage.losses.perceptual is not None) == adversarial
        assert (stage.start is not None) == adversarial
        assert stage.optimizer.lr == (1e-4 if adversarial else 2e-4)
        assert stage.train.iterations == (100_000 if path.stem.startswith("lbo") else 300_000)
        assert path.name in (ROOT / "training/README.md").read_text()


def test_stages_start_from_runs_that_other_recipes_make():
    made = {f"runs/{path.stem}" for path in RECIPES} | {f"runs/lbo-1-{s}" for s in ("l1", "gan")}
    starts = [stage.start for stage in map(load, RECIPES) if stage.start]
    assert len(starts) == 8
    assert {str(start.weights) for start in starts} <= made


def test_defaults_are_the_papers(minimal):
    stage = load(minimal)
    assert isinstance(stage, recipe.NetworkStage)
    assert (stage.data.frames, stage.data.patch) == (15, 256)
    assert stage.optimizer.betas == (0.9, 0.99)
    assert stage.train.ema == 0.999
    assert stage.losses.target == "plain"
    assert recipe.Gan().scales == 3


@pytest.mark.parametrize(
    ("override", "path", "said"),
    [
        ("optimizer.lr=fast", "optimizer.lr", "'fast', wanted a number above 0 to 1"),
        ("optimizer.lrr=1e-4", "optimizer.lrr", "unknown key, wanted one of betas, gamma, lr, "),
        ("optimizer.lr=0", "optimizer.lr", "0, wanted a number above 0 to 1"),
        (
            "optimizer.betas=[0.9]",
            "optimizer.betas",
            r"\[0.9\], wanted a list of 2, each a number from 0 below 1",
        ),
        (
            "train.iterations=2.5",
            "train.iterations",
            "2.5, wanted a whole number from 1 to 99,999,999",
        ),
        ("train.precision=fp8", "train.precision", "'fp8', wanted one of bf16, fp16, fp32"),
        (
            "data.intervals=[1,0]",
            r"data.intervals\[1\]",
            "0, wanted a whole number from 1 to 1,000",
        ),
        ("data.root=3", "data.root", "3, wanted the path of a file or folder"),
        ("data.patch=100", "data", "patch = 100, wanted a multiple of 16"),
        ("losses.gan.wieght=1", "losses.gan.wieght", "unknown key, wanted one of lr, scales, "),
        ('degrade.ops=[{op="blur",bad=1}]', r"degrade.ops\[0\].bad", "wanted one of anisotropic, "),
        ('degrade.ops=[{op="blurr"}]', r"degrade.ops\[0\].op", "'blurr', wanted one of blur, "),
        ("degrade.ops=paper", "data.lbos", "empty, and the degradation calls for learnable"),
        ("losses.gan.scales=5", "", "patch makes results of 256x256, wanted 384 or more"),
        ("trains=lob", "trains", "'lob', wanted one of lbo, network"),
    ],
)
def test_what_is_wrong_is_named(minimal, override, path, said):
    with pytest.raises(ConfigError, match=f"{path}: .*{said}" if path else said) as caught:
        load(minimal, override)
    assert isinstance(caught.value, TrainingError)


def test_the_file_that_has_the_bad_key_is_named(tmp_path, minimal):
    child = tmp_path / "child.toml"
    child.write_text('extends = "minimal.toml"\n[train]\nbatch = 3\n')
    assert load(child).train.batch == 3
    assert load(child).train.iterations == 10
    with pytest.raises(ConfigError, match=r"--set train.batch=x: train.batch"):
        load(child, "train.batch=x")
    minimal.write_text(MINIMAL.replace("lr = 1e-4", 'lr = "x"'))
    with pytest.raises(ConfigError) as caught:
        load(child)
    assert (caught.value.source, caught.value.path) == (str(minimal), "optimizer.lr")


def test_files_that_cannot_be_read(tmp_path, minimal):
    with pytest.raises(ConfigError, match=r"none.toml: cannot be read"):
        load(tmp_path / "none.toml")
    (tmp_path / "child.toml").write_text('extends = "child.toml"')
    with pytest.raises(ConfigError, match="extends itself"):
        load(tmp_path / "child.toml")
    minimal.write_text("trains = ")
    with pytest.raises(ConfigError, match="no TOML"):
        load(minimal)
    minimal.write_text(MINIMAL.replace("lr = 1e-4", ""))
    with pytest.raises(ConfigError, match=r"optimizer.lr: missing"):
        load(minimal)


@pytest.mark.parametrize("override", ["train.batch", "=3", "train.=3", ".batch=3"])
def test_overrides_that_name_no_key(minimal, override):
    with pytest.raises(ConfigError, match="wanted key=value"):
        load(minimal, override)


def test_plain_has_every_default_and_differences_find_them(minimal):
    one = config.plain(load(minimal))
    other = config.plain(load(minimal, "train.batch=3", "losses.gan.scales=2"))
    assert one["data"]["frames"] == 15
    assert one["data"]["root"] == "clips"
    found = {path: (a, b) for path, a, b in config.differences(one, other)}
    assert found == {
        "train.batch": (2, 3),
        "losses.gan": (None, {"weight": 1.0, "scales": 2, "lr": 1e-4}),
    }


def test_keys_that_came_later_have_their_defaults(minimal):
    now = msgspec.json.decode(msgspec.json.encode(config.plain(load(minimal))))
    before = copy.deepcopy(now)
    del before["train"]["ema"], before["data"]["degrade_on"]
    assert config.completed(before, recipe.Stage) == now
    before["train"]["ema"] = 0.5
    (difference,) = config.differences(config.completed(before, recipe.Stage), now)
    assert difference == ("train.ema", 0.5, now["train"]["ema"])
    before["train"]["gone"] = 1
    assert config.completed(before, recipe.Stage) == before


def test_the_learning_rate_halves_at_milestones():
    options = recipe.Optimizer(lr=1.0, milestones=(3, 5))
    assert [recipe.rate(options, i) for i in range(7)] == [1, 1, 1, 0.5, 0.5, 0.25, 0.25]
