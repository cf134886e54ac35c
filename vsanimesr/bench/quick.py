"""Which backend is the fastest on this machine, in under a minute."""

import statistics
import time
from collections.abc import Callable, Iterator, Sequence

from vsanimesr import weights
from vsanimesr.bench.machine import best_device, header
from vsanimesr.bench.measure import Subject, prepared
from vsanimesr.bench.timing import alone, overlapping, times
from vsanimesr.bench_choices import PRECISIONS
from vsanimesr.engines import BACKENDS
from vsanimesr.engines.choice import TIE, Choice, choose, here
from vsanimesr.errors import VsAnimeSRError

LIMIT = 45.0
"""Seconds after which nothing more is begun."""
SECONDS = 0.7
"""Spent on each pair, besides what it takes to load."""
SIZE = (160, 90)

type Pair = tuple[str, str]


def run(
    *, device: str = "auto", model: str = "v2", report: Callable[[str], None] = lambda _: None
) -> Iterator[str]:
    """Time a step of every backend and precision that is installed.

    Args:
        device: `auto`, or as the filter takes it.
        model: As the filter takes it.
        report: Told what is being measured.

    Yields:
        Lines of Markdown: the machine, a table, what is fastest, what `auto` takes.

    Raises:
        WeightsError: The model is not to be had.
    """
    end = time.perf_counter() + LIMIT
    weights.load(model)  # fetched once, before processes race for it
    where = alone(best_device) if device == "auto" else device
    yield header(where)
    yield ""
    found: dict[Pair, float] = {}
    missing: list[str] = []
    machine = alone(here, device)
    precisions = PRECISIONS.get(where.partition(":")[0], ("fp32", "fp16"))
    installed = [name for name in BACKENDS if name in machine.installed]
    for backend in installed:
        report(backend)
        if time.perf_counter() > end:
            missing.append(f"- {backend}: the time was up; run it with nothing else at work")
            continue
        try:
            measured = alone(measure, backend, precisions, where, model)
        except (VsAnimeSRError, RuntimeError) as error:
            missing.append(f"- {backend}: {' '.join(str(error).split())}")
            continue
        found |= {(backend, precision): ms for precision, ms in measured.items()}
    yield from table(found)
    if missing:
        yield "\nDid not run:\n"
        yield from missing
    if found:
        yield ""
        yield from verdict(found, choose(machine, device=device))


def measure(backend: str, precisions: Sequence[str], device: str, model: str) -> dict[str, float]:
    """Seconds of a step, median, by precision; of those that the backend offers here.

    Raises:
        EngineError: It offers none of them.
    """
    found: dict[str, float] = {}
    refused: VsAnimeSRError | None = None
    for precision in precisions:
        width, height = SIZE
        subject = Subject(
            backend=backend,
            precision=precision,
            device=device,
            width=width,
            height=height,
            formats=(),
            model=model,
            seconds=SECONDS,
        )
        try:
            engine, steps = prepared(subject)
        except VsAnimeSRError as error:
            refused = error
            continue
        steps(2)
        found[precision] = statistics.median(times(steps, SECONDS, many=overlapping(device)))
        engine.close()
    if not found and refused:
        raise refused
    return found


def table(found: dict[Pair, float]) -> Iterator[str]:
    """Lines of Markdown, the fastest first."""
    yield f"| backend | precision | ms a step, {SIZE[0]}x{SIZE[1]} | times the fastest |"
    yield "|---|---|---|---|"
    least = min(found.values(), default=0)
    for (backend, precision), seconds in sorted(found.items(), key=lambda item: item[1]):
        yield f"| {backend} | {precision} | {seconds * 1e3:.1f} | {seconds / least:.2f} |"


def verdict(found: dict[Pair, float], auto: Choice) -> Iterator[str]:
    """What is fastest, what `auto` takes, and whether the two agree."""
    fastest = min(found, key=lambda pair: found[pair])
    yield f"Fastest here: {' '.join(fastest)}, {found[fastest] * 1e3:.1f} ms."
    yield f"auto takes {auto.backend} {auto.precision} ({auto.why})."
    own = [
        seconds
        for (backend, precision), seconds in found.items()
        if backend == auto.backend and auto.precision in ("auto", precision)
    ]
    if not own:
        yield "It did not run here."
    elif min(own) <= TIE * found[fastest]:
        yield "They agree."
    else:
        yield (
            f"They differ: {' '.join(fastest)} takes {found[fastest] / min(own):.2f} of its time "
            f"here; backend={fastest[0]}, precision={fastest[1]} takes it."
        )
