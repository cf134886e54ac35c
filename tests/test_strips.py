"""Strips: the cut, the memory they are chosen by, and equality with the whole frame."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vsanimesr.engines.torch import cpu
from vsanimesr.engines.torch.strips import in_strips
from vsanimesr.errors import OptionError
from vsanimesr.network import Network
from vsanimesr.strips import AUTO, COUNTS, HALO, Budget, cut

HEIGHT, WIDTH = 120, 96


def budget(width=1280, height=720, memory=24 * 2**30):
    return Budget(width=width, height=height, working=2448, state=448, kept=0, memory=memory)


@given(rows=st.integers(1, 600), count=st.integers(1, 80))
def test_strips_cover_every_row_once_and_see_their_halo(rows, count):
    height = 4 * rows
    strips = cut(height, count)
    assert len(strips) == min(count, rows)
    assert [strip.start for strip in strips[1:]] == [strip.stop for strip in strips[:-1]]
    assert (strips[0].start, strips[-1].stop) == (0, height)
    for strip in strips:
        assert strip.start % 4 == strip.top % 4 == strip.bottom % 4 == 0
        assert strip.top == max(0, strip.start - HALO)
        assert strip.bottom == min(height, strip.stop + HALO)
    heights = [strip.stop - strip.start for strip in strips]
    assert max(heights) - min(heights) <= 4


@pytest.fixture(scope="module")
def network(fixed_weights):
    return Network.from_weights(fixed_weights).eval().to(memory_format=torch.channels_last)


def last(x):
    return x.contiguous(memory_format=torch.channels_last)


def made(step):
    """Image and hidden state of a step from a window and a state of noise."""
    random = torch.Generator().manual_seed(0)
    given = (torch.rand(1, n, HEIGHT, WIDTH, generator=random) for n in (9, 48, 64))
    with torch.inference_mode():
        return step(*map(last, given))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("fused", [False, True], ids=["plain", "fused"])
def test_strips_give_the_whole_frame_bit_for_bit(network, dtype, fused):
    """From 96 columns: oneDNN sums images of under 300 pixels in another order."""
    moved = Network.from_weights(
        {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    )
    moved = moved.eval().requires_grad_(False).to(dtype).to(memory_format=torch.channels_last)
    if not cpu.fits(dtype):  # fp32 is computed in its place (`engines.torch.device`)
        pytest.skip(f"oneDNN does not run {dtype} here")
    step = cpu.FusedStep(moved) if fused else moved.step
    whole, striped = made(step), made(in_strips(step, cut(HEIGHT, 3)))
    for a, b in zip(whole, striped, strict=True):
        assert torch.equal(a, b)


def test_a_smaller_halo_shows(network):
    """The equality above is not for want of a difference: 16 rows are too few."""
    strips = [
        type(s)(s.start, s.stop, max(0, s.start - 16), min(HEIGHT, s.stop + 16))
        for s in cut(HEIGHT, 4)
    ]
    whole, striped = made(network.step), made(in_strips(network.step, strips))
    assert not torch.equal(whole[0], striped[0])


@pytest.mark.parametrize("row", range(56, 60))
def test_the_reach_of_a_step_is_within_the_halo(network, row):
    """In float64, where no rounding hides a small influence."""
    step = network.double().step
    window = torch.rand(1, 9, HEIGHT, 32, generator=torch.Generator().manual_seed(0)).double()
    touched = window.clone()
    touched[:, :, row] += 0.25
    state = torch.zeros(1, 112, HEIGHT, 32, dtype=torch.float64).split((48, 64), dim=1)
    with torch.inference_mode():
        changed = [
            (a - b).abs().amax(dim=(0, 1, 3)).nonzero()[:, 0]
            for a, b in zip(step(window, *state), step(touched, *state), strict=True)
        ]
    network.float()
    for rows in changed:
        assert row - HALO < rows.min()
        assert rows.max() < row + HALO
        assert rows.max() - rows.min() > 40, "the coarse branches were not felt"


@given(count=st.sampled_from(COUNTS), width=st.integers(1, 500), rows=st.integers(70, 600))
def test_more_strips_never_need_more_memory(count, width, rows):
    of = budget(4 * width, 4 * rows)
    if count != COUNTS[-1]:
        assert of.peak(COUNTS[COUNTS.index(count) + 1]) <= of.peak(count)


def test_auto_takes_the_fewest_strips_that_fit():
    assert budget().resolve(AUTO) == 1
    for memory in (3 * 2**29, 2**31, 5 * 2**29):
        chosen = budget(memory=memory)
        count = chosen.resolve(AUTO)
        assert count > 1
        assert chosen.fits(count)
        assert not chosen.fits(COUNTS[COUNTS.index(count) - 1])
    assert budget(memory=2**20).resolve(AUTO) == COUNTS[-1]


def test_named_numbers_of_strips():
    assert [budget().resolve(strips) for strips in (0, 1, 7, 180)] == [1, 1, 7, 180]
    with pytest.raises(OptionError, match="strips=181, wanted at most 180 for 720 rows"):
        budget().resolve(181)


def test_advice():
    assert budget(memory=2**31).advice(1) == f"strips={budget(memory=2**31).choose()} would fit"
    assert budget(memory=2**20).advice(1) == "strips=64 needs least"
    assert budget(memory=2**20).advice(64) == "strips cannot help"
