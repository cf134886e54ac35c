"""The fused step is `Network.step`."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from vsanimesr.engines.torch import cpu
from vsanimesr.engines.torch.cpu import FusedStep, fits
from vsanimesr.network import Network

pytestmark = pytest.mark.skipif(not fits(torch.float32), reason="torch without oneDNN")
SIZES = [(4, 4), (12, 16), (24, 36)]


@pytest.fixture(autouse=True)
def one_thread():
    """Threads are slow to start on tiny images when the machine is busy."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def network(fixed_weights):
    return Network.from_weights(fixed_weights).eval().requires_grad_(False)


@pytest.fixture
def fused(network):
    def make(dtype):
        if not fits(dtype):
            pytest.skip(f"no {dtype} in this torch on this CPU")
        return FusedStep(network.to(dtype))

    return make


def run(step, height, width, steps=4, state_type=torch.float32, batch=1):
    """Images of a few recurrent steps from zero, and the last state."""
    random = np.random.default_rng(5)
    image = torch.zeros(()).expand(batch, 48, height, width)  # a start as the engine has it
    state = torch.zeros((), dtype=state_type).expand(batch, 64, height, width)
    images = []
    for _ in range(steps):
        window = torch.from_numpy(random.random((batch, 9, height, width), np.float32))
        kept = [x.clone() for x in (window, image, state)]
        with torch.inference_mode():
            result = step(last(window), image, state)
        assert all(torch.equal(a, b) for a, b in zip(kept, (window, image, state), strict=True))
        image, state = result
        assert image.dtype == torch.float32
        assert state.dtype == state_type
        images.append(image)
    return torch.stack(images), state


def last(x):
    return x.contiguous(memory_format=torch.channels_last)


def psnr(a, b):
    return -10 * float(torch.log10(((a - b) ** 2).mean()))


@pytest.mark.parametrize(
    ("size", "tile", "batch"),
    [(size, cpu.TILE, 1) for size in SIZES] + [((24, 36), (5, 7), 1), ((12, 16), (8, 8), 2)],
)
def test_in_fp32_it_is_the_network(network, fused, monkeypatch, size, tile, batch):
    monkeypatch.setattr(cpu, "TILE", tile)
    images, state = run(fused(torch.float32), *size, batch=batch)
    expected, expected_state = run(network.step, *size, batch=batch)
    torch.testing.assert_close(images, expected, rtol=0, atol=1e-5)
    torch.testing.assert_close(state, expected_state, rtol=0, atol=1e-5)


@pytest.mark.parametrize("size", SIZES)
def test_in_bf16_it_is_near(network, fused, size):
    expected, _ = run(network.step, *size)
    images, _ = run(fused(torch.bfloat16), *size)
    assert psnr(images, expected) >= 50


def test_a_state_in_bf16_loses_nothing(fused):
    step = fused(torch.bfloat16)
    images, state = run(step, 12, 16)
    narrow_images, narrow_state = run(step, 12, 16, state_type=torch.bfloat16)
    assert torch.equal(images, narrow_images)
    assert torch.equal(state, narrow_state.float())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_threads_do_not_matter(fused, dtype):
    step = fused(dtype)
    found = []
    for count in (1, 2, 3):
        torch.set_num_threads(count)
        found.append(run(step, 24, 36, steps=2)[0])
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads what GNU OpenMP displays")
@pytest.mark.parametrize(("own", "found"), [(None, "PASSIVE"), ("active", "ACTIVE")])
def test_threads_that_wait_sleep_unless_told_otherwise(own, found):
    """In a process that loads torch through `engines`, as the plugin does."""
    code = "from vsanimesr.engines.backends import engine_class; engine_class('torch')"
    environment = {k: v for k, v in os.environ.items() if k != "OMP_WAIT_POLICY"}
    environment |= {"OMP_DISPLAY_ENV": "true"} | ({"OMP_WAIT_POLICY": own} if own else {})
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert f"OMP_WAIT_POLICY = '{found}'" in done.stderr


@pytest.mark.weights
def test_released_weights_in_bf16(released):
    """On moving waves, with the hidden state in bf16: what `precision="auto"` promises."""
    from vsanimesr import weights

    network = Network.from_weights(weights.load("v2")).eval().requires_grad_(False)
    y, x = torch.meshgrid(torch.arange(48.0), torch.arange(64.0), indexing="ij")
    window = [0.5 + 0.4 * torch.sin(0.3 * y + 0.2 * x + 0.5 * t) for t in range(14)]

    def images(step, state_type):
        image, state = (
            last(torch.zeros(1, 48, 48, 64)),
            last(torch.zeros(1, 64, 48, 64, dtype=state_type)),
        )
        for t in range(12):
            three = [window[t + i].expand(1, 3, 48, 64) for i in range(3)]
            with torch.inference_mode():
                image, state = step(last(torch.cat(three, 1)), image, state)
            yield image

    expected = torch.stack(list(images(network.step, torch.float32)))
    if not fits(torch.bfloat16):
        pytest.skip("no bf16 in this torch on this CPU")
    step = FusedStep(network.to(torch.bfloat16))
    assert psnr(torch.stack(list(images(step, torch.bfloat16))), expected) >= 50
