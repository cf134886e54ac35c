"""What a worker is, and the one on threads of this process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from vsanimesr.encode.workers.facts import maker_facts

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from vsanimesr.encode.chunks import Chunk
    from vsanimesr.encode.render.renderer import Renderer
    from vsanimesr.encode.verify import Made

LANES = 2
"""Chunks that a worker has at a time: one is fed to its encoder while the other's ends."""
DEATHS = 3
"""A chunk that so many workers died of is not tried again."""


class Died(Exception):  # noqa: N818 (it is told to whoever hires, not to users)
    """A worker is gone, or cannot be used; what it had can be made by another."""

    def __init__(self, why: str, *, own: bool = False) -> None:
        """Say why; `own`: it is the chunk that ended the worker, and no other it had."""
        super().__init__(why)
        self.own = own


class Worker(Protocol):
    """Somebody who renders chunks. `render` is called by `LANES` threads."""

    def facts(self, touch: Chunk, folder: Path) -> dict[str, str]:
        """See `facts.maker_facts`."""
        ...

    def render(
        self, chunk: Chunk, path: Path, moved: Callable[[int], None], fed: Callable[[], None]
    ) -> Made:
        """See `Renderer.render`; raises `Died` where that ends the worker."""
        ...

    def close(self) -> None:
        """Leave, from whatever is being done."""
        ...


class Here:
    """A worker on threads of this process."""

    def __init__(self, renderer: Renderer) -> None:
        """Of this renderer."""
        self._renderer = renderer

    def facts(self, touch: Chunk, folder: Path) -> dict[str, str]:
        """See `Worker`."""
        return maker_facts(self._renderer, touch, folder)

    def render(
        self, chunk: Chunk, path: Path, moved: Callable[[int], None], fed: Callable[[], None]
    ) -> Made:
        """See `Worker`."""
        return self._renderer.render(chunk, path, moved, fed)

    def close(self) -> None:
        """See `Worker`."""
        self._renderer.stop()
