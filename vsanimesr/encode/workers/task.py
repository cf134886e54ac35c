"""What a worker of a Dask cluster does: it renders a chunk and sends it back."""

from __future__ import annotations

import contextlib
import functools
import pickle
import tempfile
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from vsanimesr.encode.common.messages import logged
from vsanimesr.encode.journal.journal import differences
from vsanimesr.encode.render.renderer import Renderer
from vsanimesr.encode.workers.facts import maker_facts

if TYPE_CHECKING:
    from vsanimesr.encode.chunks import Chunk
    from vsanimesr.encode.verify import Made


BEGUN, ENDS, FED = STAGES = ("begun", "ends", "fed")
"""What a worker does with a chunk: it has it; its encoder ends, and it is verified; it is enlarged.
Of those that a dead worker had, the last in this list are what it died of."""
LEFT = "left"
"""It has the chunk no more."""


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


def ask(film: bytes, touch: Chunk) -> Outcome:
    """Tell what would be made here: `facts.maker_facts`.

    Args:
        film: A `Film`, pickled.
        touch: The chunk whose first frame is rendered.
    """
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


def make(film: bytes, chunk: Chunk, touch: Chunk, wanted: dict[str, str], topic: str) -> Outcome:
    """Render a chunk, if what is made here is what is wanted.

    Args:
        film: A `Film`, pickled.
        chunk: Which frames.
        touch: As of `ask`.
        wanted: What `ask` has told of the first worker.
        topic: Where news of the chunk go: its number with one of `STAGES` or `LEFT` and the
            worker's address, with a count of frames whenever some are done, with a line for the
            user.
    """
    from distributed import get_worker
    from distributed.utils import sync

    worker = get_worker()

    def tell(news: object) -> None:
        worker.log_event(topic, (chunk.number, news))

    def now(stage: str) -> None:
        """Wait until it is heard: what comes next may be the worker's end."""
        said = (chunk.number, {stage: worker.address})
        sync(worker.loop, worker.scheduler.log_event, topic=topic, msg=said)

    def moved(count: int) -> None:
        if count:
            tell(count)
        else:
            now(FED)

    with (
        tempfile.TemporaryDirectory(dir=worker.local_directory) as name,
        logged(tell),
        contextlib.ExitStack() as stack,
    ):
        now(BEGUN)
        stack.callback(tell, {LEFT: worker.address})
        folder = Path(name)
        try:
            renderer, facts = _ready(film, touch, folder)
        except Exception as error:  # noqa: BLE001
            return Outcome(worker=worker.address, unfit=str(error) or repr(error))
        if facts != wanted:
            why = f"it would make other bytes: {differences(wanted, facts)}"
            return Outcome(worker=worker.address, unfit=why)
        try:
            made = renderer.render(chunk, folder / "chunk.mkv", moved, lambda: now(ENDS))
            data = (folder / "chunk.mkv").read_bytes()
        except Exception as error:  # noqa: BLE001
            return Outcome(worker=worker.address, failed=str(error) or repr(error))
        return Outcome(worker=worker.address, made=made, data=data)
