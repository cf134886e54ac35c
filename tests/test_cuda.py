"""The same on a GPU: golden values, order, memory. Skipped where there is none."""

import gc
from pathlib import Path

import numpy as np
import pytest
import torch
import vapoursynth as vs
from clips import digests, source

from vsanimesr import weights
from vsanimesr.colour import FULL_RGB
from vsanimesr.engines import Setup
from vsanimesr.engines.torch.engine import TorchEngine
from vsanimesr.network import image_of

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here"),
]


@pytest.mark.weights
@pytest.mark.parametrize("model", ["v1", "v2"])
@pytest.mark.parametrize(("precision", "least"), [("fp32", 70.0), ("fp16", 55.0), ("bf16", 50.0)])
def test_golden_clip(released, model, precision, least):
    """The released networks' own output on a real clip; fp32 within 1e-3."""
    golden = np.load(Path(__file__).parent / "data" / "bunny_64x48.npz")
    clip = golden["input"].astype(np.float32) / 255
    count, height, width, _ = clip.shape
    engine = TorchEngine(
        weights.load(model),
        Setup(
            width=width,
            height=height,
            device="cuda",
            precision=precision,
        ),
    )
    sources = [engine.upload(list(np.moveaxis(frame, -1, 0)), FULL_RGB) for frame in clip]
    state = None
    images = []
    for t in range(count):
        window = (sources[max(t - 1, 0)], sources[t], sources[min(t + 1, count - 1)])
        state = engine.step(*window, state)
        torch.cuda.synchronize()
        images.append(image_of(state.image)[0].float().cpu().permute(1, 2, 0).numpy())
    difference = np.stack(images) - golden[model].astype(np.float32)
    assert -10 * np.log10((difference**2).mean()) > least
    if precision == "fp32":
        assert np.abs(difference).max() < 1e-3


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_same_bytes_in_any_order(fixed_model, precision):
    def clip():
        upstream = source(100, 64, 48, uneven=0.01)
        return upstream.animesr.Upscale(
            model=str(fixed_model), device="cuda", precision=precision, block=32, warmup=4
        )

    linear = digests(clip(), range(100))
    assert digests(clip(), range(99, -1, -1)) == linear
    assert digests(clip(), range(100), in_flight=16) == linear
    shuffled = np.random.default_rng(0).permutation(100).tolist()
    assert digests(clip(), shuffled, in_flight=4) == linear


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_nodes_give_their_memory_back(fixed_model, precision):
    used = []
    for i in range(40):
        clip = source(4, 320, 180, cuts=()).animesr.Upscale(
            model=str(fixed_model), device="cuda", precision=precision
        )
        clip.get_frame(i % 4).close()
        del clip
        gc.collect()
        vs.core.clear_cache()
        used.append(torch.cuda.memory_allocated())
    assert used[-1] <= used[5]


def test_half_rgb_is_served_in_fp16(fixed_model):
    clip = source(3, 64, 48, cuts=()).resize.Bicubic(format=vs.RGBH)
    out = clip.animesr.Upscale(model=str(fixed_model), device="cuda")
    forced = clip.animesr.Upscale(model=str(fixed_model), device="cuda", precision="fp16")
    assert digests(out, range(3)) == digests(forced, range(3))


def test_out_of_memory_says_what_would_help(fixed_model):
    clip = vs.core.std.BlankClip(None, 16384, 16384, vs.RGBS, length=1)
    with pytest.raises(vs.Error, match=r"out of memory on cuda:0 at 16384x16384.*precision='fp16'"):
        clip.animesr.Upscale(model=str(fixed_model), device="cuda", precision="fp32").get_frame(0)
