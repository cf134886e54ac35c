"""Chunks as tasks of a Dask cluster: its workers render, this process keeps the journal.

Workers need this package and the source under the same path; what comes back is the chunk itself,
so that no folder has to be shared. Dask moves tasks away from workers that die; nothing here does.
"""

from __future__ import annotations

import hashlib
import pickle
import secrets
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vsanimesr.encode.durable import temporary
from vsanimesr.encode.news import News
from vsanimesr.encode.task import Outcome, ask, make
from vsanimesr.encode.workers import DEATHS
from vsanimesr.errors import EncodeError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from vsanimesr.encode.chunks import Chunk
    from vsanimesr.encode.film import Film
    from vsanimesr.encode.workers import Work

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
        _Session(client, film, work).run()
    except TimeoutError as error:
        raise EncodeError(f"upscale: the cluster at {address} has no workers") from error
    finally:
        client.close(timeout=5)


class _Session:
    """One encode on one cluster."""

    def __init__(self, client: Any, film: Film, work: Work) -> None:  # noqa: ANN401
        self._client, self._work = client, work
        self._topic = f"vsanimesr-{secrets.token_hex(8)}"
        self._film = pickle.dumps(film)
        self._unfit: set[str] = set()
        self._failures: dict[Chunk, int] = {}
        self._news = News(work, self._topic, client)
        self._facts: dict[str, str] = {}
        self._done: Any = None

    def run(self) -> None:
        """Submit all chunks; take what comes, in any order."""
        from distributed import as_completed

        self._agree()
        self._done = as_completed(loop=self._client.loop)
        futures = {self._submit(chunk): chunk for chunk in self._work.chunks}
        try:
            while futures:
                self._news.follow()
                if self._client.status in ("closed", "connecting", "newly-created"):
                    raise EncodeError(
                        "upscale: the scheduler is gone; what is done is kept, and the same "
                        "command goes on when it is back"
                    )
                if not self._done.has_ready():
                    if late := self._late(len(futures)):
                        futures[self._submit(late, self._news.where(late))] = late
                    threading.Event().wait(0.2)
                    continue
                future = next(self._done)
                chunk = futures.pop(future, None)
                if chunk is None:  # another worker was faster
                    continue
                if again := self._take(chunk, future):
                    futures[again] = chunk
                    continue
                twins = [twin for twin, one in futures.items() if one == chunk]
                self._client.cancel(twins, force=True)
                for twin in twins:
                    del futures[twin]
        finally:
            self._client.cancel(list(futures), force=True)

    def _agree(self) -> None:
        """Find a worker that makes the bytes that are wanted."""
        while True:
            outcome: Outcome = self._call(ask, self._film, self._work.touch).result()
            why = outcome.unfit or self._work.accept(outcome.facts)
            if not why:
                self._facts = outcome.facts
                return
            self._dismiss(outcome.worker, why)

    def _late(self, running: int) -> Chunk | None:
        """A chunk that another worker should try, too: one is idle, and this takes too long."""
        late = self._news.late()
        if late is None or running >= sum(self._client.nthreads().values()):
            return None
        return late

    def _submit(self, chunk: Chunk, but: Collection[str] = ()) -> Any:  # noqa: ANN401
        """Have a chunk made, by none of the workers `but`."""
        given = (self._film, chunk, self._work.touch, self._facts, self._topic)
        name = f"chunk-{chunk.number}"
        future = self._call(make, *given, name=name, priority=-chunk.number, but=but)
        self._done.add(future)
        return future

    def _call(
        self,
        function: Callable[..., Outcome],
        *given: object,
        name: str = "facts",
        priority: int = 0,
        but: Collection[str] = (),
    ) -> Any:  # noqa: ANN401
        others: dict[str, Any] = {}
        if self._unfit or but:
            known = self._client.scheduler_info(n_workers=-1)["workers"]
            fit = [worker for worker in known if worker not in self._unfit]
            others["workers"] = [worker for worker in fit if worker not in but] or fit
            if not fit:
                raise EncodeError("upscale: no worker of the cluster can be used; see above")
        key = f"{name}-{self._topic}-{secrets.token_hex(4)}"
        return self._client.submit(
            function, *given, key=key, pure=False, priority=priority, **others
        )

    def _take(self, chunk: Chunk, future: Any) -> Any:  # noqa: ANN401
        """Keep a chunk; or give it to another worker, and return that future."""
        if future.status == "cancelled":
            return self._submit(chunk)
        try:
            outcome: Outcome = future.result(timeout=SECONDS)
        except TimeoutError:  # its worker has died with it, and another makes it
            self._done.add(future)
            return future
        except Exception as error:  # Dask itself: the workers died, or cannot load us
            raise EncodeError(
                f"upscale: {chunk} cannot be made: {type(error).__name__}: {error}"
            ) from error
        future.release()
        if outcome.made:
            path = temporary(self._work.folder, ".mkv")
            path.write_bytes(outcome.data)
            if hashlib.sha256(outcome.data).hexdigest() != outcome.made.sha256:
                raise EncodeError(f"upscale: {chunk} was damaged on its way from {outcome.worker}")
            self._news.done(chunk)
            self._work.enter(chunk, path, outcome.made)
            return None
        self._news.again(chunk, outcome.worker)
        if outcome.unfit:
            self._dismiss(outcome.worker, outcome.unfit)
        else:
            failures = self._failures[chunk] = self._failures.get(chunk, 0) + 1
            if failures >= DEATHS:
                raise EncodeError(f"upscale: {chunk} failed {failures} times: {outcome.failed}")
            self._work.report(f"{chunk} failed on {outcome.worker}: {outcome.failed}")
        return self._submit(chunk)

    def _dismiss(self, worker: str, why: str) -> None:
        if worker not in self._unfit:
            self._unfit.add(worker)
            self._work.report(f"worker {worker} is not used: {why}")
