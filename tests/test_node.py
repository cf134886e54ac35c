"""The node under a host of our own, which makes frames ready in any order it likes."""

import contextlib
import ctypes
import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recurrence_model import expected, expected_held
from test_recurrence import clips, needs

from vsanimesr.lru import Lru
from vsanimesr.recurrence import AHEAD, MAX_REQUEST, Cuts, Run
from vsanimesr.vs import node as node_module
from vsanimesr.vs.api import Activation, VideoInfo


class Engine:
    """Sources are frame numbers, states the history of windows; counts its steps."""

    source_bytes = 10
    state_bytes = 100

    def __init__(self):
        self.steps = 0
        self.closed = 0

    overlaps = False

    def upload(self, planes, colour):
        assert colour == planes, "read with another frame's colour"
        return [planes]  # a list: anything falsy or hashable would hide mistakes

    def step(self, previous, current, following, state):
        self.steps += 1
        return (state or (), previous[0], current[0], following[0])

    def write(self, state, planes, colour):
        planes += (state, colour)

    def close(self):
        self.closed += 1


class Colours:
    """Colours are frame numbers, those of outputs a hundred more."""

    def source(self, n, props):
        assert props == n + 1
        return n

    def target(self, colour):
        return colour + 100

    def mark(self, props, colour):
        assert colour == props - 1 + 100


class Host:
    """As much of VapourSynth as the node calls. Frames are numbers; output frames are lists."""

    def __init__(self, clip):
        self.clip = clip
        self.asked = {}
        self.held = 0
        self.freed_nodes = 0

    def requestFrameFilter(self, n, source, context):
        assert 0 <= n < self.clip.length
        self.asked.setdefault(context, []).append(n)

    def getFrameFilter(self, n, source, context):
        assert n in self.ready
        self.held += 1
        return n + 1  # 0 would be NULL

    def freeFrame(self, frame):
        self.held -= 1

    def getFramePropertiesRO(self, frame):
        return frame

    def getFramePropertiesRW(self, frame):
        return frame[0]

    def mapGetInt(self, props, key, index, error):
        n = props - 1
        marks = {b"_SceneChangePrev": self.clip.before, b"_SceneChangeNext": self.clip.after}
        if key in marks:
            return int(marks[key][n])
        error._obj.value = 1
        return 0

    def newVideoFrame(self, video_format, width, height, props, core):
        return [props]

    def freeNode(self, source):
        self.freed_nodes += 1


@pytest.fixture(autouse=True)
def _frames_are_numbers(monkeypatch):
    monkeypatch.setattr(node_module, "planes", fake_planes)


def fake_planes(api, frame, *, writable=False):
    return frame if writable else frame - 1


class Pictures:
    """Frames compared by the clip's numbers; `room` for so many last kept ones."""

    def __init__(self, clip, dedup, room):
        self.numbers, self.dedup = clip.pictures, dedup
        self.round, self.kept, self.last = set(), Lru(room), None

    @contextlib.contextmanager
    def seen(self, frames):
        self.round, self.last = set(frames), None
        yield
        if self.last in self.round:
            self.kept.put(self.last, True)
        self.round = set()

    def lasting(self, t):
        return t in self.kept

    def differs(self, k, t):
        if not all(u in self.round or u in self.kept for u in (k, t)):
            return None
        answer = abs(self.numbers[k] - self.numbers[t]) > self.dedup
        self.last = t if answer else k
        return answer

    def clear(self):
        self.kept.clear()


class Hints:
    """What is asked for ahead."""

    def __init__(self, clip):
        self.clip, self.asked, self.forgotten = clip, [], 0

    def ask(self, frames, needed=-1):
        frames = list(frames)
        assert all(0 <= t < self.clip.length for t in frames)
        self.asked.append(frames)

    def forget(self):
        self.forgotten += 1

    def close(self):
        self.asked = None


def make(clip, block, warmup, honour, cache, prefetch, pictures=None):
    host, engine = Host(clip), Engine()
    host.hints = Hints(clip)
    node = node_module.Node(
        host,
        1,
        2,
        VideoInfo(width=8, height=8, num_frames=clip.length),
        engine,
        Run(length=clip.length, block=block, warmup=warmup),
        Cuts(clip.length, honour),
        Colours(),
        ahead=host.hints,
        cache_bytes=cache,
        prefetch=prefetch,
        pictures=pictures,
    )
    return host, engine, node


class Requests:
    """Requests under way, each a context with its own frame data."""

    def __init__(self, host, node):
        self.host, self.node = host, node
        self.open = {}

    def start(self, context, n):
        data = (ctypes.c_void_p * 1)()
        self.open[context] = (n, data)
        assert self.node.get_frame(n, Activation.INITIAL, data, context) is None
        assert self.host.asked[context], "nothing asked for: the host would never call again"

    def proceed(self, context):
        """Make the frames of a request's round ready; its output when that finishes it."""
        n, data = self.open[context]
        asked = self.host.asked.pop(context)
        assert asked == sorted(set(asked))
        assert len(asked) <= MAX_REQUEST
        self.host.ready = set(asked)
        result = self.node.get_frame(n, Activation.ALL_FRAMES_READY, data, context)
        if result is None:
            assert self.host.asked[context]
        else:
            del self.open[context]
        return result


@settings(max_examples=300, deadline=None)
@given(
    clip=clips(),
    block=st.integers(0, 40),
    warmup=st.integers(0, 12),
    honour=st.booleans(),
    cache=st.sampled_from([0, 250, 1000, 10_000, 10**6]),
    prefetch=st.integers(0, 9),
    dedup=st.sampled_from([None, 0, 2]),
    data=st.data(),
)
def test_any_interleaving_gives_the_model(
    clip, block, warmup, honour, cache, prefetch, dedup, data
):
    pictures = None if dedup is None else Pictures(clip, dedup, data.draw(st.integers(1, 3)))
    host, engine, node = make(clip, block, warmup, honour, cache, prefetch, pictures)
    requests = Requests(host, node)
    frames = st.integers(0, clip.length - 1)
    order = data.draw(st.one_of(st.just(range(clip.length)), st.lists(frames, max_size=30)))
    waiting = list(enumerate(order))[::-1]
    in_flight = data.draw(st.integers(1, 8))
    rounds = 0
    while waiting or requests.open:
        if waiting and len(requests.open) < in_flight:
            requests.start(*waiting.pop())
            continue
        contexts = sorted(requests.open)
        context = contexts[data.draw(st.integers(0, len(contexts) - 1))]
        n, frame_data = requests.open[context]
        if data.draw(st.integers(0, 19)) == 0:  # its source failed, or the host gave it up
            del requests.open[context], host.asked[context]
            node.get_frame(n, Activation.ERROR, frame_data, context)
            continue
        before = engine.steps
        result = requests.proceed(context)
        rounds += 1
        assert rounds < 3000, "does not get on"
        if block:
            assert engine.steps - before <= warmup + block
        if result is not None:
            props, state, colour = result
            assert props == n + 1, "properties of another frame"
            assert colour == n + 100, "written with another frame's colour"
            if dedup is None:
                assert state == expected(n, clip, block, warmup, honour)
            else:
                assert state == expected_held(n, clip, block, warmup, honour, dedup)
    assert host.held == 0, "frames leaked"
    assert prefetch or all(max(ahead) <= max(order) + AHEAD for ahead in host.hints.asked)
    node.release()
    assert host.hints.asked is None
    node.release()
    assert (engine.closed, host.freed_nodes) == (1, 1)


def linear(host, node, frames):
    requests = Requests(host, node)
    for context, n in enumerate(frames):
        requests.start(context, n)
        while requests.proceed(context) is None:
            pass


@given(clip=clips(), block=st.integers(1, 40), warmup=st.integers(0, 12), n=st.integers(0, 89))
def test_a_first_request_costs_at_most_warmup_plus_block(clip, block, warmup, n):
    host, engine, node = make(clip, block, warmup, True, 10**6, 0)
    linear(host, node, [min(n, clip.length - 1)])
    assert engine.steps <= warmup + block


def test_going_back_within_the_cache_costs_no_step():
    clip = clip_of(100)
    host, engine, node = make(clip, 32, 8, True, 10**6, 0)
    linear(host, node, range(60))
    before = engine.steps
    linear(host, node, range(59, 30, -1))
    assert engine.steps == before


def test_scenes_cut_a_seek_short():
    clip = clip_of(300, cuts=(95,))
    host, engine, node = make(clip, 240, 24, True, 0, 0)
    linear(host, node, [100])
    assert engine.steps == 6


def test_a_straight_render_asks_for_each_source_frame_once_or_twice():
    """Frame n for its properties, and n+1 as the window's end."""
    clip = clip_of(50)
    host, _, node = make(clip, 0, 0, True, 10**6, 0)
    asked = []
    original = host.requestFrameFilter
    host.requestFrameFilter = lambda n, *rest: (asked.append(n), original(n, *rest))
    linear(host, node, range(50))
    assert max(asked.count(n) for n in range(50)) == 2


def test_prefetch_asks_ahead_only_for_a_serial_consumer():
    clip = clip_of(100)
    host, _, node = make(clip, 0, 0, True, 10**6, 8)
    requests = Requests(host, node)
    requests.start(0, 0)
    assert host.asked[0] == [0], "what is needed for certain, and no more"
    assert host.hints.asked == [[1, 2, 3, 4]], "no further before that is there"
    assert requests.proceed(0) is None
    assert host.asked[0] == [1]
    assert requests.proceed(0) is not None
    assert host.hints.asked[1:] == [list(range(1, 10))]
    host.hints.asked.clear()
    requests.start(1, 1)
    assert host.asked[1] == [1, 2]
    assert host.hints.asked == [[2, 3, 4, 5]]
    requests.start(2, 2)
    assert host.hints.asked == [[2, 3, 4, 5]], "not where several are asked for side by side"
    host.hints.asked.clear()
    requests.start(3, 50)
    assert host.asked[3] == [50]
    assert (host.hints.asked, host.hints.forgotten) == ([], 1)


@given(clip=clips(), block=st.integers(0, 40), warmup=st.integers(0, 12), data=st.data())
def test_only_frames_that_are_needed_are_asked_for_in_earnest(clip, block, warmup, data):
    """So no frame fails for one that it does not depend on, wherever the source is broken."""
    host, _, node = make(clip, block, warmup, True, 10**6, 8)
    asked = []
    original = host.requestFrameFilter
    host.requestFrameFilter = lambda t, *rest: (asked.append(t), original(t, *rest))
    run = Run(length=clip.length, block=block, warmup=warmup)
    for n in data.draw(st.lists(st.integers(0, clip.length - 1), max_size=12)):
        asked.clear()
        linear(host, node, [n])
        assert needs(n, clip, run, True).issuperset(asked)


def test_a_clip_on_threes_runs_a_third_of_the_steps():
    """And asks for a source frame about as often as without: for itself, and to be compared."""
    clip = dataclasses.replace(clip_of(90), pictures=tuple(t // 3 for t in range(90)))
    host, engine, node = make(clip, 0, 0, True, 10**6, 0, Pictures(clip, 0, 8))
    asked = []
    original = host.requestFrameFilter
    host.requestFrameFilter = lambda n, *rest: (asked.append(n), original(n, *rest))
    linear(host, node, range(90))
    assert engine.steps == 30
    assert max(asked.count(n) for n in range(90)) <= 3
    assert max(asked) - min(asked) == 89


def test_a_still_is_looked_ahead_of_a_little():
    clip = dataclasses.replace(clip_of(1000), pictures=(0,) * 1000)
    host, engine, node = make(clip, 0, 0, True, 10**6, 0, Pictures(clip, 0, 8))
    linear(host, node, [0])
    assert engine.steps == 1
    assert node._cuts.seen(AHEAD)
    assert not node._cuts.seen(AHEAD + 1)


def test_an_engine_error_ends_one_request_only():
    clip = clip_of(20)
    host, engine, node = make(clip, 0, 0, True, 10**6, 0)
    linear(host, node, range(5))
    working, engine.step = engine.step, lambda *_: 1 / 0
    requests = Requests(host, node)
    requests.start(99, 5)
    with pytest.raises(ZeroDivisionError):
        requests.proceed(99)
    assert host.held == 0
    engine.step = working
    linear(host, node, range(5, 20))


def clip_of(length, cuts=()):
    from recurrence_model import Clip

    return Clip(tuple(t in cuts for t in range(length)), (False,) * length, (0,) * length)
