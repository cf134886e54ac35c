"""Who is hired: this process, others of this machine, one for each GPU, or a cluster."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING

from vsanimesr.encode.render.renderer import Renderer
from vsanimesr.encode.workers.child import Child
from vsanimesr.encode.workers.cluster import render_on
from vsanimesr.encode.workers.crew import run
from vsanimesr.encode.workers.worker import Here, Worker

if TYPE_CHECKING:
    from collections.abc import Callable

    from vsanimesr.encode.given.film import Film
    from vsanimesr.encode.source.media import Source
    from vsanimesr.encode.workers.work import Work

_VISIBLE = "CUDA_VISIBLE_DEVICES"


class Crew:
    """Those who render a film."""

    def __init__(self, workers: int, scheduler: str, device: str) -> None:
        """Choose them.

        Args:
            workers: Processes; 0: one for each GPU, or none besides this one.
            scheduler: Of a Dask cluster; empty: this machine.
            device: As of the filter.
        """
        self._count = workers or max(1, len(gpus(device)))
        self._scheduler, self._device = scheduler, device
        self._alone = not scheduler and self._count == 1
        self._renderer: Renderer | None = None

    def load(self, film: Film, video: Source) -> None:
        """Load the engine, where it is to run in this process: what it refuses is told first."""
        if self._alone:
            self._renderer = Renderer(film, video)

    def work(self, film: Film, video: Source, work: Work) -> None:
        """Have all chunks made.

        Raises:
            EncodeError: One cannot be made, or there is nobody who can.
        """
        if not work.chunks:
            return
        if self._scheduler:
            render_on(self._scheduler, film, work)
        elif self._alone:
            run(work, here(film, self._renderer or Renderer(film, video)))
        else:
            run(work, children(film, self._count, self._device, work.report))


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
