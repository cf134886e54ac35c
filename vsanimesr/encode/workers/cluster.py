"""Chunks as tasks of a Dask cluster: its workers render, this process keeps the journal.

Workers need this package and the source under the same path; what comes back is the chunk itself,
so that no folder has to be shared. Dask moves tasks away from workers that die; nothing here does.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from vsanimesr.encode.workers.session import Session
from vsanimesr.errors import EncodeError

if TYPE_CHECKING:
    from vsanimesr.encode.given.film import Film
    from vsanimesr.encode.workers.work import Work

SECONDS = 30.0
"""How long the scheduler may take to answer, and its first worker to appear."""
_MISSING = "upscale: --scheduler wants Dask: pip install 'vapoursynth-animesr[cluster]'"


def render_on(address: str, film: Film, work: Work) -> None:
    """Have all chunks made by a cluster.

    Args:
        address: Of the scheduler, such as `tcp://host:8786`, or a file that it has written.
        film: What is rendered.
        work: Which chunks, and what becomes of them.

    Raises:
        EncodeError: There is no cluster, it has no worker that can be used, it is lost, or a chunk
            cannot be made.
    """
    try:
        from distributed import Client
    except ImportError as error:
        raise EncodeError(_MISSING) from error
    if not work.chunks:
        return
    where: dict[str, Any] = {"address": address}
    if Path(address).is_file():
        where = {"scheduler_file": address}
    try:
        client = Client(**where, timeout=SECONDS, set_as_default=False)
    except (OSError, ValueError) as error:
        raise EncodeError(f"upscale: no Dask scheduler answers at {address}: {error}") from error
    try:
        client.wait_for_workers(1, timeout=SECONDS)
        work.report(f"Dask shows what it does at {client.dashboard_link}")
        Session(client, film, work).run()
    except TimeoutError as error:
        raise EncodeError(f"upscale: the cluster at {address} has no workers") from error
    finally:
        client.close(timeout=5)
