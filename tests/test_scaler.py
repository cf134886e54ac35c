"""AnimeSR among the scalers of vs-jetpack."""

import numpy as np
import pytest
import vapoursynth as vs
from clips import digests, source

scaler = pytest.importorskip("vsanimesr.vs.scaler", exc_type=ImportError)


@pytest.fixture
def animesr(fixed_model):
    return scaler.AnimeSR(model=str(fixed_model), device="cpu")


def test_supersample_is_upscale(animesr, fixed_model):
    clip = source(3, 24, 16, cuts=(), format=vs.YUV420P8)
    plain = clip.animesr.Upscale(model=str(fixed_model), device="cpu")
    assert digests(animesr.supersample(clip, 4), range(3)) == digests(plain, range(3))


@pytest.mark.parametrize(("width", "height"), [(48, 32), (24, 16), (120, 80)])
def test_every_size_is_reached(animesr, width, height):
    clip = source(2, 24, 16, cuts=())
    out = animesr.scale(clip, width, height)
    assert (out.width, out.height, out.format.id) == (width, height, vs.RGBS)
    with out.get_frame(1) as frame:
        assert frame.props["number"] == 1


def test_a_shift_moves_the_picture(animesr):
    clip = source(1, 24, 16, cuts=())
    still, moved = animesr.scale(clip, 96, 64), animesr.scale(clip, 96, 64, (0, 1))
    with still.get_frame(0) as a, moved.get_frame(0) as b:
        difference = np.asarray(a[0])[8:-8, 9:-7] - np.asarray(b[0])[8:-8, 8:-8]
        assert np.abs(difference).max() < 1e-4


def test_options_of_a_call_come_first(animesr):
    with pytest.raises(vs.Error, match=r"^Upscale: device=nothing, wanted auto"):
        animesr.scale(source(1, 24, 16, cuts=()), 96, 64, device="nothing")
