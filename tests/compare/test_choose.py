"""Which frames are compared."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsanimesr.compare.choose import Look, choose, scenes, stretch
from vsanimesr.errors import CompareError


def look(luma=0.5, motion=0.01, detail=0.1, starts=False):
    return Look(luma=luma, motion=motion, detail=detail, starts=starts, time=0.0, type="P")


part = st.floats(0, 1)
LOOKS = st.lists(st.builds(look, part, part, part, st.booleans()), min_size=1, max_size=80)


@given(LOOKS, st.integers(1, 40), st.integers(0, 5), st.data())
def test_as_many_as_asked_for_and_none_twice(looks, count, seed, data):
    named = data.draw(st.lists(st.integers(0, len(looks) - 1), max_size=5))
    found = choose(looks, named, count, seed)
    frames = [choice.frame for choice in found]
    assert frames == sorted(set(frames))
    assert len(frames) == min(max(count, len(set(named))), len(looks))
    assert {choice.frame for choice in found if choice.why == "named"} == set(named)
    assert found == choose(looks, named, count, seed)


def test_each_kind_is_what_it_says():
    looks = [look(luma=n / 400, motion=(n * 7 % 400) / 400) for n in range(400)]
    looks = [look(one.luma, one.motion, 0.1 + (n * 3 % 400) / 400) for n, one in enumerate(looks)]
    for n in (50, 150, 250, 350, 399):
        looks[n] = look(looks[n].luma, 0.0, looks[n].detail, starts=True)
    by = {}
    for choice in choose(looks, (), 25, 3):
        by.setdefault(choice.why, []).append(choice.frame)
    assert {why: len(frames) for why, frames in by.items()} == dict.fromkeys(by, 5)
    assert max(by["dark"]) < 40
    assert min(by["bright"]) >= 360
    assert all(looks[n].motion >= 0.9 for n in by["moving"])
    assert all(looks[n].detail >= 1.0 for n in by["detailed"])
    assert by["scene start"] == [50, 150, 250, 350, 399]


def test_another_seed_chooses_others():
    looks = [look(luma=n / 999) for n in range(999)]
    choices = {tuple(c.frame for c in choose(looks, (), 24, seed)) for seed in range(4)}
    assert len(choices) == 4


def test_black_frames_are_not_chosen_as_dark():
    looks = [look(luma=0.0, detail=0.0)] * 50 + [look(luma=0.2 + n / 500) for n in range(150)]
    dark = [choice.frame for choice in choose(looks, (), 20, 0) if choice.why == "dark"]
    assert dark
    assert min(dark) >= 50


def test_a_frame_that_is_not_there():
    with pytest.raises(CompareError, match=r"^compare: frame 9 was named, the clip has frames 0"):
        choose([look()] * 9, [9], 4, 0)


def test_strips_stay_within_a_scene():
    looks = [look(detail=n / 100, starts=n in (0, 30, 95)) for n in range(100)]
    assert scenes(looks) == [0, 30, 95]
    assert stretch(looks, 60) == (30, 60)
    assert stretch(looks, 20) == (30, 20)


def test_strips_cross_cuts_where_no_scene_is_long_enough():
    looks = [look(starts=n in (0, 20, 55)) for n in range(70)]
    assert stretch(looks, 60) == (10, 60)
    assert stretch(looks, 500) == (0, 70)
