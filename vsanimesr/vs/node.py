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
from typing import Protocol

from vsanimesr.engines import Engine
from vsanimesr.errors import DeviceLostError, OptionError
from vsanimesr.lru import Lru
from vsanimesr.recurrence import AHEAD, MAX_REQUEST, Cuts, Holds, Look, Run, Steps, Window, plan
from vsanimesr.vs.ahead import AT_ONCE
from vsanimesr.vs.api import API, Activation, FrameData, VideoInfo
from vsanimesr.vs.colour import Colours
from vsanimesr.vs.held import Pictures
from vsanimesr.vs.host import planes
from vsanimesr.vs.properties import Refused, check_progressive, scene_marks

MIN_SOURCES = 3  # one window


class Hints(Protocol):
    """What asks for source frames ahead: `ahead.Ahead`."""

    def ask(self, frames: Iterable[int], needed: int = -1) -> None:
        """Ask for these, nearest first; those up to `needed` are needed in any case."""
        ...

    def forget(self) -> None:
        """Have what was asked for before asked for again."""
        ...

    def close(self) -> None:
        """Ask for nothing more."""
        ...


@dataclass
class _Request[Source, State]:
    """An output frame on its way."""

    n: int
    alone: bool
    """No other request was pending when it was opened."""
    serial: bool = False
    """It is the next one of a consumer that asks for one frame at a time."""
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
        ahead: Hints,
        cache_bytes: int,
        prefetch: int,
        pictures: Pictures | None = None,
    ) -> None:
        """Serve frames of `info` made of `source` (VSNode), whose reference the node takes over.

        `ahead` asks for frames of `source` that are not needed yet, `prefetch` of them when frames
        are asked for one by one.
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
        self._ahead, self._prefetch = ahead, prefetch
        self._refused = Refused()
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
            self._ahead.close()
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
        """Frame n, and those of its window that it is known to need and that are not at hand."""
        n, last = request.n, self._run.length - 1
        wanted = {n}
        with self._bookkeeping:
            sequential, self._newest = n == self._newest + 1, n
            if (self._run.block_start(n), n) not in self._recent and self._cuts.seen(n):
                if not self._cuts.starts(n):
                    wanted.add(n - 1)
                if n < last and not self._cuts.starts(n + 1):
                    wanted.add(n + 1)
        for t in wanted - {n}:
            source = self._sources.peek(t)
            if source is not None:  # then its properties have been seen, too
                request.sources[t] = source
                wanted.remove(t)
        request.serial = sequential and request.alone
        if not sequential:
            self._ahead.forget()
        self._ask_ahead(request, AT_ONCE - 1)
        return wanted

    def _ask_ahead(self, request: _Request[Source, State], most: int) -> None:
        """Ask for the frames after the window, for a serial consumer."""
        if request.serial and self._prefetch:
            after = request.n + 2 + min(self._prefetch, most)
            self._ahead.ask(range(request.n + 1, min(after, self._run.length)), request.n + 1)

    def _ask(self, request: _Request[Source, State], frames: Iterable[int], context: int) -> None:
        request.asked = tuple(sorted(frames))  # ascending: kind to decoders
        for t in request.asked:
            self._api.requestFrameFilter(t, self._source, context)

    def _serve(self, request: _Request[Source, State], context: int) -> State | None:
        """Get on with a request as far as the frames at hand allow: its state, or a new round."""
        with self._received(request, context):
            todo = self._plan(request)
        while isinstance(todo, Steps):
            self._refused.check(todo.since, request.n)
            if not self._run_steps(request, todo, context):
                return None
            assert request.state is not None
            if request.state[0] == todo.shown:
                return request.state[1]
            todo = self._plan(request)
        request.sources = {}  # up to a whole run is looked at: too much to hold
        pictures = self._pictures
        frames = [t for t in todo.frames if not (pictures and pictures.lasting(t))]
        self._ask(request, frames, context)
        if todo.ahead:
            self._ahead.ask(todo.ahead)
        return None

    def _plan(self, request: _Request[Source, State]) -> Look | Steps:
        block_start = self._run.block_start(request.n)

        def latest(low: int, high: int) -> int | None:
            for t in (high, high - 1):  # of a straight render
                if t >= low and self._state_after(request, t) is not None:
                    return t
            stored = [
                t for store in (self._recent, self._anchors) for b, t in store if b == block_start
            ]
            if request.state:
                stored.append(request.state[0])
            return max((t for t in stored if low <= t <= high), default=None)

        return plan(request.n, self._run, self._cuts, latest, self._holds)

    def _state_after(self, request: _Request[Source, State], t: int) -> State | None:
        if request.state and request.state[0] == t:
            return request.state[1]
        key = (self._run.block_start(request.n), t)
        state = self._recent.get(key)
        return self._anchors.get(key) if state is None else state

    def _run_steps(self, request: _Request[Source, State], todo: Steps, context: int) -> bool:
        """Run these steps and keep their states; False: frames are missing, which are asked for."""
        block_start = self._run.block_start(request.n)
        state = None if todo.after is None else self._state_after(request, todo.after)
        if todo.after is not None and state is not None:
            request.state = (todo.after, state)
        for i, window in enumerate(todo.windows):
            for u in window:
                self._refused.check(u, u)
            previous, current, following = (self._at_hand(request, u) for u in window)
            if previous is None or current is None or following is None:
                self._ask_for_steps(request, todo.windows[i:], context)
                return False
            if window[1] == todo.shown:  # all that is needed is here: nothing can be in its way
                self._ask_ahead(request, self._prefetch)
            for _ in range(1 if i else 1 + todo.again):
                state = self._engine.step(previous, current, following, state)
            assert state is not None
            t = window[1]
            request.state = (t, state)
            self._recent.put((block_start, t), state)
            if t == todo.warm:
                self._anchors.put((block_start, t), state)
        return True

    @contextlib.contextmanager
    def _received(self, request: _Request[Source, State], context: int) -> Generator[None]:
        """Take the frames of the round: their properties, and their planes onto the device.

        Inside the context their pictures can be compared.
        """
        frames: dict[int, int] = {}
        try:
            for t in request.asked:
                frames[t] = frame = self._api.getFrameFilter(t, self._source, context)
                self._see(t, self._api.getFramePropertiesRO(frame))
                if (source := self._sources.get(t)) is None:
                    source = self._upload(t, frame)
                if source is not None:
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

    def _see(self, t: int, props: int) -> None:
        """Take note of the scene marks in frame t's properties."""
        if self._cuts.seen(t):
            return
        marks = scene_marks(self._api, props, t) if self._cuts.honour else (False, False)
        with self._bookkeeping:  # they are looked at in `_first_round`, too
            self._cuts.observe(t, *marks)

    def _upload(self, t: int, frame: int) -> Source | None:
        """Source frame t on the device; None: it is refused, as will be what needs it."""
        props = self._api.getFramePropertiesRO(frame)
        try:
            check_progressive(self._api, props, t)
            colour = self._colours.source(t, props)
        except OptionError as error:
            self._refused.add(t, error)
            return None
        source = self._engine.upload(planes(self._api, frame), colour)
        self._sources.put(t, source)
        return source

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
