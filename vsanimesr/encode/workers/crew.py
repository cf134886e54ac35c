"""A crew: workers that take chunks until there are no more, and what becomes of those that die."""

from __future__ import annotations

import queue
from collections import deque
from typing import TYPE_CHECKING

from vsanimesr.encode.workers.place import Place, State
from vsanimesr.errors import EncodeError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vsanimesr.encode.workers.work import Work
    from vsanimesr.encode.workers.worker import Worker


def run(work: Work, hire: Sequence[Callable[[], Worker]]) -> None:
    """Have all chunks made.

    Args:
        work: Which, and what becomes of them.
        hire: For each worker, what makes it; called again for one that died.

    Raises:
        EncodeError: A chunk cannot be made, or no worker can be used.
    """
    if not work.chunks:
        return
    events: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
    state = State(deque(work.chunks), len(work.chunks))
    crew = [Place(work, state, events, make) for make in hire]
    try:
        for place in crew:
            place.start()
        while state.left:
            if not any(place.is_alive() for place in crew) and events.empty():
                raise EncodeError(f"upscale: no worker can be used: {state.cause}")
            try:
                event = events.get(timeout=0.2)
            except queue.Empty:
                continue
            event()
    finally:
        with state.lock:
            state.over = True
            state.lock.notify_all()
        for place in crew:
            place.stop()
        for place in crew:
            place.join()
