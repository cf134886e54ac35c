"""The table of all engines, sizes and precisions.

Everything is measured in one run. Each engine runs in a process of its own, so that its memory is
its own and no other's threads are left over.
"""

import contextlib
import itertools
from collections.abc import Callable, Iterator, Sequence

from vsanimesr import weights
from vsanimesr.bench.floor import MB, Peak, floor, measure_peak
from vsanimesr.bench.machine import best_device, header
from vsanimesr.bench.measure import Row, Subject, measure
from vsanimesr.bench.timing import alone
from vsanimesr.bench_choices import BACKENDS, FORMATS, PRECISIONS, SECONDS, SIZES
from vsanimesr.errors import OptionError, VsAnimeSRError


def run(
    *,
    backends: Sequence[str] = BACKENDS,
    precisions: Sequence[str] = (),
    sizes: Sequence[str] = SIZES,
    formats: Sequence[str] = FORMATS,
    device: str = "auto",
    model: str = "v2",
    seconds: float = SECONDS,
    report: Callable[[str], None] = lambda _: None,
) -> Iterator[str]:
    """Measure all combinations.

    Args:
        backends: Of `BACKENDS`.
        precisions: Names as the filter takes them; empty: those of the device.
        sizes: Of source frames, as `640x360`.
        formats: Preset formats of VapourSynth, for the filter.
        device: `auto`, or as the filter takes it.
        model: As the filter takes it.
        seconds: Spent on each figure, at least.
        report: Told what is being measured.

    Yields:
        Lines of Markdown, each as soon as it is known: the machine, a table, what did not run.

    Raises:
        OptionError: A size that is none, or a device that cannot be measured.
        WeightsError: The model is not to be had.
    """
    pixels = [_pixels(size) for size in sizes]
    weights.locate(model)  # fetched once, before processes race for it
    if device == "auto":
        device = alone(best_device)
    kind = device.partition(":")[0]
    if kind not in PRECISIONS:
        raise OptionError(f"device={device}, but only {' and '.join(PRECISIONS)} can be measured")
    precisions = precisions or PRECISIONS[kind]
    peaks: dict[str, Peak] = {}
    for precision in precisions:
        report(f"peak of {precision}")
        with contextlib.suppress(VsAnimeSRError, ImportError, RuntimeError):
            peaks[precision] = alone(measure_peak, precision, device, seconds)
    yield header(device)
    yield ""
    yield from (_peak_line(precision, peak) for precision, peak in peaks.items())
    yield ""
    yield from _title(formats)
    missing: list[str] = []
    for (width, height), backend, precision in itertools.product(pixels, backends, precisions):
        subject = Subject(
            backend=backend,
            precision=precision,
            device=device,
            width=width,
            height=height,
            formats=tuple(formats),
            model=model,
            seconds=seconds,
        )
        report(subject.title)
        try:
            yield _line(subject, alone(measure, subject), peaks.get(precision))
        except (VsAnimeSRError, RuntimeError) as error:
            missing.append(f"- {subject.title}: {' '.join(str(error).split())}")
    if missing:
        yield "\nDid not run:\n"
        yield from missing


def _pixels(size: str) -> tuple[int, int]:
    width, _, height = size.partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise OptionError(f"size {size}, wanted width and height such as 640x360")
    return int(width), int(height)


def _title(formats: Sequence[str]) -> Iterator[str]:
    through = [f"{name}, frames/s" for name in formats]
    titles = ["size", "engine", "ms a step", "least", "floor, ms", "share", *through, "peak MB"]
    yield f"| {' | '.join(titles)} |"
    yield "|" + "---|" * len(titles)


def _line(subject: Subject, row: Row, peak: Peak | None) -> str:
    cells = [f"{subject.width}x{subject.height}", row.description]
    cells += [f"{row.step * 1e3:.2f}", f"{row.least * 1e3:.2f}"]
    least = max(floor(subject.width, subject.height, subject.precision, peak)) if peak else 0
    cells += [f"{least * 1e3:.2f}", f"{least / row.step:.0%}"] if peak else ["-", "-"]
    cells += [f"{row.fps[name]:.2f}" for name in subject.formats]
    cells.append(f"{row.memory / MB:.0f}" if row.memory == row.memory else "-")  # NaN: unknown
    return f"| {' | '.join(cells)} |"


def _peak_line(precision: str, peak: Peak) -> str:
    return (
        f"Peak of {precision}: {peak.flops / 1e12:.2f} TFLOP/s, {peak.bytes / 1e9:.0f} GB/s "
        f"read and written."
    )
