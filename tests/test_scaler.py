"""AnimeSR among the scalers of vs-jetpack."""

import inspect

import numpy as np
import pytest
import vapoursynth as vs
from clips import digests, source

scaler = pytest.importorskip("vsanimesr.vs.scaler", exc_type=ImportError)
from vskernels import Bilinear, Catrom, Hermite, Scaler  # noqa: E402
from vsscale import ArtCNN, BaseGenericScaler, Rescale  # noqa: E402

SIBLING = ArtCNN  # another network among the scalers of vs-jetpack


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


@pytest.mark.parametrize("base", [Scaler, BaseGenericScaler])
def test_found_by_name_class_and_instance(base):
    for given in ("AnimeSR", "animesr", scaler.AnimeSR, scaler.AnimeSR(model="v1")):
        found = base.ensure_obj(given)
        assert isinstance(found, scaler.AnimeSR)
        assert base.from_param(given) is scaler.AnimeSR
    assert base.ensure_obj(found) is found
    assert found.options == {"model": "v1"}


def test_called_as_its_siblings_are():
    """Whoever passes scalers around passes these arguments, by these names."""
    for name in ("scale", "supersample"):
        ours = inspect.signature(getattr(scaler.AnimeSR, name)).parameters
        theirs = inspect.signature(getattr(SIBLING, name)).parameters
        assert list(ours) == list(theirs)
        assert [one.default for one in ours.values()] == [one.default for one in theirs.values()]
    ours = inspect.signature(scaler.AnimeSR).parameters
    assert {"kernel", "scaler", "shifter"} <= set(ours)
    assert scaler.AnimeSR.implemented_funcs >= {"scale", "supersample"}
    assert scaler.AnimeSR().kernel_radius == 27


@pytest.mark.parametrize(("factor", "size"), [(1.5, (36, 24)), (2, (48, 32)), (5, (120, 80))])
def test_supersample_by_any_factor(animesr, factor, size):
    out = animesr.supersample(source(1, 24, 16, cuts=()), factor)
    assert (out.width, out.height) == size


@pytest.mark.parametrize(("width", "height"), [(None, None), (50, None), (None, 50)])
def test_a_size_not_named_is_the_clips(animesr, width, height):
    out = animesr.scale(source(1, 24, 16, cuts=()), width, height)
    assert (out.width, out.height) == (width or 24, height or 16)


def test_kernels_of_the_instance_make_the_size_and_the_shift(fixed_model):
    options = {"model": str(fixed_model), "device": "cpu"}
    clip = source(2, 24, 16, cuts=())
    large = clip.animesr.Upscale(**options)
    made = scaler.AnimeSR(scaler=Bilinear, shifter="Catrom", **options)
    out = made.scale(clip, 60, 40, (0.25, -0.5))
    right = Catrom().shift(Bilinear().scale(large, 60, 40), (0.25, -0.5))
    assert digests(out, range(2)) == digests(right, range(2))


def test_rescale_takes_it_by_any_name(animesr, fixed_model):
    """The lines of a clip that was enlarged by Bilinear, drawn anew by the network."""
    clip = Bilinear().scale(source(2, 24, 16, cuts=(), format=vs.YUV444P16), 36, 24)
    rescale = Rescale(clip, 16, Bilinear, upscaler=animesr, downscaler=Hermite)
    plain = Rescale(clip, 16, Bilinear, upscaler="Catrom", downscaler=Hermite)
    assert (rescale.doubled.width, rescale.doubled.height) == (48, 32)
    expected = animesr.supersample(rescale.descale, 2)
    assert digests(rescale.doubled, range(2)) == digests(expected, range(2))
    out = rescale.upscale
    assert (out.width, out.height, out.format.color_family) == (36, 24, vs.YUV)
    assert digests(out, range(2)) != digests(plain.upscale, range(2))
    named = Rescale(clip, 16, Bilinear, upscaler="AnimeSR")
    assert isinstance(named._upscaler, scaler.AnimeSR)


def test_props_and_colour_are_those_of_the_filter(animesr):
    clip = source(1, 24, 16, cuts=(), format=vs.YUV420P8)
    clip = clip.std.SetFrameProps(_Matrix=1, _ChromaLocation=2, own=b"kept")
    with animesr.supersample(clip, 2).get_frame(0) as frame:
        assert (frame.props["_Matrix"], frame.props["_ChromaLocation"]) == (1, 2)
        assert frame.props["own"] == b"kept"
        assert frame.props["_Range"] == 0
