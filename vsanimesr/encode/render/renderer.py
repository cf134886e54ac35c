"""A chunk from its source: rendered, encoded, verified. Whoever calls this is a worker."""

from __future__ import annotations

import hashlib
import threading
from typing import TYPE_CHECKING, Any, cast

from vsanimesr.encode.common.ffmpeg import Process, find_ffmpeg
from vsanimesr.encode.common.memory import give_back
from vsanimesr.encode.common.names import shown, url
from vsanimesr.encode.given.enlarge import enlarged
from vsanimesr.encode.given.frames import pixel_format
from vsanimesr.encode.render.command import command
from vsanimesr.encode.render.hdr import parameters
from vsanimesr.encode.scenes import marked
from vsanimesr.encode.source.video import open_video
from vsanimesr.encode.verify import Made, verify
from vsanimesr.errors import EncodeError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Generator
    from pathlib import Path

    import vapoursynth as vs

    from vsanimesr.encode.chunks import Chunk
    from vsanimesr.encode.given.film import Film
    from vsanimesr.encode.source.media import Source

IN_FLIGHT = 8
"""Most enlarged frames that are computed or wait for the encoder: with 5120x2880 in 10 bit, 350 MB
that no speed of the encoder makes more of. An engine overlaps three at most."""


class Stopped(Exception):  # noqa: N818 (no error: somebody wanted it)
    """The renderer was told to stop."""


class Renderer:
    """Renders chunks of one film, from any thread: one feeds its encoder while another's ends."""

    def __init__(self, film: Film, video: Source | None = None) -> None:
        """Load the engine.

        Args:
            film: What is rendered.
            video: Its source where that is open already; None: it is opened.

        Raises:
            EncodeError: The source cannot be opened or enlarged, ffmpeg is not there.
        """
        self.film = film
        self._ffmpeg = find_ffmpeg(film.encoding.codec)
        self.video = video or open_video(film)
        self._scenes = set(film.scenes)
        clip = marked(self.video.clip, self._scenes)
        self.clip = enlarged(clip, film.encoding.format, film.upscale)
        pixel_format(self.clip.format.name)
        self._feeding = threading.Lock()
        self._stop = threading.Event()
        self._first: vs.VideoFrame | None = None

    def know(self, scenes: Collection[int]) -> None:
        """Take the scene starts that were found after this was made, before any frame is."""
        self._scenes.update(scenes)

    @property
    def first(self) -> vs.VideoFrame:
        """The film's first frame, enlarged: what it says of colours holds for all.

        Raises:
            EncodeError: It cannot be made.
        """
        if self._first is None:
            self._first = self._frame(0)
        return self._first

    def render(
        self,
        chunk: Chunk,
        path: Path,
        moved: Callable[[int], None] = lambda _: None,
        fed: Callable[[], None] = lambda: None,
    ) -> Made:
        """Make a chunk.

        Args:
            chunk: Which frames.
            path: The file to write (Matroska).
            moved: Called with how many frames have gone to the encoder since the last call; at
                first, when it is this chunk's turn, with 0.
            fed: Called when all have; then another chunk can be rendered meanwhile.

        Raises:
            EncodeError: A frame cannot be made, ffmpeg failed, or what it made is not right.
            Stopped: `stop` was called.
        """
        process = None
        try:
            with self._feeding:
                self._check()
                moved(0)
                process = Process([*self._command(), url(path)])
                for frame in self._frames(chunk.start, chunk.stop):
                    self._check()
                    process.write(frame.readchunks())
                    moved(1)
            fed()
            process.finish()
        finally:
            if process:
                process.kill()
        self._check()
        made = verify(path, len(chunk))
        give_back()
        return made

    def digest(self, n: int) -> str:
        """SHA-256 of the pixels of an enlarged frame."""
        sha = hashlib.sha256()
        with self._frame(n) as frame:
            for data in frame.readchunks():
                sha.update(data)
        return sha.hexdigest()

    def stop(self) -> None:
        """Have all threads leave `render` at the next frame."""
        self._stop.set()

    def _command(self) -> list[str]:
        encoding, first = self.film.encoding, self.first
        options = encoding.options(parameters(encoding.encoder, first.props))
        return command(self._ffmpeg, first, self.video.times.rate, options)

    def _check(self) -> None:
        if self._stop.is_set():
            raise Stopped

    def _frame(self, n: int) -> vs.VideoFrame:
        import vapoursynth as vs

        try:
            return self.clip.get_frame(n)
        except vs.Error as error:
            raise EncodeError(f"frame {n} of {shown(self.film.source)}: {error}") from error

    def _frames(self, start: int, stop: int) -> Generator[vs.VideoFrame]:
        """Frames in order, several in flight. Cut is the output: with the source, blocks move."""
        import vapoursynth as vs

        core: Any = vs.core
        flight = min(IN_FLIGHT, core.num_threads)
        frames = self.clip[start:stop].frames(prefetch=flight, backlog=flight, close=True)
        n = start
        try:
            for frame in frames:
                yield frame
                n += 1
        except vs.Error as error:
            raise EncodeError(f"frame {n} of {shown(self.film.source)}: {error}") from error
        finally:
            cast("Any", frames).close()
