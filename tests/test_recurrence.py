import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from recurrence_model import Clip, expected

from vsanimesr.recurrence import MAX_REQUEST, Cuts, Look, Run, Steps, plan


@st.composite
def clips(draw, longest=90):
    length = draw(st.integers(1, longest))
    marks = st.lists(st.booleans(), min_size=length, max_size=length)
    rare = st.lists(st.sampled_from([False] * 9 + [True]), min_size=length, max_size=length)
    kinds = st.one_of(rare, rare, marks)
    return Clip(tuple(draw(kinds)), tuple(draw(kinds)))


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
    state = () if todo.fresh else states[todo.first - 1]
    for t in range(todo.first, n + 1):
        state = (state, *cuts.window(t))
        states[t] = state
        steps += 1
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
    assert todo == Steps(0, fresh=True)
    assert cuts.window(500) == (499, 500, 501)
