from itertools import accumulate

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from recurrence_model import Clip, expected, expected_held, kept

from vsanimesr.recurrence import AHEAD, MAX_REQUEST, REACH, Cuts, Holds, Look, Run, Steps, plan


@st.composite
def clips(draw, longest=90):
    length = draw(st.integers(1, longest))
    marks = st.lists(st.booleans(), min_size=length, max_size=length)
    rare = st.lists(st.sampled_from([False] * 9 + [True]), min_size=length, max_size=length)
    kinds = st.one_of(rare, rare, marks)
    change = draw(st.sampled_from([(1,), (0, 0, 1), (0,) * 20 + (5,), (0, 0, 0, 1, -1, 5, -9)]))
    changes = draw(st.lists(st.sampled_from(change), min_size=length, max_size=length))
    return Clip(tuple(draw(kinds)), tuple(draw(kinds)), tuple(accumulate(changes)))


def serve(n, clip, run, cuts, states):
    """Follow plans for frame n to their end; the state reached, the steps run, the rounds."""
    steps = 0
    rounds = 0
    for t in {max(n - 1, 0), n, min(n + 1, clip.length - 1)}:
        cuts.observe(t, clip.before[t], clip.after[t])
    while isinstance(todo := plan(n, run, cuts, states.__contains__), Look):
        assert 0 < len(todo.frames) <= MAX_REQUEST
        assert not any(cuts.seen(t) for t in todo.frames), "asks for what it knows"
        assert min(todo.frames) >= run.earliest(n) - 1
        for t in todo.frames:
            cuts.observe(t, clip.before[t], clip.after[t])
        rounds += 1
    assert isinstance(todo, Steps)
    assert todo.again == 0
    state = () if todo.after is None else states[todo.after]
    for window in todo.windows:
        state = (state, *window)
        states[window[1]] = state
        steps += 1
    assert todo.shown == n
    return state, steps, rounds


@given(
    clip=clips(),
    block=st.integers(0, 40),
    warmup=st.integers(0, 12),
    honour=st.booleans(),
    data=st.data(),
)
def test_any_order_gives_the_model(clip, block, warmup, honour, data):
    run = Run(length=clip.length, block=block, warmup=warmup)
    cuts = Cuts(clip.length, honour)
    blocks = {}
    for n in data.draw(st.lists(st.integers(0, clip.length - 1), max_size=12)):
        states = blocks.setdefault(run.block_start(n), {})
        lost = st.lists(st.sampled_from(sorted(states)), unique=True) if states else st.just([])
        for t in data.draw(lost):
            del states[t]
        state, steps, _ = serve(n, clip, run, cuts, states)
        assert state == expected(n, clip, block, warmup, honour)
        if block:
            assert steps <= warmup + block


@given(clip=clips(), block=st.integers(1, 40), warmup=st.integers(0, 12), honour=st.booleans())
def test_straight_render_runs_one_step_a_frame(clip, block, warmup, honour):
    """Only warm-up costs extra: at most `warmup` steps at each block start."""
    run = Run(length=clip.length, block=block, warmup=warmup)
    cuts = Cuts(clip.length, honour)
    total = 0
    states = {}
    for n in range(clip.length):
        if n == run.block_start(n):
            states = {}
        total += serve(n, clip, run, cuts, states)[1]
    assert total <= clip.length + (clip.length - 1) // block * warmup


@given(clip=clips(), n=st.integers(0, 89))
def test_endless_recurrence_starts_at_the_scene(clip, n):
    n = min(n, clip.length - 1)
    run = Run(length=clip.length, block=0, warmup=7)
    state, steps, _ = serve(n, clip, run, Cuts(clip.length, honour=True), {})
    scene = max(t for t in range(n + 1) if clip.starts(t, honour=True))
    assert steps == n - scene + 1
    assert state == expected(n, clip, 0, 7, honour=True)


@given(clip=clips(), t=st.integers(0, 89))
@example(Clip((False,), (False,)), 0)
@example(Clip((False, False), (True, False)), 1)
def test_windows_stay_inside_scene_and_clip(clip, t):
    t = min(t, clip.length - 1)
    cuts = Cuts(clip.length, honour=True)
    for u in range(clip.length):
        cuts.observe(u, clip.before[u], clip.after[u])
    previous, current, following = cuts.window(t)
    assert current == t
    assert previous == (t if clip.starts(t, honour=True) else t - 1)
    last = t == clip.length - 1 or clip.starts(t + 1, honour=True)
    assert following == (t if last else t + 1)


def test_an_unknown_window_is_an_error():
    cuts = Cuts(5, honour=True)
    with pytest.raises(LookupError, match="around frame 2 are not known"):
        cuts.window(2)


def test_ignored_scenes_need_no_look():
    cuts = Cuts(1000, honour=False)
    cuts.observe(500, cut_before=True, cut_after=True)
    todo = plan(700, Run(length=1000, block=0, warmup=0), cuts, lambda _: False)
    assert isinstance(todo, Steps)
    assert (todo.after, todo.shown, len(todo.windows)) == (None, 700, 701)
    assert cuts.window(500) == (499, 500, 501)


class Viewer:
    """What sees frames of a clip: their marks for good, their pictures beside each other."""

    def __init__(self, clip, honour, dedup):
        self.clip, self.dedup, self.at_hand = clip, dedup, set()
        self.cuts = Cuts(clip.length, honour)
        self.holds = Holds(self.differs)

    def differs(self, k, t):
        assert k < t
        if not {k, t} <= self.at_hand:
            return None
        return abs(self.clip.pictures[k] - self.clip.pictures[t]) > self.dedup

    def look(self, frames):
        self.at_hand = set(frames)
        for t in frames:
            self.cuts.observe(t, self.clip.before[t], self.clip.after[t])


def serve_held(n, run, viewer, states):
    """As `serve`, with held frames left out; the state that output n shows, and the steps run."""
    viewer.look([n])
    looks = 0
    while isinstance(todo := plan(n, run, viewer.cuts, states.__contains__, viewer.holds), Look):
        assert 0 < len(todo.frames) <= MAX_REQUEST
        assert min(todo.frames) >= max(0, run.earliest(n, REACH) - 1)
        assert max(todo.frames) <= n + AHEAD
        viewer.look(todo.frames)
        looks += 1
        assert looks < 200, "does not get on"
    state = () if todo.after is None else states[todo.after]
    steps = 0
    for window in todo.windows:
        for _ in range(1 if steps else 1 + todo.again):
            state = (state, *window)
            steps += 1
        states[window[1]] = state
    return states[todo.shown], steps


@given(
    clip=clips(),
    block=st.integers(0, 40),
    warmup=st.integers(0, 6),
    honour=st.booleans(),
    dedup=st.integers(0, 2),
    data=st.data(),
)
def test_any_order_gives_the_model_with_held_frames_left_out(
    clip, block, warmup, honour, dedup, data
):
    run = Run(length=clip.length, block=block, warmup=warmup)
    viewer = Viewer(clip, honour, dedup)
    blocks = {}
    for n in data.draw(st.lists(st.integers(0, clip.length - 1), max_size=12)):
        states = blocks.setdefault(run.block_start(n), {})
        lost = st.lists(st.sampled_from(sorted(states)), unique=True) if states else st.just([])
        for t in data.draw(lost):
            del states[t]
        state, steps = serve_held(n, run, viewer, states)
        assert state == expected_held(n, clip, block, warmup, honour, dedup)
        if block:
            assert steps <= warmup + block


@given(clip=clips(), block=st.integers(0, 40), warmup=st.integers(0, 6), honour=st.booleans())
def test_where_every_frame_differs_none_is_left_out(clip, block, warmup, honour):
    clip = Clip(clip.before, clip.after, tuple(range(clip.length)))
    run = Run(length=clip.length, block=block, warmup=warmup)
    viewer = Viewer(clip, honour, 0)
    for n in range(clip.length):
        found = serve_held(n, run, viewer, {})[0]
        assert found == expected(n, clip, block, warmup, honour)


@given(clip=clips(longest=30), hold=st.integers(1, AHEAD), honour=st.booleans())
def test_a_clip_on_twos_is_the_clip_on_ones(clip, hold, honour):
    """Without blocks, holding each frame is to show each output as often."""
    assume(all(a != b for a, b in zip(clip.pictures, clip.pictures[1:], strict=False)))

    def slower(marks, first):
        return tuple(m and i == first for m in marks for i in range(hold))

    held = Clip(
        slower(clip.before, 0),
        slower(clip.after, hold - 1),
        tuple(p for p in clip.pictures for _ in range(hold)),
    )
    viewer = Viewer(held, honour, 0)
    states = {}
    for n in range(held.length):
        state = serve_held(n, Run(length=held.length, block=0, warmup=0), viewer, states)[0]
        assert state == _times(expected(n // hold, clip, 0, 0, honour), hold)


def _times(state, hold):
    """A state whose frames are counted `hold` times as fast."""
    windows = []
    while state:
        state, *window = state
        windows.append(window)
    for window in reversed(windows):
        state = (state, *(t * hold for t in window))
    return state


@given(clip=clips(), block=st.integers(0, 40), dedup=st.integers(0, 9), data=st.data())
def test_what_is_shown_is_never_further_away_than_the_threshold(clip, block, dedup, data):
    """A slow fade cannot drift, for a frame is compared with the one kept, not with the last."""
    n = data.draw(st.integers(0, clip.length - 1))
    viewer = Viewer(clip, True, dedup)
    state, _ = serve_held(n, Run(length=clip.length, block=block, warmup=3), viewer, {})
    assert abs(clip.pictures[state[2]] - clip.pictures[n]) <= dedup


def test_a_still_is_warmed_up_by_itself():
    """No kept frame within reach: the first is run again until the warm-up is full."""
    clip = Clip((False,) * 100, (False,) * 100, (7,) * 100)
    run = Run(length=100, block=50, warmup=5)
    states = {}
    viewer = Viewer(clip, True, 0)
    first = 50 - REACH * 5
    for n in range(50, 100):
        state, steps = serve_held(n, run, viewer, states)
        assert steps == (5 if n == 50 else 0)
        assert state[1:] == (first - 1, first, first)
    assert kept(first, clip, True, 0) == [first]
