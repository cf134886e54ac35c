"""Measures that agree with eyes, against their formulas in float64 and published values."""

import hashlib
import io
import os
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from vsanimesr import wheel
from vsanimesr.errors import WeightsError
from vsanimesr.training.degradation import codec
from vsanimesr.training.measures import boiling, dists, lpips
from vsanimesr.training.networks import imagenet


def convolution(x, weight, bias, stride, padding):
    """A correlation in float64: x (c, h, w), zeros around it."""
    size = weight.shape[-1]
    padded = np.pad(x, ((0, 0), (padding, padding), (padding, padding)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (size, size), axis=(1, 2))
    return (
        np.einsum("chwij,ocij->ohw", windows[:, ::stride, ::stride], weight) + bias[:, None, None]
    )


def pooled(x, size):
    """The greatest of squares two apart that lie within the picture."""
    windows = np.lib.stride_tricks.sliding_window_view(x, (size, size), axis=(1, 2))
    return windows[:, ::2, ::2].max((3, 4))


def alexnet(x, convolutions):
    features = []
    for i, (weight, bias) in enumerate(convolutions):
        x = pooled(x, 3) if i in (1, 2) else x
        stride, padding = [(4, 2), (1, 2), (1, 1), (1, 1), (1, 1)][i]
        x = np.maximum(convolution(x, weight, bias, stride, padding), 0)
        features.append(x)
    return features


def vgg16(x, convolutions):
    features, left = [], iter(convolutions)
    for stage, count in enumerate((2, 2, 3, 3, 3)):
        x = pooled(x, 2) if stage else x
        for _ in range(count):
            x = np.maximum(convolution(x, *next(left), 1, 1), 0)
        features.append(x)
    return features


WRITTEN_OUT = {"alexnet": alexnet, "vgg16": vgg16}


def trained(backbone, seed=3):
    """A network of few channels with random numbers."""
    random = np.random.default_rng(seed)
    sizes = [11, 5, 3, 3, 3] if backbone == "alexnet" else [3] * 13
    widths = [3, *(4 + i % 3 for i in range(len(sizes)))]
    convolutions = [
        (random.normal(0, 0.3, (out, into, size, size)), random.normal(0, 0.1, out))
        for size, into, out in zip(sizes, widths, widths[1:], strict=False)
    ]
    ends = [0, 1, 2, 3, 4] if backbone == "alexnet" else [1, 3, 6, 9, 12]
    return convolutions, [random.random(widths[end + 1]) for end in ends]


def lpips_in_numpy(a, b, features, convolutions, linear):
    """Equation 1 of the paper, for one pair (3, h, w) in [0, 1]."""
    shift = np.reshape((-0.030, -0.088, -0.188), (3, 1, 1))
    scale = np.reshape((0.458, 0.448, 0.450), (3, 1, 1))
    total = 0.0
    pairs = (features((2 * x - 1 - shift) / scale, convolutions) for x in (a, b))
    for made, wanted, weight in zip(*pairs, linear, strict=True):
        unit = [f / (np.sqrt(np.square(f).sum(0)) + 1e-10) for f in (made, wanted)]
        total += (weight[:, None, None] * np.square(unit[0] - unit[1])).sum(0).mean()
    return total


def use(monkeypatch, convolutions, linear):
    """Let `lpips` have these numbers for a network."""

    def load(_):
        pairs = [tuple(torch.from_numpy(x).float() for x in pair) for pair in convolutions]
        return imagenet.Trained(pairs, [torch.from_numpy(x).float() for x in linear])

    monkeypatch.setattr(imagenet, "load", load)


@pytest.fixture(autouse=True)
def nothing_kept():
    yield
    for one in (lpips, dists):
        one._network.cache_clear()


@pytest.mark.parametrize("backbone", ["alexnet", "vgg16"])
def test_lpips_is_that_of_the_paper(backbone, monkeypatch):
    convolutions, linear = trained(backbone)
    use(monkeypatch, convolutions, linear)
    random = np.random.default_rng(1)
    a = random.random((2, 3, 47, 38))
    b = np.clip(a + random.normal(0, 0.1, a.shape), 0, 1)
    found = lpips.lpips(torch.from_numpy(a), torch.from_numpy(b), backbone)
    wanted = [
        lpips_in_numpy(x, y, WRITTEN_OUT[backbone], convolutions, linear)
        for x, y in zip(a, b, strict=True)
    ]
    assert min(wanted) > 0.01
    assert found.tolist() == pytest.approx(wanted, rel=1e-4)
    assert lpips.lpips(torch.from_numpy(a), torch.from_numpy(a), backbone).tolist() == [0, 0]


@pytest.mark.parametrize(("backbone", "side"), lpips.LEAST.items())
def test_pictures_too_small_for_lpips_have_none(backbone, side, monkeypatch):
    use(monkeypatch, *trained(backbone))
    x = torch.rand(2, 3, side, 40)
    assert torch.isfinite(lpips.lpips(x, x.flip(3), backbone)).all()
    assert torch.isnan(lpips.lpips(x[:, :, 1:], x[:, :, 1:], backbone)).all()
    assert torch.isnan(lpips.lpips(x[:, :, :, 1 - side :], x[:, :, :, 1 - side :], backbone)).all()


def hann_pooled(x):
    """Equation 3 of DISTS: g is Hann's window of five without its zeros, blurred and halved."""
    line = np.hanning(5)[1:-1] / 2
    padded = np.pad(np.square(x), ((0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))[:, ::2, ::2]
    return np.sqrt(np.einsum("chwij,i,j->chw", windows, line, line) + 1e-12)


def dists_in_numpy(a, b, convolutions, alpha, beta):
    """Equations 5 to 7 for one pair (3, h, w), channel by channel."""

    def features(x):
        mean, deviation = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
        found, left = [x], iter(convolutions)
        x = (x - np.reshape(mean, (3, 1, 1))) / np.reshape(deviation, (3, 1, 1))
        for stage, count in enumerate((2, 2, 3, 3, 3)):
            x = hann_pooled(x) if stage else x
            for _ in range(count):
                x = np.maximum(convolution(x, *next(left), 1, 1), 0)
            found.append(x)
        return [channel for one in found for channel in one]

    similar, both = 0.0, alpha.sum() + beta.sum()
    for x, y, texture, structure in zip(features(a), features(b), alpha, beta, strict=True):
        l_part = (2 * x.mean() * y.mean() + 1e-6) / (x.mean() ** 2 + y.mean() ** 2 + 1e-6)
        covariance = ((x - x.mean()) * (y - y.mean())).mean()
        s_part = (2 * covariance + 1e-6) / (x.var() + y.var() + 1e-6)
        similar += (texture * l_part + structure * s_part) / both
    return 1 - similar


def test_dists_is_that_of_the_paper(monkeypatch):
    convolutions, linear = trained("vgg16")
    use(monkeypatch, convolutions, linear)
    random = np.random.default_rng(8)
    ends = [convolutions[i][1].size for i in (1, 3, 6, 9, 12)]
    alpha, beta = (random.random(3 + sum(ends)) for _ in range(2))
    monkeypatch.setattr(dists, "channels", lambda: (torch.tensor(alpha), torch.tensor(beta)))
    a = random.random((2, 3, 41, 30))
    b = np.clip(a + random.normal(0, 0.1, a.shape), 0, 1)
    found = dists.dists(torch.from_numpy(a), torch.from_numpy(b))
    wanted = [dists_in_numpy(x, y, convolutions, alpha, beta) for x, y in zip(a, b, strict=True)]
    assert min(wanted) > 0.01
    assert found.tolist() == pytest.approx(wanted, rel=1e-4)
    same = dists.dists(torch.from_numpy(a), torch.from_numpy(a))
    assert same.tolist() == pytest.approx([0, 0], abs=1e-6)


def test_the_weights_of_dists_come_out_of_the_authors_wheel(tmp_path, monkeypatch):
    monkeypatch.setenv("VSANIMESR_CACHE", str(tmp_path / "cache"))
    content = io.BytesIO()
    numbers = {"alpha": torch.ones(1, 1475, 1, 1), "beta": torch.full((1, 1475, 1, 1), 3.0)}
    torch.save(numbers, content, _use_new_zipfile_serialization=False)  # as theirs
    asked = []

    def download(requirement, member, folder):
        asked.append((requirement, member))
        path = Path(folder, "weights.pt")
        path.write_bytes(content.getvalue())
        return path

    monkeypatch.setattr(wheel, "download", download)
    with pytest.raises(WeightsError, match=r"weights\.pt: not the one of DISTS-pytorch==0\.1"):
        dists.channels()
    assert not (tmp_path / "cache").exists()
    digest = hashlib.sha256(content.getvalue()).hexdigest()
    monkeypatch.setattr(dists, "SHA256", digest)
    for _ in range(2):  # made, then from the cache
        alpha, beta = dists.channels()
        assert (alpha.shape, float(alpha[0]), float(beta[-1])) == ((1475,), 1, 3)
    assert asked == [("DISTS-pytorch==0.1", "DISTS_pytorch/weights.pt")] * 2
    (tmp_path / "cache" / "DISTS_weights.pt").write_bytes(b"damaged")
    monkeypatch.setattr(wheel, "download", offline)
    with pytest.raises(WeightsError, match=f"put DISTS_weights.pt .sha256 {digest}. or the wheel"):
        dists.channels()
    with zipfile.ZipFile(tmp_path / "cache" / "DISTS_pytorch-0.1-py3-none-any.whl", "w") as file:
        file.writestr(dists.MEMBER, content.getvalue())
    assert float(dists.channels()[1][0]) == 3


def offline(*_):
    raise WeightsError("no network")


SHAPE = (40, 56)  # of a source


def drawing(seed=0, shape=SHAPE):
    """A source's frame with flat areas and edges."""
    random = np.random.default_rng(seed)
    frame = np.full((*shape, 3), 180, np.uint8)
    for _ in range(12):
        centre = (int(random.integers(shape[1])), int(random.integers(shape[0])))
        colour = tuple(int(level) for level in random.integers(0, 256, 3))
        cv2.circle(frame, centre, int(random.integers(3, 12)), colour, -1, cv2.LINE_AA)
    return frame


def large(frame):
    return cv2.resize(frame, None, fx=4, fy=4, interpolation=cv2.INTER_CUBIC)


def noisy(frame, sigma, seed):
    """Luma noise of this deviation in code values of 255, the same in all channels."""
    noise = np.random.default_rng(seed).normal(0, sigma, frame.shape[:2])
    return np.clip(np.rint(frame + noise[..., None]), 0, 255).astype(np.uint8)


def test_what_is_held_does_not_boil():
    source = drawing()
    held = boiling.held(source, source)
    assert held.shape == SHAPE
    assert held.all()
    assert boiling.boiling(large(source), large(source), held) == 0


def test_boiling_is_the_noise_between_two_frames():
    """The difference of two normal deviates is sigma * sqrt(2), its mean size 2 / sqrt(pi) sigma"""
    source = drawing()
    result = np.clip(large(source), 60, 195)  # room for the noise
    found = [
        boiling.boiling(noisy(result, sigma, 1), noisy(result, sigma, 2), np.ones(SHAPE, bool))
        for sigma in (0, 1, 2, 4, 8)
    ]
    assert found[0] == 0
    for one, sigma in zip(found[1:], (1, 2, 4, 8), strict=True):
        assert one == pytest.approx(2 / np.sqrt(np.pi) * sigma, rel=0.02)


def test_what_moves_elsewhere_is_no_boiling():
    """A disc moves over a held drawing, in source and result; the rest is still, or boils by 3."""
    source = drawing()
    frames = [source.copy() for _ in range(2)]
    for n, frame in enumerate(frames):
        cv2.circle(frame, (20 + 5 * n, 20), 7, (250, 20, 20), -1)
    held = boiling.held(*frames)
    moved = np.abs(frames[1].astype(int) - frames[0]).sum(2) > 0
    assert not held[moved].any()
    assert held.mean() > 0.7
    before, now = (large(frame) for frame in frames)
    assert boiling.boiling(before, now, held) == 0
    assert np.abs(before.astype(float) - now).mean() > 1  # it would be, without the mask
    spoilt = now.copy()
    spoilt[::2, ::2] += np.where(spoilt[::2, ::2] > 200, 0, 3).astype(np.uint8)
    share = (now[::2, ::2] <= 200).mean()
    found = boiling.boiling(before, spoilt, held)
    assert found == pytest.approx(3 / 4 * share, rel=0.15)


def test_a_pan_has_no_held_drawing():
    wide = drawing(shape=(40, 70))
    sheet = noisy(wide, 30, 5)
    before, now = sheet[:, :56].copy(), sheet[:, 3:59].copy()
    assert np.isnan(boiling.boiling(large(before), large(now), boiling.held(before, now)))


@pytest.mark.parametrize("crf", [18, 26, 34])
def test_the_noise_of_a_codec_does_not_hide_what_is_held(crf):
    """Held and moving parts of a compressed source are told apart, and the truth is steadier."""
    crisp = np.stack([drawing() for _ in range(8)])
    for n, frame in enumerate(crisp):
        cv2.circle(frame, (10 + 4 * (n // 2), 12), 6, (10, 10, 10), -1)  # each drawing twice
    sources = codec.h264(crisp, crf, "high")
    assert np.abs(sources.astype(int) - crisp).mean() > 0.5
    for n in range(1, 8):
        result = [large(crisp[i]) for i in (n - 1, n)]
        moved = np.abs(crisp[n].astype(int) - crisp[n - 1]).sum(2) > 150
        held = boiling.held(sources[n - 1], sources[n])
        assert not held[moved].any()
        assert held.mean() > (0.5 if moved.any() else 0.85)
        assert boiling.boiling(*result, held) < 0.02
        spoilt = [noisy(one, 3, n + i) for i, one in enumerate(result)]
        assert boiling.boiling(*spoilt, held) > 2.5


def test_an_original_judges_by_squares_of_the_source(monkeypatch):
    before = drawing()
    now = before.copy()
    cv2.circle(now, (20, 20), 5, (255, 255, 255), -1)
    big = [np.repeat(np.repeat(frame, 4, 0), 4, 1) for frame in (before, now)]
    assert np.array_equal(boiling.held(*big, shrink=4), boiling.held(before, now))


def picture(path):
    rgb = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
    return torch.from_numpy(rgb).permute(2, 0, 1)[None] / 255


def published(*names):
    """Pictures of the authors, which are not ours to hand on."""
    folder = os.environ.get("PUBLISHED_PICTURES")
    if not folder:
        pytest.skip("PUBLISHED_PICTURES names no folder with the authors' pictures")
    return [picture(Path(folder, name)) for name in names]


@pytest.mark.slow
@pytest.mark.weights
def test_lpips_has_the_published_values():
    """What the authors' `lpips_2imgs.py` and `test_network.py` say of imgs/ex_*.png: 0.722, 0.138.

    The folder has to hold ex_ref.png, ex_p0.png and ex_p1.png of their repository
    (richzhang/PerceptualSimilarity).
    """
    wanted, first, second = published("ex_ref.png", "ex_p0.png", "ex_p1.png")
    try:
        found = [float(lpips.lpips(one, wanted)) for one in (first, second)]
    except WeightsError as error:
        pytest.skip(str(error))
    assert found == pytest.approx([0.722, 0.138], abs=5e-4)


@pytest.mark.slow
@pytest.mark.weights
def test_dists_has_the_published_value():
    """What the authors' `DISTS_pt.py` says of images/r0.png and r1.png: 0.3347.

    The folder has to hold these two of their repository (dingkeyan93/DISTS).
    """
    wanted, made = published("r0.png", "r1.png")
    try:
        found = float(dists.dists(made, wanted))
    except WeightsError as error:
        pytest.skip(str(error))
    assert found == pytest.approx(0.3347, abs=5e-5)
