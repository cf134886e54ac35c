import subprocess
import sys

import numpy as np
import pytest
import vapoursynth as vs
from clips import digest, source

import vsanimesr
from vsanimesr.options import Options
from vsanimesr.vs.functions import GONE


def test_the_public_surface():
    assert sorted(vsanimesr.__all__) == ["AnimeSRModel", "__version__", "animesr", "upscale"]
    assert all(hasattr(vsanimesr, name) for name in vsanimesr.__all__)


def test_importing_is_cheap():
    code = "import sys, vsanimesr; print({'torch', 'vapoursynth', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


@pytest.mark.parametrize("format", [vs.RGBS, vs.RGBH])
def test_called_as_before(fixed_model, format):
    clip = source(3, 16, 16, cuts=()).resize.Bicubic(format=format)
    out = vsanimesr.animesr(clip, device_index=0, model=str(fixed_model))
    assert (out.format.id, out.width, out.height) == (format, 64, 64)
    same = vs.core.animesr.Upscale(clip, model=str(fixed_model))
    with out.get_frame(2) as a, same.get_frame(2) as b:
        assert digest(a) == digest(b)


@pytest.mark.weights
def test_models_by_their_old_names(released):
    clip = source(1, 16, 16, cuts=())
    old = [
        vsanimesr.animesr(clip, model=vsanimesr.AnimeSRModel.AnimeSR_v1),
        vsanimesr.animesr(clip, 0, 1),
        vsanimesr.animesr(clip),
    ]
    new = [vs.core.animesr.Upscale(clip, model=name) for name in ("v1", "v2", "v2")]
    for a, b in zip(old, new, strict=True):
        with a.get_frame(0) as frame, b.get_frame(0) as same:
            assert digest(frame) == digest(same)


@pytest.mark.parametrize("name", GONE)
def test_arguments_that_are_gone_name_the_new_one(name):
    with pytest.raises(vs.Error, match=f"^animesr: {name}= is gone; use "):
        vsanimesr.animesr(source(1, 16, 16, cuts=()), **{name: 1})


def test_what_it_refuses():
    with pytest.raises(vs.Error, match="clip is int, wanted a VideoNode"):
        vsanimesr.animesr(3)
    with pytest.raises(vs.Error, match="the clip is YUV420P8, wanted RGBH or RGBS"):
        vsanimesr.animesr(source(1, 16, 16, cuts=(), format=vs.YUV420P8))
    with pytest.raises(vs.Error, match="model=2, wanted a member of AnimeSRModel"):
        vsanimesr.animesr(source(1, 16, 16, cuts=()), model=2)


def test_upscale_takes_every_option(fixed_model):
    clip = source(2, 16, 16, cuts=())
    options = {"model": str(fixed_model), "device": "cpu", "block": 5, "scale": 2.0}
    out = vsanimesr.upscale(clip, **options)
    assert out.width == 32
    assert np.isfinite(Options(**options).scale)
    with pytest.raises(vs.Error, match="named tile"):
        vsanimesr.upscale(clip, tile=1)
