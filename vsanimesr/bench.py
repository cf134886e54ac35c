"""How fast this machine upscales, and what share of its own peak that is.

Everything is measured in one run. Each engine runs in a process of its own, so that its memory is
its own and no other's threads are left over.

The floor of a step is the larger of two times: its arithmetic at the machine's peak, and the
convolutions' inputs and outputs, each moved once, at the bandwidth of the memory. The peak is the
best of a few large matrix products and convolutions in that precision, not a data sheet's.
"""

import contextlib
import datetime
import importlib.metadata
import itertools
import multiprocessing
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from vsanimesr import engines, weights
from vsanimesr.bench_choices import BACKENDS, FORMATS, PRECISIONS, SECONDS, SIZES
from vsanimesr.colour import FULL_RGB
from vsanimesr.engines.cuda_device import devices
from vsanimesr.errors import OptionError, VsAnimeSRError
from vsanimesr.models import parameter_shapes

WARMUPS = 3
MB = 2**20
ITEMSIZE = {"fp32": 4, "tf32": 4, "fp16": 2, "bf16": 2}


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
class Peak:
    """What the machine reaches."""

    flops: float
    """Floating point operations a second in the precision; a multiply-add is two."""
    bytes: float
    """Read and written a second in a copy of much memory."""


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


def work(width: int, height: int) -> tuple[int, int]:
    """Multiply-adds of a step, and values that its convolutions read and write.

    1,127,232 multiply-adds a source pixel; each input and output once.
    """
    products = values = 0
    for name, shape in parameter_shapes().items():
        if not name.endswith(".weight"):
            continue
        shrunk = 16 if "_s4_" in name else 4 if "_s2_" in name else 1  # pixels, of the output
        outputs, inputs = shape[:2]
        strided = name.split(".")[1] in ("conv_s2_first", "conv_s4_first")
        products += prod(shape) * 16 // shrunk
        values += (outputs + inputs * (4 if strided else 1)) * 16 // shrunk
    return products * width * height // 16, values * width * height // 16


def floor(subject: Subject, peak: Peak) -> tuple[float, float]:
    """Seconds that a step takes at the least for its arithmetic, and for its memory."""
    products, values = work(subject.width, subject.height)
    return 2 * products / peak.flops, values * ITEMSIZE[subject.precision] / peak.bytes


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
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
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
        device = _alone(_best_device)
    kind = device.partition(":")[0]
    if kind not in PRECISIONS:
        raise OptionError(f"device={device}, but only {' and '.join(PRECISIONS)} can be measured")
    precisions = precisions or PRECISIONS[kind]
    peaks: dict[str, Peak] = {}
    for precision in precisions:
        report(f"peak of {precision}")
        with contextlib.suppress(VsAnimeSRError, ImportError, RuntimeError):
            peaks[precision] = _alone(measure_peak, precision, device, seconds)
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
            yield _line(subject, _alone(measure, subject), peaks.get(precision))
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


def measure(subject: Subject) -> Row:
    """One row, in this process.

    Raises:
        EngineError: The backend, the device or the precision is not to be had.
    """
    engine = engines.load(
        subject.backend,
        weights.load(subject.model),
        engines.Setup(
            width=subject.width,
            height=subject.height,
            device=subject.device,
            precision=subject.precision,
        ),
    )
    wait = _waiting(subject.device)
    random = np.random.default_rng(0)
    shape = (3, subject.height, subject.width)
    window = [engine.upload(list(random.random(shape, np.float32)), FULL_RGB) for _ in range(3)]
    state: Any = None

    def steps(count: int) -> None:
        nonlocal state
        for _ in range(count):
            state = engine.step(window[0], window[1], window[2], state)
        wait()

    steps(WARMUPS)
    times = list(_times(steps, subject.seconds, many=subject.device != "cpu"))
    memory, description = _memory(subject.device), engine.description
    state = None
    engine.close()
    fps = {name: _fps(subject, name, statistics.median(times)) for name in subject.formats}
    return Row(
        description=description,
        step=statistics.median(times),
        least=min(times),
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


def measure_peak(precision: str, device: str, seconds: float) -> Peak:
    """The machine's peak, by torch, in this process.

    Raises:
        ImportError: There is no torch.
        RuntimeError: This device has no such precision.
    """
    import torch
    import torch.nn.functional as F

    dtypes = {"fp16": torch.float16, "bf16": torch.bfloat16}
    dtype = dtypes.get(precision, torch.float32)
    where = torch.device("cuda" if device.startswith("cuda") else "cpu")
    cuda = where.type == "cuda"
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision == "tf32"
    wait = _waiting(device)
    flops = 0.0
    with torch.inference_mode():
        for n in (1024, 2048, *([8192] if cuda else [])):
            a, b = (torch.rand(n, n, device=where).to(dtype) for _ in range(2))
            flops = max(flops, 2 * n**3 / _best(lambda a=a, b=b: a @ b, wait, seconds / 6, cuda))
        for channels, size in ((64, (180, 320)), (128, (90, 160)), (256, (90, 160))):
            x, kernel = torch.rand(1, channels, *size), torch.rand(channels, channels, 3, 3)
            x, kernel = (
                y.to(where, dtype).contiguous(memory_format=torch.channels_last)
                for y in (x, kernel)
            )
            once = _best(lambda x=x, k=kernel: F.conv2d(x, k, padding=1), wait, seconds / 6, cuda)
            flops = max(flops, 2 * 9 * channels**2 * prod(size) / once)
        source = torch.ones(MB * (1024 if cuda else 256) // 4, device=where)
        target = torch.empty_like(source)
        moved = 2 * source.nbytes / _best(lambda: target.copy_(source), wait, seconds / 3, cuda)
    return Peak(flops=flops, bytes=moved)


def _best(
    call: Callable[[], object], wait: Callable[[], None], seconds: float, many: bool
) -> float:
    def calls(count: int) -> None:
        for _ in range(count):
            call()
        wait()

    calls(1)
    return min(_times(calls, seconds, many=many))


def _times(calls: Callable[[int], None], seconds: float, *, many: bool) -> Iterator[float]:
    """Seconds a call, at least three times; `many`: of ten calls on end, for launches overlap."""
    count = 10 if many else 1
    end = time.perf_counter() + seconds
    for number in itertools.count():
        begin = time.perf_counter()
        if number >= 3 and begin > end:
            return
        calls(count)
        yield (time.perf_counter() - begin) / count


def _waiting(device: str) -> Callable[[], None]:
    """Waits until a GPU has done what torch gave it; ONNX Runtime waits by itself."""
    if not device.startswith("cuda") or "torch" not in sys.modules:
        return lambda: None
    import torch

    return torch.cuda.synchronize


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


def _best_device() -> str:
    return "cuda" if devices() else "cpu"


def _alone[**P, T](function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call in a process of its own."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(function, *args, **kwargs).result()


def _title(formats: Sequence[str]) -> Iterator[str]:
    through = [f"{name}, frames/s" for name in formats]
    titles = ["size", "engine", "ms a step", "least", "floor, ms", "share", *through, "peak MB"]
    yield f"| {' | '.join(titles)} |"
    yield "|" + "---|" * len(titles)


def _line(subject: Subject, row: Row, peak: Peak | None) -> str:
    cells = [f"{subject.width}x{subject.height}", row.description]
    cells += [f"{row.step * 1e3:.2f}", f"{row.least * 1e3:.2f}"]
    least = max(floor(subject, peak)) if peak else 0
    cells += [f"{least * 1e3:.2f}", f"{least / row.step:.0%}"] if peak else ["-", "-"]
    cells += [f"{row.fps[name]:.2f}" for name in subject.formats]
    cells.append(f"{row.memory / MB:.0f}" if row.memory == row.memory else "-")  # NaN: unknown
    return f"| {' | '.join(cells)} |"


def _peak_line(precision: str, peak: Peak) -> str:
    return (
        f"Peak of {precision}: {peak.flops / 1e12:.2f} TFLOP/s, {peak.bytes / 1e9:.0f} GB/s "
        f"read and written."
    )


def header(device: str) -> str:
    """Date, hardware, versions and, in a checkout, the commit."""
    names = ("vapoursynth-animesr", "vapoursynth", "torch", "onnxruntime", "openvino", "ncnn")
    versions = [f"Python {platform.python_version()}"]
    for name in names:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions.append(f"{name} {importlib.metadata.version(name)}")
    hardware = f"{_processor()}, {os.cpu_count()} threads, {platform.system()}"
    if device.startswith("cuda"):
        hardware = f"{devices()[int(device.partition(':')[2] or 0)].name}, {hardware}"
    parts = [str(datetime.date.today()), hardware, ", ".join(versions)]
    commit = _commit()
    if commit:
        parts.append(f"commit {commit}")
    if hasattr(os, "getloadavg"):
        parts.append(f"load {os.getloadavg()[0]:.1f}")
    return "; ".join(parts)


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _commit() -> str:
    root = Path(__file__).parents[1]
    if not (root / ".git").exists():
        return ""
    try:
        done = subprocess.run(
            ["git", "-C", str(root), "describe", "--always", "--dirty", "--exclude=*"],
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:
        return ""
    return done.stdout.strip()
