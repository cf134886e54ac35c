"""The node that serves output frames of the recurrent network in any order.

Filter mode: `fmParallelRequests` where a step ends before it returns (a CPU). VapourSynth then
calls `get_frame` with all frames ready one call at a time but in *no promised order*, and keeps the
other requests in its queue without occupying a worker thread; `recurrence.plan` makes the order
irrelevant. Where steps are only enqueued (a GPU), `fmParallel` behind the node's own lock, which is
held while a step is enqueued and not while its image is waited for. See docs/architecture.md.

A request that arrives early computes the missing steps itself. Steps that other pending requests
will ask for are pinned until they have been served. Nothing waits for another request, and frames
are only ever asked for with requestFrameFilter, in rounds of at most `MAX_REQUEST`.
"""

import contextlib
import itertools
import threading
from collections import Counter
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass, field

from vsanimesr.engines import Engine
from vsanimesr.errors import DeviceLostError, OptionError
from vsanimesr.lru import Lru
from vsanimesr.recurrence import AHEAD, MAX_REQUEST, Cuts, Holds, Look, Run, Window, plan
from vsanimesr.vs.api import API, Activation, FrameData, VideoInfo, get_int
from vsanimesr.vs.colour import Colours
from vsanimesr.vs.held import Pictures
from vsanimesr.vs.host import planes

MIN_SOURCES = 3  # one window


@dataclass
class _Request[Source, State]:
    """An output frame on its way."""

    n: int
    alone: bool
    """No other request was pending when it was opened."""
    asked: tuple[int, ...] = ()
    """Source frames of the round under way."""
    sources: dict[int, Source] = field(default_factory=dict)
    """Uploaded source frames held for the next round, so that it cannot fail to get on."""
    state: tuple[int, State] | None = None
    """Last step run for this request, and its state, between rounds."""
    frame: int | None = None
    """Source frame n, whose properties the output takes."""


class Node[Source, State]:
    """One filter instance: an engine, its kept states, and the requests under way."""

    def __init__(
        self,
        api: API,
        core: int,
        source: int,
        info: VideoInfo,
        engine: Engine[Source, State],
        run: Run,
        cuts: Cuts,
        colours: Colours,
        *,
        cache_bytes: int,
        prefetch: int,
        pictures: Pictures | None = None,
    ) -> None:
        """Serve frames of `info` made of `source` (VSNode), whose reference the node takes over.

        `pictures` tells held frames, whose outputs repeat; None: there are none.

        Half of `cache_bytes` keeps recent states, a quarter states before block starts, a quarter
        source frames; the newest state and one window are kept whatever the budget.
        """
        self._api, self._core, self._source, self._engine = api, core, source, engine
        self._run, self._cuts, self._colours = run, cuts, colours
        self._pictures, self._holds = pictures, Holds(pictures.differs if pictures else None)
        self._longest_wait = AHEAD if pictures else 0  # from a step to the last frame that shows it
        self.info = info
        states = cache_bytes // engine.state_bytes
        self._recent = Lru[tuple[int, int], State](max(1, states // 2), self._is_awaited)
        self._anchors = Lru[tuple[int, int], State](max(1, states // 4))
        self._sources = Lru[int, Source](max(MIN_SOURCES, cache_bytes // 4 // engine.source_bytes))
        self._prefetch = min(prefetch, self._sources.capacity - MIN_SOURCES, MAX_REQUEST)
        self._interlaced: set[int] = set()
        self._requests: dict[int, _Request[Source, State]] = {}
        self._pending: Counter[int] = Counter()
        self._tickets = itertools.count(1)
        self._newest = -1
        self._bookkeeping = threading.Lock()  # held for a few dictionary operations only
        self._computing = threading.Lock()  # contended only in fmParallel

    def get_frame(self, n: int, activation: int, frame_data: FrameData, context: int) -> int | None:
        """See `host.Filter`."""
        if activation == Activation.INITIAL:
            ticket, request = self._open(n)
            frame_data[0] = ticket
            self._ask(request, self._first_round(request), context)
            return None
        ticket: int = frame_data[0]
        request = self._requests[ticket]
        result = None
        try:
            if activation == Activation.ALL_FRAMES_READY:
                with self._computing:
                    state = self._serve(request, context)
                if state is not None:
                    result = self._output(request, state)
        except BaseException as error:
            self._close(ticket)
            if isinstance(error, DeviceLostError):
                self._forget()
            raise
        if result is not None or activation == Activation.ERROR:
            if activation == Activation.ERROR and len(request.asked) > MIN_SOURCES:
                self._prefetch = 0  # perhaps a frame failed that nobody needs: let a retry pass
            self._close(ticket)
        return result

    def release(self) -> None:
        """See `host.Filter`."""
        for ticket in list(self._requests):
            self._close(ticket)
        self._forget()
        if self._pictures:
            self._pictures.clear()
        if self._source:
            self._engine.close()
            self._api.freeNode(self._source)
            self._source = 0

    def _forget(self) -> None:
        """Let go of all that lies on the device; what is needed again is asked for and made anew.

        A device that was lost can only be had back when nothing holds it.
        """
        with self._computing:
            for store in (self._recent, self._anchors, self._sources):
                store.clear()
            with self._bookkeeping:
                for request in self._requests.values():
                    request.sources, request.state = {}, None

    def _open(self, n: int) -> tuple[int, _Request[Source, State]]:
        with self._bookkeeping:
            ticket = next(self._tickets)
            request = _Request[Source, State](n, alone=not self._requests)
            self._requests[ticket] = request
            self._pending[n] += 1
        return ticket, request

    def _close(self, ticket: int) -> None:
        with self._bookkeeping:
            request = self._requests.pop(ticket)
            self._pending[request.n] -= 1
            if not self._pending[request.n]:
                del self._pending[request.n]
        if request.frame:
            self._api.freeFrame(request.frame)

    def _is_awaited(self, key: tuple[int, int]) -> bool:
        block_start, t = key
        shown_by = range(t, t + self._longest_wait + 1)
        return any(n in self._pending and self._run.block_start(n) == block_start for n in shown_by)

    def _first_round(self, request: _Request[Source, State]) -> Iterable[int]:
        """Frame n, and those of its window that are not at hand; ahead, for a serial consumer."""
        n, last = request.n, self._run.length - 1
        sequential, self._newest = n == self._newest + 1, n
        if (self._run.block_start(n), n) in self._recent:
            return (n,)
        wanted = {n}
        for t in {max(n - 1, 0), min(n + 1, last)}:
            source = self._sources.peek(t)
            if source is not None:  # then its properties have been seen, too
                request.sources[t] = source
                continue
            wanted.add(t)
            if sequential and request.alone and t == n + 1:
                wanted.update(range(n + 2, min(n + 1 + self._prefetch, last + 1)))
        return wanted

    def _ask(self, request: _Request[Source, State], frames: Iterable[int], context: int) -> None:
        request.asked = tuple(sorted(frames))  # ascending: kind to decoders
        for t in request.asked:
            self._api.requestFrameFilter(t, self._source, context)

    def _serve(self, request: _Request[Source, State], context: int) -> State | None:
        """Get on with a request as far as the frames at hand allow: its state, or a new round."""
        n, block_start = request.n, self._run.block_start(request.n)

        def state_after(t: int) -> State | None:
            if request.state and request.state[0] == t:
                return request.state[1]
            state = self._recent.get((block_start, t))
            return self._anchors.get((block_start, t)) if state is None else state

        with self._received(request, context):
            todo = plan(n, self._run, self._cuts, lambda t: state_after(t) is not None, self._holds)
        if isinstance(todo, Look):
            request.sources = {}  # up to a whole run is looked at: too much to hold
            pictures = self._pictures
            frames = [t for t in todo.frames if not (pictures and pictures.lasting(t))]
            self._ask(request, frames, context)
            return None
        state = None if todo.after is None else state_after(todo.after)
        for i, window in enumerate(todo.windows):
            previous, current, following = (self._at_hand(request, u) for u in window)
            if previous is None or current is None or following is None:
                done = todo.windows[i - 1][1] if i else todo.after
                request.state = None if done is None or state is None else (done, state)
                self._ask_for_steps(request, todo.windows[i:], context)
                return None
            if bad := self._interlaced.intersection(window):
                raise interlaced(min(bad))
            for _ in range(1 if i else 1 + todo.again):
                state = self._engine.step(previous, current, following, state)
            assert state is not None
            t, then = window[1], todo.windows[i + 1][1] if i + 1 < len(todo.windows) else n + 1
            self._recent.put((block_start, t), state)
            if t < block_start <= then:
                self._anchors.put((block_start, t), state)
        assert state is not None  # a plan ends with the state that n shows
        return state

    @contextlib.contextmanager
    def _received(self, request: _Request[Source, State], context: int) -> Generator[None]:
        """Take the frames of the round: their properties, and their planes onto the device.

        Inside the context their pictures can be compared.
        """
        frames: dict[int, int] = {}
        try:
            for t in request.asked:
                frames[t] = frame = self._api.getFrameFilter(t, self._source, context)
                props = self._api.getFramePropertiesRO(frame)
                before = get_int(self._api, props, b"_SceneChangePrev", 0) == 1
                after = get_int(self._api, props, b"_SceneChangeNext", 0) == 1
                self._cuts.observe(t, before, after)
                if get_int(self._api, props, b"_FieldBased", 0) > 0:
                    self._interlaced.add(t)
                if (source := self._sources.get(t)) is None:
                    colour = self._colours.source(t, props)
                    source = self._engine.upload(planes(self._api, frame), colour)
                    self._sources.put(t, source)
                request.sources[t] = source
            if self._pictures is None:
                yield
                return
            with self._pictures.seen({t: planes(self._api, f) for t, f in frames.items()}):
                yield
        finally:
            for t, frame in frames.items():
                if t == request.n and request.frame is None:
                    request.frame = frame
                else:
                    self._api.freeFrame(frame)

    def _at_hand(self, request: _Request[Source, State], t: int) -> Source | None:
        """The uploaded source frame t, or None."""
        source = request.sources.get(t)
        return source if source is not None else self._sources.get(t)

    def _ask_for_steps(
        self, request: _Request[Source, State], windows: Sequence[Window], context: int
    ) -> None:
        """Ask for the next source frames that these steps need, and hold those at hand."""
        needed = dict.fromkeys(u for window in windows for u in window)
        at_hand = {u: self._at_hand(request, u) for u in needed}
        missing = [u for u, source in at_hand.items() if source is None][:MAX_REQUEST]
        request.sources = {u: s for u, s in at_hand.items() if s is not None and u <= missing[-1]}
        self._ask(request, missing, context)

    def _output(self, request: _Request[Source, State], state: State) -> int:
        """A new frame with the image of a state and the properties of source frame n."""
        api, info = self._api, self.info
        frame: int = api.newVideoFrame(
            info.format, info.width, info.height, request.frame, self._core
        )
        try:
            props = api.getFramePropertiesRW(frame)
            colour = self._colours.target(self._colours.source(request.n, props))
            self._colours.mark(props, colour)
            self._engine.write(state, planes(api, frame, writable=True), colour)
        except BaseException:
            api.freeFrame(frame)
            raise
        return frame


def interlaced(n: int) -> OptionError:
    """The error for an interlaced frame n."""
    return OptionError(
        f"frame {n} is interlaced (_FieldBased > 0), wanted progressive frames: deinterlace "
        "first, or clear the mark with std.SetFieldBased(0)"
    )
