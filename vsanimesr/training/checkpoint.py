"""Checkpoints of a run: all that is needed to go on as if it had never stopped.

`RUN/checkpoints/00005000.pt` is a zip file of `torch.save`, read without running code from it. It
appears whole or not at all, and its zip has a CRC-32 of every member, by which damage is found.
"""

import contextlib
import io
import logging
import os
import random
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import safetensors
import safetensors.torch
import torch
from torch import Tensor

from vsanimesr import pth
from vsanimesr.errors import LINE, TrainingError, WeightsError, brief
from vsanimesr.training import foreign
from vsanimesr.weights import header

FOLDER = "checkpoints"
PARAMS, EMA = "params", "params_ema"
"""Keys of the trained weights and of their running average; the released code's names."""

type State = dict[str, Any]
"""Of tables, lists, tensors, numbers and text only: no other type can be loaded again."""

MAX_STEPS = 150_000
"""Of its pickle: 15,000 with discriminators, and 650 for the generators of each process."""
MAX_BYTES = 2**30
"""Of a file; one with discriminators has 118 MB."""

log = logging.getLogger("vsanimesr")


def save(run: Path, iteration: int, state: State, *, keep: int) -> Path:
    """Write a checkpoint, then remove those older than the last `keep`.

    Args:
        run: Folder of the run.
        iteration: How many are done.
        state: What to save; `load` gives it back.
        keep: How many checkpoints to keep, 1 or more.

    Raises:
        TrainingError: It cannot be written. Those of before are still there.
    """
    folder = run / FOLDER
    path = folder / f"{iteration:08d}.pt"
    buffer = io.BytesIO()  # torch's writer does not take an error of the disk well
    torch.save(state, buffer)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for left in folder.glob(".*.tmp"):  # by a run that was killed
            left.unlink(missing_ok=True)
        temporary = folder / f".{path.name}.{secrets.token_hex(4)}.tmp"
        try:
            with temporary.open("xb") as file:
                file.write(buffer.getbuffer())
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
        _sync(folder)
    except OSError as error:
        before = [one for one in stored(run) if one != path]
        kept = f"{before[-1].name} is still there" if before else "there is none yet"
        raise TrainingError(
            f"{path}: cannot be written ({error.strerror}); {kept}; free some space and give the "
            "same command again"
        ) from error
    for old in stored(run)[:-keep]:
        old.unlink(missing_ok=True)
    return path


def stored(run: Path) -> list[Path]:
    """The checkpoints of a run, the newest last; a damaged one may be among them."""
    return sorted((run / FOLDER).glob("[0-9]*.pt"))


def load(path: Path) -> State:
    """Read a checkpoint. No code from it is run.

    Raises:
        TrainingError: Missing or damaged, or no checkpoint.
    """
    try:
        _check_size(path)
        with pth.opened(path) as (archive, _, content):
            state = foreign.whole(archive, content, foreign.STORAGES, MAX_STEPS)
        if not isinstance(state, dict):
            raise WeightsError(f"a {type(state).__name__}, wanted a table of weights or of states")
        return cast(State, state)
    except (WeightsError, OSError) as error:
        raise TrainingError(f"{path}: cannot be read ({brief(error, LINE)})") from error


def latest(run: Path) -> State | None:
    """The newest checkpoint of a run that is whole; None where none was ever written.

    Says of every damaged one that it passes over.

    Raises:
        TrainingError: All of them are damaged.
    """
    paths = stored(run)
    for path in reversed(paths):
        try:
            return load(path)
        except TrainingError as error:
            log.warning("%s; taking the one before", error)
    if paths:
        raise TrainingError(f"{run / FOLDER}: all {len(paths)} checkpoints are damaged; begin anew")
    return None


def weights(
    path: Path,
    use: Literal["params", "ema"] = "params",
    check: Callable[[Mapping[str, tuple[int, ...]]], None] = lambda _: None,
) -> dict[str, Tensor]:
    """The weights of a generator, from wherever they are.

    Args:
        path: A run, of which the newest checkpoint is taken; a checkpoint; or a `.safetensors` or
            `.pth` file, also one of the released code's checkpoints.
        use: Which weights, where there are two.
        check: Raises WeightsError where names and shapes are not the ones wanted; of a
            `.safetensors` file no more than those is read before.

    Raises:
        TrainingError: Missing, damaged, not finite, or holding something else.
    """
    if path.is_dir():
        state = latest(path)
        if state is None:
            raise TrainingError(f"{path}: no run, or one without checkpoints; train it first")
    elif path.suffix == ".safetensors":
        try:
            check(header(path))
            _check_size(path)
            return _checked(safetensors.torch.load(path.read_bytes()))
        except WeightsError as error:
            raise TrainingError(f"{path}: {error}") from error
        except (OSError, safetensors.SafetensorError) as error:
            raise TrainingError(f"{path}: cannot be read ({brief(error)})") from error
    else:
        state = load(path)
    wanted = PARAMS if use == "params" else EMA
    found = state.get(wanted, state)
    if not isinstance(found, Mapping) or not all(isinstance(v, Tensor) for v in found.values()):
        raise TrainingError(f"{path}: no {wanted} in it, wanted a checkpoint or weights")
    tensors = dict(cast(Mapping[str, Tensor], found))
    try:
        check({name: tuple(value.shape) for name, value in tensors.items()})
        return _checked(tensors)
    except WeightsError as error:
        raise TrainingError(f"{path}: {error}") from error


def _checked(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    for name, value in tensors.items():
        if not value.is_floating_point():
            raise WeightsError(f"{brief(name)} is of {value.dtype}, wanted floats")
        if not value.isfinite().all():
            raise WeightsError(f"{brief(name)} holds NaN or infinite values; get the file again")
    return tensors


def _check_size(path: Path) -> None:
    if (size := path.stat().st_size) > MAX_BYTES:
        raise WeightsError(
            f"{size:,} bytes, wanted at most {MAX_BYTES:,}: no network of this trainer is so large"
        )


def random_state(device: torch.device) -> State:
    """Every random generator of this process."""
    name, words, position, has_gauss, gauss = np.random.get_state()  # noqa: NPY002 (all of them)
    return {
        "python": random.getstate(),
        "numpy": (name, torch.from_numpy(words.astype(np.int64)), position, has_gauss, gauss),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state(device) if device.type == "cuda" else None,
    }


def restore_random(state: State, device: torch.device) -> None:
    """Set every random generator of this process to what `random_state` gave."""
    random.setstate(state["python"])
    name, words, *rest = state["numpy"]
    np.random.set_state((name, words.numpy().astype(np.uint32), *rest))  # noqa: NPY002
    torch.set_rng_state(state["torch"])
    if device.type == "cuda" and state["cuda"] is not None:
        torch.cuda.set_rng_state(state["cuda"], device)


def _sync(folder: Path) -> None:
    """Have the new name of a file survive a loss of power."""
    if os.name == "nt":  # which cannot open folders
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
