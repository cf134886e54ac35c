"""What the rows of benchmarks/tables.py are: recipes of training/, in small.

A job is one run of the trainer. It comes after the jobs whose results it needs; those of the first
seed come before those of the second, so that what is cut short has whole tables of fewer seeds.
"""

# pyright: reportMissingImports=none
import json
from pathlib import Path

import msgspec
import table_clips
from table_clips import KNOWN, Sizes

PLAIN = "plain"
"""The network that all rows of the table of degradations begin from: it knows reduction only."""
OWN = "own weights"
REDUCTION = [{"op": "downscale", "lbo": 0}, {"op": "downscale", "lbo": 0}]


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """How much each row gets; the same for all rows of a table."""

    sizes: Sizes
    plain: int
    """Iterations of the network to begin from."""
    operator: int
    """Of a learnable operator, with 8 patches of 64 or fewer."""
    degradation: int
    structure: int
    gan: int
    own: int
    """Of the network that is trained for longer, to be used."""
    patch: int
    frames: int
    batch: int
    precision: str
    workers: int


BUDGETS = {
    "tiny": Budget(
        sizes=Sizes(clips=1, films=1, film=(128, 80), length=2, frames=2),
        plain=2,
        operator=2,
        degradation=2,
        structure=2,
        gan=2,
        own=2,
        patch=64,
        frames=2,
        batch=1,
        precision="fp32",
        workers=0,
    ),
    "cpu": Budget(
        sizes=Sizes(clips=16, films=12, film=(512, 320), length=3, frames=7),
        plain=1200,
        operator=2000,
        degradation=120,
        structure=300,
        gan=50,
        own=600,
        patch=64,
        frames=4,
        batch=4,
        precision="bf16",
        workers=0,
    ),
    "gpu": Budget(
        sizes=Sizes(clips=48, films=24, film=(512, 320), length=6, frames=10),
        plain=8000,
        operator=6000,
        degradation=4000,
        structure=4000,
        gan=1000,
        own=40000,
        patch=192,
        frames=8,
        batch=8,
        precision="bf16",
        workers=12,
    ),
}
"""`tiny` is the test's. `cpu` takes two cores for an hour or so. `gpu`, which no one has run, is
a guess at 20 minutes a row."""

type Settings = dict[str, object]


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One run of the trainer."""

    row: str
    seed: int
    recipe: str
    """A file of training/."""
    settings: Settings
    """Keys of it that are replaced."""
    after: tuple[str, ...] = ()
    """Names of the jobs that it needs."""
    tested: bool = True
    """Whether it is a network, whose pictures of the test clips are kept."""

    @property
    def name(self) -> str:
        """Of its folder, below that of all."""
        return f"{self.row}/{self.seed}"


def jobs(folder: Path, budget: Budget, seeds: int) -> list[Job]:
    """All jobs, in the order in which they are wanted."""
    found = [
        _network(folder, budget, PLAIN, 0, "basic-l1.toml", budget.plain, degrade=REDUCTION),
    ]
    found += [_operator(folder, budget, kind) for kind in KNOWN]
    for seed in range(seeds):
        found += _degradations(folder, budget, seed)
        found += _structures(folder, budget, seed)
        found += _stages(folder, budget, seed)
    found.append(_own(folder, budget))
    found += [_operator(folder, budget, kind, rescaled=True) for kind in KNOWN]
    pool = tuple(f"lbo-{kind}-rescaled" for kind in KNOWN)
    for seed in range(seeds):
        found.append(_degradation(folder, budget, "3 LBOs, rescaled", seed, "final-l1.toml", pool))
    return found


def pairs(folder: Path, kind: str, *, rescaled: bool) -> Path:
    """Where the pairs of a video are: what it was made of, or those that `rescale` makes."""
    return folder / table_clips.VIDEOS / f"{kind}-{'rescaled' if rescaled else 'pairs'}"


def _degradations(folder: Path, budget: Budget, seed: int) -> list[Job]:
    """The paper's table 2, left: from one network, with as many iterations of each degradation."""
    pool = tuple(f"lbo-{kind}" for kind in KNOWN)
    rows: dict[str, tuple[str, tuple[str, ...]]] = {
        "BasicOP-only": ("basic-l1.toml", ()),
        "3 LBOs": ("final-l1.toml", pool),
    }
    for k, one in enumerate(pool, 1):
        rows[f"1 LBO: {one.removeprefix('lbo-')}"] = (f"ablation-lbo-{k}-l1.toml", (one,))
    rows["NN-only"] = ("ablation-nn-only-l1.toml", pool[:1])
    return [
        _degradation(folder, budget, name, seed, recipe, operators)
        for name, (recipe, operators) in rows.items()
    ]


def _degradation(
    folder: Path, budget: Budget, row: str, seed: int, recipe: str, operators: tuple[str, ...]
) -> Job:
    """One row of them."""
    start, iterations = f"{PLAIN}/0", budget.degradation
    return _network(folder, budget, row, seed, recipe, iterations, start=start, operators=operators)


def _structures(folder: Path, budget: Budget, seed: int) -> list[Job]:
    """The paper's table 2, right, and the network without its last image: from random weights."""
    rows: dict[str, Settings] = {
        "multi-scale": {},
        "single-scale": {"network.scales": "single"},
        "without feedback": {"network.feedback": False},
    }
    return [
        _network(folder, budget, name, seed, "basic-l1.toml", budget.structure, more=more)
        for name, more in rows.items()
    ]


def _stages(folder: Path, budget: Budget, seed: int) -> list[Job]:
    """The second stage, and the first for as many iterations more."""
    pool = tuple(f"lbo-{kind}" for kind in KNOWN)
    gan: Settings = {"losses.perceptual.backbone": "vgg16", "losses.gan.scales": 2}
    gan |= {"losses.l1": 1.0, "losses.mse": 0.0}
    rows: dict[str, tuple[str, Settings]] = {
        "stage 1 goes on": ("final-l1.toml", {}),
        "stage 2": ("final-gan.toml", gan),
    }
    return [
        _network(
            folder,
            budget,
            name,
            seed,
            recipe,
            budget.gan,
            start=f"3 LBOs/{seed}",
            operators=pool,
            more={"optimizer.lr": 1e-4, "optimizer.milestones": []} | more,
        )
        for name, (recipe, more) in rows.items()
    ]


def _own(folder: Path, budget: Budget) -> Job:
    """Weights to be used: the row of 3 LBOs goes on for longer; its checkpoints make a curve."""
    pool = tuple(f"lbo-{kind}" for kind in KNOWN)
    job = _network(
        folder,
        budget,
        OWN,
        0,
        "final-l1.toml",
        budget.own,
        start="3 LBOs/0",
        operators=pool,
        more={"optimizer.lr": 4e-4},
    )
    every = max(1, budget.own // 12)
    kept: Settings = {"train.ema": 0.99, "train.save_every": every, "train.keep": 100}
    return msgspec.structs.replace(job, settings=job.settings | kept)


def _network(
    folder: Path,
    budget: Budget,
    row: str,
    seed: int,
    recipe: str,
    iterations: int,
    *,
    degrade: object = None,
    start: str = "",
    operators: tuple[str, ...] = (),
    more: Settings | None = None,
) -> Job:
    settings: Settings = {
        "data.root": str(folder / "clips"),
        "data.frames": budget.frames,
        "data.patch": budget.patch,
        "data.intervals": [1, 2],
        "data.workers": budget.workers,
        "optimizer.lr": 4e-4 if not start else 3e-4,
        "optimizer.milestones": [iterations * 7 // 12, iterations * 10 // 12],
        "losses.l1": 0.0,
        "losses.mse": 1.0,
        "train.iterations": iterations,
        "train.batch": budget.batch,
        "train.precision": budget.precision,
        "train.ema": 0.99 if iterations > 400 else 0.95,
    }
    if degrade:
        settings["degrade.ops"] = degrade
    if start:
        settings |= {"start.weights": str(folder / "runs" / start), "start.use": "ema"}
    if operators:
        settings["data.lbos"] = [str(folder / "runs" / one / "0") for one in operators]
    after = (*((start,) if start else ()), *(f"{one}/0" for one in operators))
    return Job(
        row=row,
        seed=seed,
        recipe=recipe,
        settings=settings | (more or {}) | _kept(seed),
        after=after,
    )


def _operator(folder: Path, budget: Budget, kind: str, *, rescaled: bool = False) -> Job:
    iterations = budget.operator
    settings: Settings = {
        "data.roots": [str(pairs(folder, kind, rescaled=rescaled))],
        "data.patch": min(64, budget.sizes.film[1] // 4),
        "data.workers": budget.workers,
        "optimizer.lr": 2e-3,
        "optimizer.milestones": [iterations * part // 10 for part in (5, 7, 8, 9)],
        "losses.mse": 1.0,  # as the released code
        "train.iterations": iterations,
        "train.batch": 8,
    }
    return Job(
        row=f"lbo-{kind}{'-rescaled' if rescaled else ''}",
        seed=0,
        recipe="lbo-l1.toml",
        settings=settings | _kept(0),
        after=(f"{PLAIN}/0",) if rescaled else (),
        tested=False,
    )


def _kept(seed: int) -> Settings:
    return {
        "train.seed": seed,
        "train.log_every": 25,
        "train.save_every": 50,
        "train.keep": 1,
        "train.tensorboard": False,
    }


def overrides(job: Job) -> list[str]:
    """The settings as `--set` takes them."""
    return [f"{key}={_toml(value)}" for key, value in job.settings.items()]


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_toml(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value)
