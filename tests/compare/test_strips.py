"""Numbers for flicker and boiling, against clips whose right values are known."""

import numpy as np
import pytest

from vsanimesr.compare.strips import Strip, rows
from vsanimesr.still import still

H, W = 12, 16


def run(frames, source=None, at=(3,), cuts=()):
    """A strip of gray pictures; the source stands still unless given."""
    strip = Strip(at)
    source = source or [np.zeros((H, W), np.uint8)] * len(frames)
    for n, frame in enumerate(frames):
        stands = still(source[n - 1], source[n]) if n and n not in cuts else None
        strip.add(np.repeat(np.uint8(frame)[..., None], 3, 2), stands)
    return strip


def test_a_still_picture_has_neither():
    strip = run([np.full((H, W), 90)] * 8)
    assert (strip.flicker(), strip.boiling(), strip.share()) == (0, 0, 1)


def test_a_picture_that_comes_and_goes():
    strip = run([np.full((H, W), 90 + 6 * (n % 2)) for n in range(8)])
    assert strip.flicker() == pytest.approx(6, abs=1e-4)
    assert strip.boiling() == pytest.approx(6, abs=1e-4)


def test_one_step_flickers_once_and_does_not_boil():
    strip = run([np.full((H, W), 90 if n < 5 else 100) for n in range(11)])
    assert strip.flicker() == pytest.approx(10 / 10, abs=1e-4)
    assert strip.boiling() == pytest.approx(0, abs=1e-4)


def test_one_row_alone():
    frames = [np.full((H, W), 50) for _ in range(6)]
    for frame in frames[::2]:
        frame[7] += 24
    strip = run(frames, at=(3, 7))
    assert strip.flicker(3) == strip.boiling(3) == 0
    assert strip.flicker(7) == pytest.approx(24, abs=1e-4)
    assert strip.flicker() == pytest.approx(24 / H, abs=1e-4)
    assert (strip.picture(1)[:, 0, 0] == [74, 50, 74, 50, 74, 50]).all()


def test_what_moves_does_not_flicker():
    """The right half of the source moves; changes of the result there are not flicker."""
    random = np.random.default_rng(1)
    source = [np.zeros((H, W), np.uint8) for _ in range(6)]
    for one in source:
        one[:, W // 2 :] = random.integers(0, 255, (H, W // 2))
    frames = [one.copy() for one in source]
    frames[3][:, 0] += 8
    strip = run(frames, source)
    assert 0.25 < strip.share() <= 0.5
    columns = round(strip.share() * W)
    assert strip.flicker() == pytest.approx(8 * 2 / 5 / columns, rel=1e-3)


def test_a_scene_start_counts_for_neither():
    frames = [np.full((H, W), 20 if n < 4 else 220) for n in range(8)]
    strip = run(frames, cuts=(4,))
    assert (strip.flicker(), strip.boiling()) == (0, 0)


def test_nothing_stands_still():
    source = [np.full((H, W), 40 * n, np.uint8) for n in range(4)]
    assert run(source, source).flicker() is None
    assert run([np.zeros((H, W))]).flicker() is None
    assert run([np.zeros((H, W))] * 2).boiling() is None


def test_the_enlarged_mask_is_where_the_source_is():
    strip = Strip((0,))
    stands = np.zeros((2, 2), bool)
    stands[0, 1] = True
    before, after = np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8, 3), np.uint8)
    after[:4, 4:] = 10
    after[4:] = 99
    strip.add(before, None)
    strip.add(after, stands)
    assert strip.flicker() == pytest.approx(10, abs=1e-4)
    assert strip.share() == 0.25


def test_noise_of_a_code_value_still_stands():
    before = np.full((H, W), 100, np.uint8)
    assert still(before, before + 1).all()
    assert not still(before, before + 2).any()
    point = before.copy()
    point[6, 8] += 26
    assert not still(before, point)[4:9, 6:11].any()
    assert still(before, point).sum() == H * W - 25


def test_rows_are_the_most_detailed_of_each_band():
    detail = np.zeros((30, 8))
    detail[[4, 11, 28]] = 1
    assert rows(detail, 3) == [4, 11, 28]
    assert len(rows(detail, 99)) == 30
