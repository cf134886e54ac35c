"""Which workers there are: this process, or others, one for each GPU."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING

from vsanimesr.encode.child import Child
from vsanimesr.encode.film import Film
from vsanimesr.encode.render import Renderer
from vsanimesr.encode.workers import Here, Worker

if TYPE_CHECKING:
    from collections.abc import Callable


_VISIBLE = "CUDA_VISIBLE_DEVICES"


def gpus(device: str) -> list[str]:
    """The GPUs that `device` leaves open, as `CUDA_VISIBLE_DEVICES` names them.

    Args:
        device: As of the filter; only `auto` and `cuda` leave it open.
    """
    from vsanimesr.engines.cuda_device import devices

    if device not in ("auto", "cuda"):
        return []
    numbers = [str(n) for n in range(len(devices()))]
    named = [name for name in os.environ.get(_VISIBLE, "").split(",") if name]
    return named[: len(numbers)] if named else numbers


def children(
    film: Film, count: int, device: str, report: Callable[[str], None]
) -> list[Callable[[], Worker]]:
    """So many worker processes, in turn on the GPUs that are there."""
    names = gpus(device)
    environments = [{_VISIBLE: names[n % len(names)]} if names else {} for n in range(count)]
    return [partial(Child, film, environment, report) for environment in environments]


def here(film: Film, renderer: Renderer) -> list[Callable[[], Worker]]:
    """This process."""
    renderer.know(film.scenes)
    return [lambda: Here(renderer)]
