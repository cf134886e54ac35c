"""What an iteration of training takes on this processor, part by part.

    python benchmarks/training_speed.py
    python benchmarks/training_speed.py --against TREE --cases paper-l1 paper-gan

Runs the trainer's own loop, with clocks around its parts, in a process of its own for each case and
round. `--against` names a folder with another version of the project (git worktree): both take
turns, so that what else is on the machine meets both alike. Samples are drawn cartoons, read and
degraded as the recipes of `basic` degradation do, in the training process (data.workers = 0), so
that they are seen among the parts. The perceptual loss has VGG16's shape and random weights.

Columns of parts are seconds of processor time an iteration, over all threads; threads that wait for
one another count as far as they spin. Iterations/s are by the clock. Both are the best round's.
"""

# pyright: reportMissingImports=none
import argparse
import functools
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
PARTS = (
    *("samples", "forward", "perceptual", "discriminators", "backward", "backward of those"),
    *("Adam", "average"),
)
CLIP = (256, 256)
"""Columns and rows of a drawn clip, which has as many frames as the longest sample."""
WIDTHS = (64, 128, 256, 512, 512)
STAGES = (2, 2, 3, 3, 3)
"""Channels and convolutions of VGG16's stages."""


@dataclass(frozen=True)
class Case:
    """A size of samples, and which stage."""

    batch: int
    frames: int
    patch: int
    scales: int
    """Of the discriminators; 0: stage 1, which has none, nor a perceptual loss."""
    iterations: int
    """To be measured, after WARM others."""


WARM = 1
CASES = {
    "small-l1": Case(6, 4, 64, 0, 12),  # that of training/small.toml
    "small-gan": Case(6, 4, 64, 1, 4),
    "paper-l1": Case(1, 15, 256, 0, 3),  # a sixteenth of the paper's, which has 4 of 4 GPUs
    "paper-gan": Case(1, 15, 256, 3, 1),
}


def one(case: Case, precision: str, clips: Path) -> dict[str, Any]:
    """Train in this process, by the package that it imports, and say what the parts took."""
    import torch
    from lightning_fabric import Fabric

    from vsanimesr.network import Network
    from vsanimesr.training.clips import ClipStore
    from vsanimesr.training.degradation.degrade import Degrader, Recipe
    from vsanimesr.training.networks.discriminator import MultiScaleDiscriminator
    from vsanimesr.training.train import loop, recipe, stages
    from vsanimesr.training.train.learners import Learners
    from vsanimesr.training.train.losses import Perceptual
    from vsanimesr.training.train.patches import PatchDataset
    from vsanimesr.training.train.samples import ClipSamples
    from vsanimesr.training.train.standing import Standing

    took: dict[str, float] = defaultdict(float)
    begun: list[float] = []

    def clock(owner: type, name: str, part: Callable[[], str]) -> None:
        """Add what a method takes to a part; what it calls of other parts as well."""
        method = getattr(owner, name)

        @functools.wraps(method)
        def timed(*args: object, **options: object) -> object:
            before = time.process_time()
            try:
                return method(*args, **options)
            finally:
                took[part()] += time.process_time() - before

        setattr(owner, name, timed)

    backwards = iter(range(10**9))

    def backward() -> str:
        return PARTS[5] if case.scales and next(backwards) % 2 else PARTS[4]

    clock(ClipSamples, "__getitem__", lambda: "samples")
    clock(Network, "forward", lambda: "forward")
    clock(Perceptual, "forward", lambda: "perceptual")
    clock(MultiScaleDiscriminator, "forward", lambda: "discriminators")
    clock(Fabric, "backward", backward)
    clock(torch.optim.Adam, "step", lambda: "Adam")
    clock(Learners, "follow", lambda: "average")
    begin, save = Learners.begin, Standing.save

    def begins(learners: Learners, iteration: int) -> None:
        if iteration == WARM:
            took.clear()
            begun[:] = time.perf_counter(), time.process_time()
        begin(learners, iteration)

    def saves(standing: Standing, done: int, learners: Learners, *, keep: int) -> Path | None:
        begun[:] = time.perf_counter() - begun[0], time.process_time() - begun[1]
        before = time.perf_counter()
        path = save(standing, done, learners, keep=keep)
        begun.append(time.perf_counter() - before)
        return path

    setattr(Learners, "begin", begins)  # noqa: B010 (types of the names of arguments)
    setattr(Standing, "save", saves)  # noqa: B010
    torch.manual_seed(0)
    patches = PatchDataset(ClipStore(clips), frames=case.frames, patch=case.patch, intervals=(1,))
    perceptual = None
    if case.scales:
        widths = [width for width, n in zip(WIDTHS, STAGES, strict=True) for _ in range(n)]
        shapes = [(out, into, 3, 3) for into, out in zip([3, *widths], widths, strict=False)]
        convolutions = [
            (torch.randn(shape) * (2 / (9 * shape[1])) ** 0.5, torch.zeros(shape[0]))
            for shape in shapes
        ]
        perceptual = Perceptual(convolutions, STAGES)
    losses = recipe.Losses(
        perceptual=recipe.Perceptual(backbone="vgg16") if case.scales else None,
        gan=recipe.Gan(scales=case.scales) if case.scales else None,
    )
    with tempfile.TemporaryDirectory() as run:
        loop.train(
            stages.processes("cpu"),
            Network(),
            ClipSamples(patches, Degrader(Recipe(ops="basic"), workers=1), seed=0),
            Path(run),
            settings=recipe.Train(
                iterations=WARM + case.iterations,
                batch=case.batch,
                precision=precision,  # pyright: ignore[reportArgumentType]
                log_every=1000,
                tensorboard=False,
            ),
            losses=losses,
            optimizer=recipe.Optimizer(lr=1e-4),
            perceptual=perceptual,
            record={},
        )
    wall, processor, checkpoint = begun
    n = case.iterations
    parts = {part: took[part] / n for part in PARTS if took[part]}
    rest = processor / n - sum(parts.values())
    return {
        "a second": n / wall,
        "processor": processor / n,
        "parts": parts | {"rest": rest},
        "checkpoint": checkpoint,
        "MiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def draw(clips: Path) -> None:
    """Store two clips to take samples of."""
    sys.path.append(str(ROOT / "tests" / "training"))
    import drawings

    from vsanimesr.training.clips import ClipStore

    for name in ("starfish", "dalek"):
        ClipStore(clips).write(name, drawings.render(name, 15, CLIP, 4.0, 0), "train", {})


def begin(tree: Path, name: str, precision: str, clips: Path) -> dict[str, Any]:
    """`one` in a process that imports the package of a folder."""
    path = os.pathsep.join([str(tree), os.environ.get("PYTHONPATH", "")])
    words = [sys.executable, str(Path(__file__).resolve()), "--one", name, precision, str(clips)]
    done = subprocess.run(
        words,
        env={"GOMP_SPINCOUNT": "10000", **os.environ, "PYTHONPATH": path},  # as the command's
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Take turns, and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--cases", nargs="+", choices=CASES, default=list(CASES))
    add("--precisions", nargs="+", choices=("fp32", "bf16"), default=["fp32", "bf16"])
    add("--against", type=Path, help="folder of another version, called `before`")
    add("--rounds", type=int, default=2)
    add("--one", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        name, precision, clips = args.one
        print(json.dumps(one(CASES[name], precision, Path(clips))))
        return
    trees = {"before": args.against.resolve()} if args.against else {}
    trees["now"] = ROOT
    print(f"load {os.getloadavg()[0]:.1f}; {json.dumps({n: asdict(CASES[n]) for n in args.cases})}")
    columns = ("it/s", "processor", *PARTS, "rest", "checkpoint", "MiB")
    print(f"| case | precision | version | {' | '.join(columns)} |")
    print(f"|{'---|' * (3 + len(columns))}")
    with tempfile.TemporaryDirectory() as folder:
        clips = Path(folder)
        draw(clips)
        for name in args.cases:
            found: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
            for _ in range(args.rounds):
                for precision in args.precisions:
                    for version, tree in trees.items():
                        found[precision, version].append(begin(tree, name, precision, clips))
            for (precision, version), rounds in found.items():
                best = max(rounds, key=lambda one: one["a second"])
                parts = [best["parts"].get(part) for part in (*PARTS, "rest")]
                least = min(rounds, key=lambda one: one["processor"])["processor"]
                cells = [
                    f"{best['a second']:.3f} ({min(one['a second'] for one in rounds):.3f})",
                    *("" if one is None else f"{one:.3f}" for one in (least, *parts)),
                    f"{min(one['checkpoint'] for one in rounds):.2f}",
                    f"{max(one['MiB'] for one in rounds):.0f}",
                ]
                print(f"| {name} | {precision} | {version} | {' | '.join(cells)} |", flush=True)
    print(f"load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
