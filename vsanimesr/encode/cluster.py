"""Chunks as tasks of a Dask cluster: its workers render, this process keeps the journal.

Workers need this package and the source under the same path; what comes back is the chunk itself,
so that no folder has to be shared. Dask moves tasks away from workers that die; nothing here does.
"""

from __future__ import annotations

import functools
import hashlib
import pickle
import queue
import secrets
import tempfile
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vsanimesr.encode.durable import temporary
from vsanimesr.encode.facts import maker_facts
from vsanimesr.encode.journal import differences
from vsanimesr.encode.messages import logged
from vsanimesr.encode.render import Renderer
from vsanimesr.encode.workers import DEATHS
from vsanimesr.errors import EncodeError

if TYPE_CHECKING:
    from collections.abc import Callable

    from vsanimesr.encode.chunks import Chunk
    from vsanimesr.encode.film import Film
    from vsanimesr.encode.verify import Made
    from vsanimesr.encode.workers import Work

SECONDS = 30.0
"""How long the scheduler may take to answer, and its first worker to appear."""
_MISSING = "upscale: --scheduler wants Dask: pip install 'vapoursynth-animesr[cluster]'"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a task."""

    worker: str
    """Address of who did it."""
    facts: dict[str, str] = field(default_factory=dict[str, str])
    made: Made | None = None
    data: bytes = b""
    unfit: str = ""
    """Why this worker cannot be used."""
    failed: str = ""
    """Why this chunk could not be made."""


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
        self._told: queue.SimpleQueue[tuple[int, int | str]] = queue.SimpleQueue()
        self._said: set[str] = set()
        self._moved: dict[int, int] = {}
        self._facts: dict[str, str] = {}
        self._done: Any = None

    def run(self) -> None:
        """Submit all chunks; take what comes, in any order."""
        from distributed import as_completed

        self._client.subscribe_topic(self._topic, self._heard)
        self._agree()
        self._done = as_completed(loop=self._client.loop)
        futures = {self._submit(chunk): chunk for chunk in self._work.chunks}
        try:
            while futures:
                self._follow()
                if self._client.status in ("closed", "connecting", "newly-created"):
                    raise EncodeError(
                        "upscale: the scheduler is gone; what is done is kept, and the same "
                        "command goes on when it is back"
                    )
                if not self._done.has_ready():
                    self._pause()
                    continue
                future = next(self._done)
                chunk = futures.pop(future)
                if again := self._take(chunk, future):
                    futures[again] = chunk
        finally:
            self._client.cancel(list(futures), force=True)

    def _heard(self, event: tuple[float, tuple[int, int | str]]) -> None:
        self._told.put(event[1])

    def _agree(self) -> None:
        """Find a worker that makes the bytes that are wanted."""
        while True:
            outcome: Outcome = self._call(_ask, self._film, self._work.touch).result()
            why = outcome.unfit or self._work.accept(outcome.facts)
            if not why:
                self._facts = outcome.facts
                return
            self._dismiss(outcome.worker, why)

    def _submit(self, chunk: Chunk) -> Any:  # noqa: ANN401
        given = (self._film, chunk, self._work.touch, self._facts, self._topic)
        future = self._call(_make, *given, name=f"chunk-{chunk.number}", priority=-chunk.number)
        self._done.add(future)
        return future

    def _call(
        self,
        function: Callable[..., Outcome],
        *given: object,
        name: str = "facts",
        priority: int = 0,
    ) -> Any:  # noqa: ANN401
        others: dict[str, Any] = {}
        if self._unfit:
            known = self._client.scheduler_info(n_workers=-1)["workers"]
            others["workers"] = [worker for worker in known if worker not in self._unfit]
            if not others["workers"]:
                raise EncodeError("upscale: no worker of the cluster can be used; see above")
        key = f"{name}-{self._topic}-{secrets.token_hex(4)}"
        return self._client.submit(
            function, *given, key=key, pure=False, priority=priority, **others
        )

    def _take(self, chunk: Chunk, future: Any) -> Any:  # noqa: ANN401
        """Keep a chunk; or give it to another worker, and return that future."""
        if future.status == "cancelled":
            return self._submit(chunk)
        if future.status == "error":  # Dask itself: the workers died, or cannot load us
            error = future.exception()
            raise EncodeError(f"upscale: {chunk} cannot be made: {type(error).__name__}: {error}")
        outcome: Outcome = future.result()
        future.release()
        if outcome.made:
            path = temporary(self._work.folder, ".mkv")
            path.write_bytes(outcome.data)
            if hashlib.sha256(outcome.data).hexdigest() != outcome.made.sha256:
                raise EncodeError(f"upscale: {chunk} was damaged on its way from {outcome.worker}")
            self._follow()
            self._work.moved(len(chunk) - self._moved.pop(chunk.number, 0))
            self._work.enter(chunk, path, outcome.made)
            return None
        self._work.moved(-self._moved.pop(chunk.number, 0))
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

    def _follow(self) -> None:
        """Pass on what workers have told: frames of a chunk, or a line for the user."""
        while not self._told.empty():
            number, news = self._told.get()
            if isinstance(news, int):
                self._moved[number] = self._moved.get(number, 0) + news
                self._work.moved(news)
            elif news not in self._said:
                self._said.add(news)
                self._work.report(news)

    def _pause(self) -> None:
        threading.Event().wait(0.2)


# What workers do


@functools.lru_cache(maxsize=1)
def _renderer(film: bytes) -> tuple[Renderer, list[dict[str, str]]]:
    """The renderer of a pickled film, and its facts once they are known."""
    return Renderer(pickle.loads(film)), []  # of whoever may run code here anyway


_loading = threading.Lock()


def _ready(film: bytes, touch: Chunk, folder: Path) -> tuple[Renderer, dict[str, str]]:
    with _loading:
        renderer, facts = _renderer(film)
        if not facts:
            facts.append(maker_facts(renderer, touch, folder))
    return renderer, facts[0]


def _ask(film: bytes, touch: Chunk) -> Outcome:
    from distributed import get_worker

    worker = get_worker()
    try:
        with (
            tempfile.TemporaryDirectory(dir=worker.local_directory) as folder,
            logged(lambda _: None),  # it is said again with the chunks
        ):
            return Outcome(worker=worker.address, facts=_ready(film, touch, Path(folder))[1])
    except Exception as error:  # noqa: BLE001 (it is told where the user is)
        return Outcome(worker=worker.address, unfit=str(error) or repr(error))


def _make(film: bytes, chunk: Chunk, touch: Chunk, wanted: dict[str, str], topic: str) -> Outcome:
    from distributed import get_worker

    worker = get_worker()
    with (
        tempfile.TemporaryDirectory(dir=worker.local_directory) as name,
        logged(lambda text: worker.log_event(topic, (chunk.number, text))),
    ):
        folder = Path(name)
        try:
            renderer, facts = _ready(film, touch, folder)
        except Exception as error:  # noqa: BLE001
            return Outcome(worker=worker.address, unfit=str(error) or repr(error))
        if facts != wanted:
            why = f"it would make other bytes: {differences(wanted, facts)}"
            return Outcome(worker=worker.address, unfit=why)

        def moved(count: int) -> None:
            worker.log_event(topic, (chunk.number, count))

        try:
            made = renderer.render(chunk, folder / "chunk.mkv", moved)
            data = (folder / "chunk.mkv").read_bytes()
        except Exception as error:  # noqa: BLE001
            return Outcome(worker=worker.address, failed=str(error) or repr(error))
        return Outcome(worker=worker.address, made=made, data=data)
