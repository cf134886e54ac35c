"""Each operator of old media does what its name says, and nothing else."""

import numpy as np
import pytest
import torch

from vsanimesr.training.degradation import legacy
from vsanimesr.training.draws import generator

LUMA = torch.tensor([0.299, 0.587, 0.114])  # of BT.601
SINGLE = 2e-6


def picture(t=4, h=24, w=64, seed=0):
    random = torch.Generator().manual_seed(seed)
    return torch.rand(t, 3, h, w, generator=random)


def still(**sizes):
    return picture(**{"t": 1, **sizes}).expand(4, -1, -1, -1)


def luma(clip):
    return torch.einsum("c,tchw->thw", LUMA, clip)


def colour(clip):
    """Blue and red difference, unscaled."""
    return torch.stack((clip[:, 2] - luma(clip), clip[:, 0] - luma(clip)), 1)


def close(a, b, within=SINGLE):
    return bool(((a - b).abs() < within).all())


def gray(clip):
    return clip.mean(1, keepdim=True).expand_as(clip)


# Chroma bleed


def test_chroma_bleed_leaves_luma_alone():
    clip = picture()
    bled = legacy.ChromaBleedDraw(3.0, 1.5)(clip)
    assert close(luma(bled), luma(clip))
    assert not close(colour(bled), colour(clip), 0.05)
    assert close(legacy.ChromaBleedDraw(3.0, 1.5)(gray(clip)), gray(clip))


def test_chroma_bleed_smears_along_rows_and_to_the_right():
    clip = torch.full((1, 3, 9, 64), 0.5)
    clip[:, 0, 4, 32] += 0.4  # a reddish point
    red = colour(legacy.ChromaBleedDraw(2.0, 2.5)(clip))[0, 1]
    assert close(red[[3, 5]], torch.zeros(2, 64))
    place = torch.arange(64.0)
    centre = (red[4] * place).sum() / red[4].sum()
    assert centre == pytest.approx(34.5, abs=0.01)
    spread = (red[4] * (place - centre) ** 2).sum() / red[4].sum()
    assert spread == pytest.approx(4, rel=0.02)
    assert red.sum().item() == pytest.approx(colour(clip)[0, 1].sum().item(), rel=1e-4)


# Dot crawl


def test_dot_crawl_alternates_by_frame_and_row():
    clip = still()
    dots = luma(legacy.DotCrawlDraw(0.4, 0.7)(clip)) - luma(clip)
    assert dots.abs().max() > 0.05
    assert close(dots[0], -dots[1])
    assert close(dots[0], dots[2])
    flat = torch.tensor([0.8, 0.2, 0.3])[None, :, None, None].expand(1, 3, 24, 64)
    dots = luma(legacy.DotCrawlDraw(0.4, 0.7)(flat)) - luma(flat)
    assert close(dots[0, 0], -dots[0, 1])


def test_dot_crawl_comes_of_colour_and_stays_in_luma():
    clip = picture()
    crawled = legacy.DotCrawlDraw(0.4, 0.7)(clip)
    assert close(colour(crawled), colour(clip))
    assert close(legacy.DotCrawlDraw(0.4, 0.7)(gray(clip)), gray(clip))
    assert close(legacy.DotCrawlDraw(0.0, 0.7)(clip), clip)


def test_dots_have_the_frequency_of_the_carrier():
    flat = torch.tensor([0.8, 0.2, 0.3])[None, :, None, None].expand(1, 3, 1, 1350)
    dots = luma(legacy.DotCrawlDraw(0.4, 0.7)(flat) - flat)[0, 0]
    assert torch.fft.rfft(dots).abs().argmax() == 358  # 3.579545 / 13.5 * 1350 = 357.95


# Ringing


def test_ringing_makes_echoes_of_an_edge_along_its_row():
    clip = torch.zeros(1, 3, 8, 64)
    clip[..., 32:] = 0.6
    rung = legacy.RingingDraw(0.5)(clip)
    assert close(colour(rung), colour(clip))
    assert close(rung[:, :, :1], rung)  # rows are alike
    row = luma(rung)[0, 0]
    assert row.max() > 0.63
    assert row.min() < -0.03
    beyond = row[34:48] - 0.6
    assert (beyond.sign().diff() != 0).sum() >= 4  # it swings
    assert close(row[[0, 63]], torch.tensor([0.0, 0.6]), 0.02)


def test_ringing_cuts_off_what_lies_above():
    x = torch.arange(256)
    for cycles, kept in (0.3, True), (0.7, False):  # shares of the highest frequency
        wave = 0.5 + 0.3 * torch.cos(torch.pi * cycles * x)
        clip = wave.expand(1, 3, 2, 256)
        swing = luma(legacy.RingingDraw(0.5)(clip))[0, 0, 64:192].std() / wave[64:192].std()
        assert (swing > 0.9) == kept
        assert kept or swing < 0.1


# Line jitter


def test_line_jitter_moves_each_row_by_its_offset():
    x = torch.arange(64.0)
    slope = (x / 100).expand(3, 3, 24, 64)
    jitter = legacy.LineJitterDraw(1.5, 9)
    offsets = jitter.offsets(3, 24)
    moved = jitter(slope)
    inner = slice(8, 56)  # beyond, the border's pixel is repeated
    wanted = ((x - offsets[:, None, :, None]) / 100).expand_as(slope)
    assert close(moved[..., inner], wanted[..., inner])
    assert offsets.std() == pytest.approx(1.5, rel=0.2)
    assert len(offsets.unique()) == 3 * 24
    assert 0 <= moved.min() <= moved.max() <= 0.63 + SINGLE


def test_line_jitter_keeps_what_is_alike_along_a_row():
    clip = picture(w=1).expand(-1, -1, -1, 40)
    assert close(legacy.LineJitterDraw(2.0, 1)(clip), clip)
    clip = picture()
    assert close(legacy.LineJitterDraw(0.0, 1)(clip), clip)


# Combs


@pytest.mark.parametrize("parity", [0, 1])
def test_combs_show_the_next_frame_in_every_other_row(parity):
    clip = picture()
    combed = legacy.CombDraw(1.0, parity, (True, False, True, True))(clip)
    own, other = slice(1 - parity, None, 2), slice(parity, None, 2)
    assert torch.equal(combed[:, :, own], clip[:, :, own])
    assert close(combed[[0, 2]][:, :, other], clip[[1, 3]][:, :, other])
    assert torch.equal(combed[[1, 3]], clip[[1, 3]])
    half = legacy.CombDraw(0.5, parity, (True,) * 4)(clip)
    assert close(half[0, :, other], (clip[0, :, other] + clip[1, :, other]) / 2)


def test_combs_need_motion():
    assert torch.equal(legacy.CombDraw(0.7, 0, (True,) * 4)(still()), still())
    one = picture(t=1)
    assert torch.equal(legacy.CombDraw(0.7, 0, (True,))(one), one)


def test_pulldown_combs_two_frames_of_five():
    drawn = [legacy.Comb(pulldown=1).draw(generator(seed, "comb"), 15) for seed in range(40)]
    for one in drawn:
        assert sum(one.frames) == 6
        assert one.frames[:5] == one.frames[5:10]
        assert any(all(one.frames[i : i + 2]) for i in range(5))  # side by side
    assert len({one.frames for one in drawn}) == 5
    assert {one.parity for one in drawn} == {0, 1}
    every = [legacy.Comb(pulldown=0).draw(generator(seed, "comb"), 15) for seed in range(9)]
    assert all(all(one.frames) for one in every)


# MPEG-2


def moving(frames=15):
    y, x, t = np.ogrid[:64, :64, :frames]
    disc = (x - 8 - 3 * t) ** 2 + (y - 32) ** 2 < 150
    clip = torch.tensor(0.3 + 0.4 * disc + 0.02 * np.sin(x * y)).permute(2, 0, 1)[:, None]
    return (clip * torch.tensor([1, 0.8, 0.6])[:, None, None]).float()


def test_mpeg2_loses_more_with_a_coarser_quantiser():
    clip = moving()
    errors = [
        (legacy.Mpeg2Draw(quantiser, interlaced)(clip) - clip).square().mean().item()
        for interlaced in (False, True)
        for quantiser in (2, 6, 12, 31)
    ]
    assert errors[:4] == sorted(errors[:4])
    assert errors[4:] == sorted(errors[4:])
    assert errors[3] > 3 * errors[0]
    assert errors[:4] != errors[4:]


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize("frames", [1, 2, 13, 15])
def test_mpeg2_gives_every_frame_back_in_order(interlaced, frames):
    levels = (torch.arange(frames) * 89 % 211 + 20) / 255
    clip = levels[:, None, None, None].expand(-1, 3, 32, 48)
    coded = legacy.Mpeg2Draw(3, interlaced)(clip)
    assert coded.shape == clip.shape
    assert close(coded.mean((1, 2, 3)), levels, 3 / 255)


# What is drawn


@pytest.mark.parametrize(
    ("operator", "fields"),
    [
        (legacy.Comb(), ["strength"]),
        (legacy.ChromaBleed(), ["sigma", "delay"]),
        (legacy.DotCrawl(), ["strength"]),
        (legacy.Ringing(), ["cutoff"]),
        (legacy.LineJitter(), ["sigma"]),
        (legacy.Mpeg2(), ["quantiser"]),
    ],
)
def test_draws_fill_their_ranges(operator, fields):
    drawn = [operator.draw(generator(seed, "any"), 15) for seed in range(1000)]
    for field in fields:
        low, high = getattr(operator, field)
        values = np.array([getattr(one, field) for one in drawn])
        whole = field == "quantiser"
        assert low <= values.min()
        assert values.max() <= high
        shares, _ = np.histogram(values, 10, (low, high + whole))
        statistic = ((shares - 100) ** 2 / 100).sum()
        assert statistic < 21.7, shares  # chi-square at 1 %, 9 degrees


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: legacy.Mpeg2(quantiser=(0, 5)), "mpeg2: quantiser"),
        (lambda: legacy.Mpeg2(interlaced=2), "mpeg2: interlaced = 2, wanted a probability"),
        (lambda: legacy.Comb(strength=(0, 2)), "comb: strength"),
        (lambda: legacy.Comb(pulldown=-1), "comb: pulldown"),
        (lambda: legacy.ChromaBleed(sigma=(0, 1)), "chroma_bleed: sigma"),
        (lambda: legacy.ChromaBleed(delay=(0, 99)), "chroma_bleed: delay"),
        (lambda: legacy.DotCrawl(strength=(0.5, 0.1)), "dot_crawl: strength"),
        (lambda: legacy.Ringing(cutoff=(0, 1)), "ringing: cutoff"),
        (lambda: legacy.LineJitter(sigma=(-1, 1)), "line_jitter: sigma"),
        (lambda: legacy.LineJitter(probability=7), "line_jitter: probability"),
    ],
)
def test_bad_ranges_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
