"""One engine's figures: a step, frames through the filter, memory."""

import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from vsanimesr import engines, weights
from vsanimesr.bench.timing import overlapping, times, waiting
from vsanimesr.colour import FULL_RGB
from vsanimesr.engines import Engine

WARMUPS = 3


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What one row measures."""

    backend: str
    precision: str
    device: str
    width: int
    height: int
    formats: tuple[str, ...]
    model: str
    seconds: float
    """Spent on each figure, at least."""

    @property
    def title(self) -> str:
        """For people."""
        return f"{self.backend} {self.precision} {self.width}x{self.height}"


@dataclass(frozen=True, kw_only=True)
class Row:
    """What was measured of a subject."""

    description: str
    step: float
    """Seconds, median."""
    least: float
    """Seconds, the fastest step."""
    fps: dict[str, float] = field(default_factory=dict[str, float])
    """Frames a second through the filter, by format."""
    memory: float = float("nan")
    """Peak, in bytes: of the process, or on a GPU what torch allocated there."""


def prepared(subject: Subject) -> tuple[Engine[Any, Any], Callable[[int], None]]:
    """An engine with noise uploaded, and what runs so many steps on it and waits for them.

    Raises:
        EngineError: The backend, the device or the precision is not to be had.
    """
    setup = engines.Setup(
        width=subject.width,
        height=subject.height,
        device=subject.device,
        precision=subject.precision,
    )
    engine = engines.load(subject.backend, weights.load(subject.model), setup)
    wait = waiting(subject.device)
    picture = [np.empty((4 * subject.height, 4 * subject.width), np.float32) for _ in range(3)]
    random = np.random.default_rng(0)
    shape = (3, subject.height, subject.width)
    window = [engine.upload(list(random.random(shape, np.float32)), FULL_RGB) for _ in range(3)]
    state: Any = None

    def steps(count: int) -> None:
        nonlocal state
        for _ in range(count):
            state = engine.step(window[0], window[1], window[2], state)
        if subject.device == "webgpu":  # a run may return before the GPU is done
            engine.write(state, picture, FULL_RGB)
        wait()

    return engine, steps


def measure(subject: Subject) -> Row:
    """One row, in this process.

    Raises:
        EngineError: The backend, the device or the precision is not to be had.
    """
    engine, steps = prepared(subject)
    steps(WARMUPS)
    taken = list(times(steps, subject.seconds, many=overlapping(subject.device)))
    memory, description = _memory(subject.device), engine.description
    del steps  # and the last state with it
    engine.close()
    fps = {name: _fps(subject, name, statistics.median(taken)) for name in subject.formats}
    return Row(
        description=description,
        step=statistics.median(taken),
        least=min(taken),
        fps=fps,
        memory=max(memory, _memory(subject.device)),
    )


def _fps(subject: Subject, format: str, step: float) -> float:
    """Frames a second through the filter, in order, with VapourSynth's own number in flight."""
    from vsanimesr.vs.functions import upscale
    from vsanimesr.vs.noise import noise

    count = min(max(int(subject.seconds / step), 4), 2000) + WARMUPS
    upscaled = upscale(
        noise(subject.width, subject.height, format, count),
        model=subject.model,
        backend=subject.backend,
        device=subject.device,
        precision=subject.precision,
    )
    begin = 0.0
    for number, _ in enumerate(upscaled.frames(close=True)):
        if number == WARMUPS - 1:
            begin = time.perf_counter()
    return (count - WARMUPS) / (time.perf_counter() - begin)


def _memory(device: str) -> float:
    if device.startswith("cuda"):
        if "torch" not in sys.modules:
            return float("nan")
        import torch

        return float(torch.cuda.max_memory_allocated() or float("nan"))
    try:
        import resource
    except ModuleNotFoundError:  # Windows
        return float("nan")
    unit = 1 if sys.platform == "darwin" else 1024
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit)
