import time
import tracemalloc
from itertools import accumulate

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from recurrence_model import Clip, expected, expected_held, kept

from vsanimesr.recurrence import (
    AHEAD,
    MAX_REQUEST,
    MAX_STEPS,
    REACH,
    Cuts,
    Holds,
    Look,
    Run,
    Steps,
    plan,
)


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
    cuts.observe(n, clip.before[n], clip.after[n])
    needed = needs(n, clip, run, cuts.honour)
    while True:
        todo = plan(n, run, cuts, latest_of(states), None)
        if isinstance(todo, Look):
            assert 0 < len(todo.frames) <= 2
            assert needed.issuperset(todo.frames), "asks for a frame that n does not depend on"
            assert not any(cuts.seen(t) for t in todo.frames + todo.ahead), "asks for what it knows"
            assert len(todo.ahead) <= MAX_REQUEST
            assert min(todo.frames + todo.ahead) >= run.earliest(n) - 1
            for t in todo.frames:
                cuts.observe(t, clip.before[t], clip.after[t])
            rounds += 1
            continue
        assert todo.again == 0
        assert len(todo.windows) <= MAX_STEPS
        state = () if todo.after is None else states[todo.after]
        for window in todo.windows:
            state = (state, *window)
            states[window[1]] = state
            steps += 1
        assert todo.shown == n
        if n in states:
            return states[n], steps, rounds


def latest_of(states):
    return lambda low, high: max((t for t in states if low <= t <= high), default=None)


def needs(n, clip, run, honour):
    """Source frames that output n cannot do without, by the definition."""
    scene = max(t for t in range(n + 1) if clip.starts(t, honour))
    first = max(scene, run.earliest(n))
    # Its first frame's predecessor tells whether a scene starts there; so it is seen, unless the
    # frame itself says so.
    before = 0 if first == 0 or (honour and clip.before[first]) else 1
    return set(range(first - before, min(n + 2, clip.length)))


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


@given(clip=clips(), seen=st.lists(st.integers(0, 89)), data=st.data())
def test_what_is_known_of_cuts(clip, seen, data):
    """Against a list of what each frame says, whatever was seen in whatever order."""
    seen = [t for t in seen if t < clip.length]
    cuts = Cuts(clip.length, honour=True)
    for t in seen:
        cuts.observe(t, clip.before[t], clip.after[t])

    def starts(t):
        if t == 0 or (t in seen and clip.before[t]) or (t - 1 in seen and clip.after[t - 1]):
            return True
        return False if {t, t - 1} <= set(seen) else None

    known = [starts(t) for t in range(clip.length)]
    assert [cuts.starts(t) for t in range(clip.length)] == known
    assert [cuts.seen(t) for t in range(clip.length)] == [t in seen for t in range(clip.length)]
    low, n = sorted(data.draw(st.integers(0, clip.length - 1)) for _ in "12")
    part = range(low, n + 1)
    assert cuts.last_start(low, n) == max((t for t in part if known[t]), default=None)
    assert cuts.last_unknown(low, n) == max((t for t in part if known[t] is None), default=None)
    after = (t for t in range(n + 1, clip.length) if known[t] is not False)
    assert cuts.end(n) == next(after, clip.length)


def test_ignored_scenes_need_no_look():
    cuts = Cuts(1000, honour=False)
    cuts.observe(500, cut_before=True, cut_after=True)
    todo = plan(700, Run(length=1000, block=0, warmup=0), cuts, lambda *_: 499)
    assert isinstance(todo, Steps)
    assert (todo.after, todo.shown, todo.windows[0]) == (499, 700, (499, 500, 501))
    assert len(todo.windows) == MAX_STEPS


ENDLESS = 2**31 - 1
"""Frames of a clip that `std.Loop` makes: the most VapourSynth has."""


@pytest.mark.parametrize("honour", [True, False])
@pytest.mark.parametrize("held", [True, False])
def test_an_endless_clip_costs_what_is_looked_at(honour, held):
    """Memory by frames seen and time by frames looked at, at both of its ends."""
    run = Run(length=ENDLESS, block=120, warmup=12)
    tracemalloc.start()
    begin = time.perf_counter()
    cuts = Cuts(ENDLESS, honour)
    at_hand = set()

    def differs(k, t):
        return k // 3 != t // 3 if {k, t} <= at_hand else None

    holds = Holds(differs if held else None)
    for n in (0, 1, 2, ENDLESS - 1, ENDLESS - 2, ENDLESS // 2):
        states = {}
        while True:
            todo = plan(n, run, cuts, latest_of(states), holds)
            if isinstance(todo, Look):
                assert len(todo.ahead) <= MAX_REQUEST
                at_hand = set(todo.frames)
                for t in todo.frames:
                    cuts.observe(t, cut_before=False, cut_after=False)
                continue
            states.update((window[1], True) for window in todo.windows)
            if todo.shown in states:
                break
    seconds = time.perf_counter() - begin
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 200_000
    assert seconds < 2


def test_an_endless_run_is_planned_in_parts():
    """`block=0, scenes=0` at the far end: years of steps, but neither memory nor a hang to plan."""
    cuts = Cuts(ENDLESS, honour=False)
    run = Run(length=ENDLESS, block=0, warmup=0)
    todo = plan(ENDLESS - 1, run, cuts, lambda *_: None)
    assert isinstance(todo, Steps)
    assert (todo.windows[0], len(todo.windows)) == ((0, 0, 1), MAX_STEPS)
    todo = plan(ENDLESS - 1, run, Cuts(ENDLESS, honour=True), lambda *_: None)
    assert isinstance(todo, Look)
    assert todo.frames == (ENDLESS - 1,)


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
    looks = steps = 0
    while True:
        todo = plan(n, run, viewer.cuts, latest_of(states), viewer.holds)
        if isinstance(todo, Look):
            assert 0 < len(todo.frames) <= 2
            assert min(todo.frames + todo.ahead) >= max(0, run.earliest(n, REACH) - 1)
            assert max(todo.frames + todo.ahead) <= n + AHEAD
            viewer.look(todo.frames)
            looks += 1
            assert looks < 400, "does not get on"
            continue
        state = () if todo.after is None else states[todo.after]
        for i, window in enumerate(todo.windows):
            for _ in range(1 if i else 1 + todo.again):
                state = (state, *window)
                steps += 1
            states[window[1]] = state
        if todo.shown in states:
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
