"""Distances of frames, in every format, against the plainest way to say them."""

import numpy as np
import pytest

from vsanimesr.vs.api import ColorFamily, SampleType, VideoFormat
from vsanimesr.vs.held import KEPT_PICTURES, Pictures, worst_square

FORMATS = {
    "8 bit": (np.uint8, 8),
    "10 bit": (np.uint16, 10),
    "16 bit": (np.uint16, 16),
    "half": (np.float16, 16),
    "float": (np.float32, 32),
}


def plainly(a, b):
    a, b = a.astype(np.float64), b.astype(np.float64)
    squares = (
        np.abs(a - b)[y : y + 16, x : x + 16].mean()
        for y in range(0, a.shape[0], 16)
        for x in range(0, a.shape[1], 16)
    )
    return max(squares)


@pytest.fixture(params=FORMATS)
def kind(request):
    return FORMATS[request.param]


def pictures(dedup, kind):
    dtype, bits = kind
    sample = SampleType.FLOAT if np.dtype(dtype).kind == "f" else SampleType.INTEGER
    video_format = VideoFormat(ColorFamily.RGB, sample, bits, np.dtype(dtype).itemsize, 0, 0, 3)
    return Pictures(dedup, video_format)


def scaled(codes, kind):
    """8 bit code values as samples of a format."""
    dtype, bits = kind
    if np.dtype(dtype).kind == "f":
        return (np.asarray(codes) / 255).astype(dtype)
    return (np.asarray(codes) * 2 ** (bits - 8)).astype(dtype)


@pytest.mark.parametrize("shape", [(16, 16), (1, 1), (15, 33), (40, 31), (64, 48)])
def test_the_worst_square(kind, shape):
    random = np.random.default_rng(0)
    dtype, bits = kind
    top = 1 if np.dtype(dtype).kind == "f" else 2**bits
    a, b = (random.uniform(0, top, shape).astype(dtype) for _ in range(2))
    padded = np.zeros((shape[0], shape[1] + 7), dtype)[:, : shape[1]]
    padded[:] = b
    tolerance = 1e-3 if dtype == np.float16 else 1e-6
    assert worst_square(a, padded) == pytest.approx(plainly(a, b), rel=tolerance)
    assert worst_square(a, a) == 0


def test_the_unit_is_the_8_bit_code_value_in_every_format(kind):
    a = scaled(np.full((32, 32), 100), kind)
    b = a.copy()
    b[16:, 16:] = scaled(np.full((16, 16), 103), kind)  # one square of four, by 3 code values
    for dedup, differs in ((0, True), (2.9, True), (3.1, False), (100, False)):
        held = pictures(dedup, kind)
        with held.seen({1: [a, a, a], 2: [a, a, b]}):
            assert held.differs(1, 2) is differs
            assert held.differs(1, 1) is False


def test_a_mouth_that_moves_is_no_noise():
    """Both differ by the same sum of 8 x 8 x 60 code values; the mouth does at one place."""
    kind = FORMATS["8 bit"]
    still = np.full((270, 480), 90, np.uint8)
    mouth, noise = still.copy(), still.copy()
    mouth[100:108, 100:108] += 60
    noise.reshape(-1)[:: still.size // 1920][:1920] += 2
    held = pictures(4, kind)
    with held.seen({1: [still], 2: [mouth], 3: [noise]}):
        assert held.differs(1, 2) is True
        assert held.differs(1, 3) is False


def test_what_is_not_a_number_differs():
    a = np.full((8, 8), np.nan, np.float32)
    infinite = np.full((8, 8), np.inf, np.float32)
    held = pictures(9, FORMATS["float"])
    with held.seen({1: [a], 2: [a], 3: [infinite], 4: [infinite]}):
        assert held.differs(1, 2) is True
        assert held.differs(2, 3) is True
        assert held.differs(3, 4) is False


def test_the_last_kept_frame_stays_at_hand():
    planes = {t: [np.full((4, 4), t // 2, np.uint8)] for t in range(8)}
    held = pictures(0, FORMATS["8 bit"])
    with held.seen({t: planes[t] for t in range(4)}):
        assert [held.differs(0, 1), held.differs(0, 2), held.differs(2, 3)] == [False, True, False]
    assert [t for t in range(4) if held.lasting(t)] == [2]
    planes[2][0][:] = 200  # the host may use the memory again
    with held.seen({4: planes[4], 3: planes[3]}):
        assert held.differs(2, 3) is False
        assert held.differs(2, 4) is True
        assert held.differs(0, 3) is None
        assert held.differs(2, 5) is None
        assert held.lasting(2)
    assert held.lasting(4)
    with held.seen({}):
        assert held.differs(2, 4) is True, "what lasts is not asked for again"


def test_few_frames_stay_at_hand():
    held = pictures(0, FORMATS["8 bit"])
    for t in range(0, 100, 2):
        frames = {u: [np.full((4, 4), u, np.uint8)] for u in (t, t + 1)}
        with held.seen(frames):
            held.differs(t, t + 1)
    assert sum(held.lasting(t) for t in range(101)) == KEPT_PICTURES
    held.clear()
    assert not any(held.lasting(t) for t in range(101))
