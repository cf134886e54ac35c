"""A checkpoint that lacks a part, or has another in its place: an error that names the part."""

import copy
import random
import re
from pathlib import Path

import pytest
import torch

from vsanimesr.errors import TrainingError
from vsanimesr.training import checkpoint
from vsanimesr.training.degradation.lbo import Lbo
from vsanimesr.training.train import parts, recipe, stages
from vsanimesr.training.train.learners import Learners
from vsanimesr.training.train.standing import Standing

CPU = torch.device("cpu")
RECORD = {"optimizer": {"lr": 1e-3}}


def learners(gan: bool = False) -> Learners:
    torch.manual_seed(5)
    made = Learners(
        Lbo(),
        recipe.Optimizer(lr=1e-3),
        recipe.Train(iterations=4, batch=1),
        recipe.Gan(scales=1) if gan else None,
        CPU,
    )
    adams = [made.adam, *([made.critics.adam] if made.critics else [])]
    for adam in adams:  # a step, whatever it learns
        for group in adam.param_groups:
            for value in group["params"]:
                value.grad = torch.ones_like(value)
        adam.step()
    return made


@pytest.fixture(scope="module")
def whole() -> checkpoint.State:
    return {
        "iteration": 2,
        "samples": 1,
        "recipe": '{"optimizer":{"lr":0.001}}',
        "random": [checkpoint.random_state(CPU)],
        **learners().state(),
    }


@pytest.fixture(scope="module")
def fabric():
    return stages.processes("cpu")


def go_on(fabric, run: Path, state: checkpoint.State) -> None:
    """As the loop begins."""
    checkpoint.save(run, 2, state, keep=1)
    standing = Standing(fabric, run, RECORD, 1)
    standing.restore(learners())
    standing.restore_random()


def test_a_whole_one_is_taken(fabric, whole, tmp_path) -> None:
    before = random.getstate()
    go_on(fabric, tmp_path, whole)
    random.setstate(before)
    pattern = learners(gan=True).pattern()
    assert not list(parts.differences(learners(gan=True).state(), pattern, "state"))
    assert {"discriminator", "adam_of_discriminator"} <= pattern.keys()


ODD = {
    "nothing": None,
    "text": "x",
    "number": 3.5,
    "list": [],
    "table": {},
    "tensor": torch.zeros(2),
}


@pytest.mark.parametrize("odd", ["missing", *ODD])
@pytest.mark.parametrize(
    "part", ["iteration", "samples", "recipe", "random", "params", "params_ema", "adam", "scaler"]
)
def test_each_part(fabric, whole, tmp_path, part, odd) -> None:
    state = dict(whole)
    if odd == "missing":
        del state[part]
    elif (part, odd) in (("scaler", "table"),):  # which it is
        return
    else:
        state[part] = ODD[odd]
    with pytest.raises(TrainingError, match=rf"{re.escape(str(tmp_path))}: .*\b{part}\b"):
        go_on(fabric, tmp_path, state)


def changed(state: checkpoint.State, path: list[object], change) -> checkpoint.State:
    """A copy in which the value at this place is another."""
    made = copy.deepcopy(state)
    inner = made
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = change(inner[path[-1]])
    return made


@pytest.mark.parametrize(
    ("path", "change", "said"),
    [
        (["params", "main.0.bias"], lambda v: v.double(), "main.0.bias is torch.float64, wanted"),
        (["params", "main.0.bias"], lambda v: v[:3], r"main.0.bias is \(3,\), wanted \(64,\)"),
        (["params", "main.0.bias"], lambda v: v / 0, "main.0.bias holds NaN or infinite values"),
        (["params_ema", "main.4.bias"], lambda v: v * torch.nan, "params_ema.main.4.bias holds"),
        (["params", "more"], None, "unknown params.more"),
        (["adam", "state"], lambda v: {}, "no adam.state.0"),
        (["adam", "state", 0, "exp_avg"], lambda v: v[:1], r"adam.state.0.exp_avg is \(1, "),
        (["adam", "state", 0, "exp_avg"], lambda v: v / 0, "adam.state.0.exp_avg holds NaN"),
        (["adam", "state", 3, "step"], lambda v: "1", "adam.state.3.step is text, wanted a tensor"),
        (["adam", "param_groups"], lambda v: [], "adam.param_groups has 0, wanted 1"),
        (["adam", "param_groups", 0, "lr"], lambda v: "x", r"param_groups\[0\].lr is text, wanted"),
        (["adam", "param_groups", 0, "params"], lambda v: v[1:], r"\[0\].params has 5, wanted 6"),
        (["adam", "param_groups", 0, "params", 2], lambda v: 0, r"params\[2\] is 0, wanted 2"),
        (["random", 0, "torch"], lambda v: v[:9], r"random\[0\].torch is \(9,\), wanted"),
        (["random", 0, "torch"], lambda v: v * 0 + 255, "random: |unusable|RNG"),
        (["random", 0, "numpy"], lambda v: 3, r"random\[0\].numpy is a whole number, wanted a"),
        (["random", 0, "python"], lambda v: (3, (1,) * 625, "x"), r"python\[2\] is text, wanted"),
        (["random", 0, "python"], lambda v: (3, (2**40,) * 625, None), "random: "),
        (["random", 0, "python"], lambda v: (9, v[1], None), "random: "),
        (["iteration"], lambda v: -1, "iteration -1"),
        (["iteration"], lambda v: True, "iteration is true or false, wanted a whole number"),
        (["recipe"], lambda v: "{", "not one to go on from: recipe: "),
        (["recipe"], lambda v: "[]", "not one to go on from: recipe: "),
        (["recipe"], lambda v: "{}", "began with another recipe"),
    ],
)
def test_what_is_within_a_part(fabric, whole, tmp_path, path, change, said) -> None:
    if change is None:
        state = copy.deepcopy(whole)
        state["params"]["more"] = torch.zeros(1)
    else:
        state = changed(whole, path, change)
    before = random.getstate()
    try:
        with pytest.raises(TrainingError, match=said):
            go_on(fabric, tmp_path, state)
    finally:
        random.setstate(before)


def places(value: object, path: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
    """Of everything in a state but the single numbers of a generator."""
    if isinstance(value, dict):
        inner = [place for key in value for place in places(value[key], (*path, key))]
    elif isinstance(value, list):
        inner = [place for i, one in enumerate(value) for place in places(one, (*path, i))]
    else:
        inner = []
    return [path, *inner]


@pytest.mark.parametrize("count", [300, pytest.param(5000, marks=pytest.mark.slow)])
def test_random_changes_are_named_or_harmless(whole, count) -> None:
    """Of the parts in memory: what is taken can be restored, what is not is named."""
    made = learners()
    pattern = made.pattern()
    state = made.state()
    found = 0
    for seed in range(count):
        rng = random.Random(seed)
        path = list(rng.choice(places(state)[1:]))
        odd = rng.choice([*ODD.values(), float("nan"), -1, 2**70, True, (), torch.zeros(3, 3)])
        bad = changed(state, path, lambda _, odd=odd: odd)
        said = next(parts.differences(bad, pattern, "state"), None)
        if said is None:
            made.restore(bad)
            continue
        found += 1
        assert ".".join(map(str, path)) in re.sub(r"\[(\d+)\]", r".\1", said), (seed, said)
        assert said.isprintable()
    assert found > count * 0.8
