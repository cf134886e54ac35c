"""From a checkpoint to a file that the filter, `evaluate` or the next stage's degradation takes."""

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import safetensors.numpy
from torch import Tensor

from vsanimesr import __version__, scratch, weights
from vsanimesr.errors import TrainingError, WeightsError, brief
from vsanimesr.training import checkpoint, pictures
from vsanimesr.training.degradation.lbo import Lbo
from vsanimesr.training.networks import trained

MAX_NUMBERS = 2**24
"""In a network; the released one has 1.5 million."""


def export(
    source: Path, target: Path, *, raw: bool = False, title: str | None = None
) -> dict[str, str]:
    """Write a generator's weights as safetensors with the released names, whole or not at all.

    The file is read back by what will read it later, `trained.load` for the network and `Lbo.load`
    for a learnable basic operator, before it gets its name. Weights of the ablation with one scale
    are for `evaluate`; their metadata say so, as the filter does when it refuses them.

    Args:
        source: A run, of which the newest checkpoint is taken; a checkpoint; or a `.pth` or
            `.safetensors` file, as the released code writes them too.
        target: Ends in `.safetensors`. One that is there is replaced.
        raw: The trained weights instead of their running average. A source that has no average
            gives the trained ones in any case.
        title: Name of the weights; by default that of the target.

    Returns:
        The file's metadata.

    Raises:
        TrainingError: The source has no weights of a network or an operator, or the target
            cannot be written.
        WeightsError: The weights are not finite, or made for another network.
    """
    if target.suffix != ".safetensors":
        raise TrainingError(f"{target}: wanted the name of a file that ends in .safetensors")
    state = _state(source)
    average = state.get(checkpoint.EMA)
    found = state.get(checkpoint.PARAMS, state) if raw or average is None else average
    if not isinstance(found, Mapping) or not found:
        raise TrainingError(f"{source}: no weights in it, wanted a checkpoint or a state dict")
    _check_amount(source, cast(Mapping[str, object], found))
    tensors = {
        str(name).removeprefix("module."): _array(source, name, value)
        for name, value in cast(Mapping[str, object], found).items()
    }
    facts = {
        "title": title or target.stem,
        "kind": "running average" if found is average else "trained",
        "made by": f"vapoursynth-animesr {__version__}",
        "commit": commit(),
        "weights": weights.digest(tensors),
    }
    if trained.scales_of(tensors) == "single":
        facts["network"] = "single-scale"
    for key in ("iteration", "recipe"):
        if key in state:
            facts[key] = str(state[key])
    content = safetensors.numpy.save(tensors, facts)
    with scratch.folder() as folder:
        tried = Path(folder, target.name)
        pictures.write_bytes(tried, content)
        try:
            if any(name.startswith("main.") for name in tensors):
                Lbo.load(tried)
            else:
                trained.load(str(tried))
        except WeightsError as error:
            raise WeightsError(str(error).replace(str(tried), str(source))) from error
    pictures.write_bytes(target, content)
    return facts


def commit() -> str:
    """The commit of this code, with `-dirty` where files were changed; `unknown` if installed."""
    git = shutil.which("git")
    root = Path(__file__).parents[2]
    if git is None or not (root / ".git").exists():
        return "unknown"
    command = [git, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else "unknown"


def _state(source: Path) -> checkpoint.State:
    if source.is_dir():
        state = checkpoint.latest(source)
        if state is None:
            raise TrainingError(f"{source}: no run, or one without checkpoints; train it first")
        return state
    if source.suffix == ".safetensors":
        return dict[str, Any](checkpoint.weights(source))
    return checkpoint.load(source)


def _check_amount(source: Path, found: Mapping[str, object]) -> None:
    """Before any number is looked at: a tensor can have more of them than its file has bytes."""
    numbers = sum(value.numel() for value in found.values() if isinstance(value, Tensor))
    if numbers > MAX_NUMBERS:
        raise TrainingError(
            f"{source}: weights of {numbers:,} numbers, wanted at most {MAX_NUMBERS:,}: no network "
            "of this trainer is so large"
        )


def _array(source: Path, name: str, value: object) -> np.ndarray:
    if not isinstance(value, Tensor):
        raise TrainingError(f"{source}: {name} is no tensor, wanted a checkpoint or a state dict")
    if not value.is_floating_point():
        raise TrainingError(f"{source}: {brief(str(name))} is of {value.dtype}, wanted floats")
    return np.ascontiguousarray(value.detach().float().cpu().numpy())
