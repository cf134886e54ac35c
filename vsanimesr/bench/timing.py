"""Timing calls, in a process of their own."""

import itertools
import multiprocessing
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor


def alone[**P, T](function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call in a process of its own."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(function, *args, **kwargs).result()


def times(calls: Callable[[int], None], seconds: float, *, many: bool) -> Iterator[float]:
    """Seconds a call, at least three times; `many`: of ten calls on end, for launches overlap."""
    count = 10 if many else 1
    end = time.perf_counter() + seconds
    for number in itertools.count():
        begin = time.perf_counter()
        if number >= 3 and begin > end:
            return
        calls(count)
        yield (time.perf_counter() - begin) / count


def waiting(device: str) -> Callable[[], None]:
    """Waits until a GPU has done what torch gave it; ONNX Runtime waits by itself."""
    kind = device.partition(":")[0]
    if kind not in ("cuda", "mps", "xpu") or "torch" not in sys.modules:
        return lambda: None
    import torch

    return getattr(torch, kind).synchronize


def overlapping(device: str) -> bool:
    """Whether a step's launch overlaps with the step before: then several are timed on end."""
    return device.partition(":")[0] in ("cuda", "mps", "xpu")
