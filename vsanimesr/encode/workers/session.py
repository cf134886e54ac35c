"""One encode on one cluster: chunks become tasks, and what comes back goes into the journal."""

from __future__ import annotations

import hashlib
import pickle
import secrets
import threading
from typing import TYPE_CHECKING, Any

from vsanimesr.encode.common.durable import temporary
from vsanimesr.encode.workers.news import News
from vsanimesr.encode.workers.task import Outcome, ask, make
from vsanimesr.encode.workers.worker import DEATHS
from vsanimesr.errors import EncodeError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from vsanimesr.encode.chunks import Chunk
    from vsanimesr.encode.given.film import Film
    from vsanimesr.encode.workers.work import Work

_SECONDS = 30.0
"""How long a result may take to come."""


class Session:
    """One encode on one cluster."""

    def __init__(self, client: Any, film: Film, work: Work) -> None:  # noqa: ANN401
        """Of Dask's client, for whoever `run` is called by."""
        self._client, self._work = client, work
        self._topic = f"vsanimesr-{secrets.token_hex(8)}"
        self._film = pickle.dumps(film)
        self._unfit: set[str] = set()
        self._failures: dict[Chunk, int] = {}
        self._given_up: dict[Chunk, int] = {}
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
            outcome: Outcome = future.result(timeout=_SECONDS)
        except TimeoutError:  # its worker has died with it, and another makes it
            self._done.add(future)
            return future
        except Exception as error:  # Dask itself: the workers died, or cannot load us
            if not self._to_be_tried(chunk, error):
                raise EncodeError(
                    f"upscale: {chunk} cannot be made: {type(error).__name__}: {error}"
                ) from error
            return self._submit(chunk)
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

    def _to_be_tried(self, chunk: Chunk, error: Exception) -> bool:
        """Whether Dask has given up a chunk only because it lay where others' workers died."""
        from distributed import KilledWorker

        self._news.follow()  # what they died of ends the encode
        times = self._given_up[chunk] = self._given_up.get(chunk, 0) + 1
        return isinstance(error, KilledWorker) and times < DEATHS

    def _dismiss(self, worker: str, why: str) -> None:
        if worker not in self._unfit:
            self._unfit.add(worker)
            self._work.report(f"worker {worker} is not used: {why}")
