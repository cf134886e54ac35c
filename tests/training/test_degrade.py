"""The degradations against OpenCV, float64, and the distributions that they promise."""

import pickle
import tomllib
from concurrent.futures import ThreadPoolExecutor

import cv2
import msgspec
import numpy as np
import pytest
import torch

from vsanimesr.errors import OptionError, TrainingError
from vsanimesr.training.degradation import legacy
from vsanimesr.training.degradation.blur import Blur, BlurDraw, kernel
from vsanimesr.training.degradation.codec import H264, H264Draw
from vsanimesr.training.degradation.degrade import RECIPES, Degrader, Draw, Recipe, draw
from vsanimesr.training.degradation.downscale import Downscale, DownscaleDraw
from vsanimesr.training.degradation.lbo import Lbo
from vsanimesr.training.degradation.noise import Noise, NoiseDraw
from vsanimesr.training.draws import generator

SEEDS = 3000
FILTER = Downscale(lbo=0)


@pytest.fixture(scope="module")
def drawn() -> list[Draw]:
    return [draw(Recipe(), seed, lbos=3) for seed in range(SEEDS)]


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def clips(n=1, t=3, h=32, w=40, seed=0):
    """Pictures with edges, slopes and texture, (n, t, 3, h, w)."""
    random = np.random.default_rng(seed)
    coarse = random.random((n, t, 3, h // 4, w // 4)).repeat(4, -1).repeat(4, -2)
    return torch.tensor(0.8 * coarse + 0.2 * random.random((n, t, 3, h, w)), dtype=torch.float32)


def assert_uniform(values, low, high):
    """Kolmogorov and Smirnov's test, at 1 % by the asymptotic formula."""
    values = np.sort(np.asarray(values, float))
    assert low <= values[0]
    assert values[-1] <= high
    expected = (values - low) / (high - low)
    steps = np.arange(len(values) + 1) / len(values)
    distance = max((steps[1:] - expected).max(), (expected - steps[:-1]).max())
    assert distance < 1.63 / np.sqrt(len(values)), f"{distance} for {len(values)} values"


def assert_shares(names, **shares):
    """Pearson's chi-square test against these probabilities, at about 1 %."""
    names = list(names)
    assert set(names) <= set(shares)
    wanted = np.array(list(shares.values())) * len(names)
    found = np.array([names.count(name) for name in shares])
    critical = [6.63, 9.21, 11.34][len(shares) - 2]
    statistic = ((found - wanted) ** 2 / wanted).sum()
    assert statistic < critical, f"{dict(zip(shares, found, strict=True))} of {len(names)}"


def steps(drawn, kind, which=0):
    return [[step for step in one.steps if isinstance(step, kind)][which] for one in drawn]


def released(operator, frames=15):
    name = type(operator).__struct_config__.tag
    return [operator.draw(generator(seed, name), frames) for seed in range(SEEDS)]


# What is drawn


def test_blur_draws_as_the_paper_says(drawn):
    blurs = steps(drawn, BlurDraw)
    assert {blur.size for blur in blurs} == {21}
    isotropic = [blur for blur in blurs if blur.sigma_x == blur.sigma_y]
    other = [blur for blur in blurs if blur.sigma_x != blur.sigma_y]
    assert_shares(["round" if b.angle == 0 else "oval" for b in blurs], round=0.7, oval=0.3)
    assert_uniform([blur.sigma_x for blur in isotropic], 0.2, 4)
    assert_uniform([blur.sigma_x for blur in other], 0.8, 3)
    assert_uniform([blur.sigma_y for blur in other], 0.8, 3)
    assert_uniform([blur.angle for blur in other], -np.pi, np.pi)
    axes = np.corrcoef([[b.sigma_x, b.sigma_y, b.angle] for b in other], rowvar=False)
    assert abs(axes - np.eye(3)).max() < 0.1


def test_released_blur_mixes_the_ranges():
    other = [blur for blur in released(Blur(axes="released")) if blur.sigma_x != blur.sigma_y]
    assert_uniform([blur.sigma_x for blur in other], 0.2, 4)
    assert_uniform([blur.sigma_y for blur in other], 0.8, 3)


def test_noise_is_drawn_for_every_frame(drawn):
    noises = steps(drawn, NoiseDraw)
    assert all(len(set(noise.sigmas)) == 15 for noise in noises)
    some = noises[:300]
    assert_uniform([sigma for noise in some for sigma in noise.sigmas], 0, 10)
    grays = np.array([noise.grays for noise in noises])
    assert_shares(grays.ravel().astype(str), **{"True": 0.5, "False": 0.5})
    assert_shares(grays.sum(1).astype(str)[np.isin(grays.sum(1), (7, 8))], **{"7": 0.5, "8": 0.5})
    assert abs(np.corrcoef(grays[:, 0], grays[:, 1])[0, 1]) < 0.06
    assert len({noise.seed for noise in noises}) == SEEDS


def test_each_stage_is_an_lbo_half_of_the_time(drawn):
    stages = [steps(drawn, DownscaleDraw, i) for i in (0, 1)]
    for stage in stages:
        assert {down.factor for down in stage} == {2}
        third = 1 / 6
        modes = {"lbo": 0.5, "area": third, "bilinear": third, "bicubic": third}
        assert_shares([down.mode for down in stage], **modes)
    lbos = np.array([[down.mode == "lbo" for down in stage] for stage in stages]).sum(0)
    assert_shares(lbos.astype(str), **{"0": 0.25, "1": 0.5, "2": 0.25})


def test_one_lbo_of_the_pool_for_each_clip(drawn):
    assert_shares([str(one.lbo) for one in drawn], **{"0": 1 / 3, "1": 1 / 3, "2": 1 / 3})
    assert draw(Recipe(), 1, lbos=0).lbo is None


def test_released_first_stage_halves_twice_in_one_step():
    (down,) = (op for op in RECIPES["released-basic"] if isinstance(op, Downscale))
    found = released(down)
    assert {one.factor for one in found} == {4}
    assert_shares([one.mode for one in found], area=0.3, bilinear=0.3, bicubic=0.4)


def test_h264_draws_as_the_paper_says(drawn):
    codecs = steps(drawn, H264Draw)
    assert_uniform([codec.crf for codec in codecs], 18, 35)
    assert_shares([codec.profile for codec in codecs], baseline=0.1, main=0.2, high=0.7)
    assert not any(codec.swapped or codec.truncated for codec in codecs)


def test_the_paper_always_blurs_adds_noise_and_compresses(drawn):
    assert all(None not in one.steps for one in drawn)


@pytest.mark.parametrize(
    "operator",
    [
        Blur(probability=0.3),
        Noise(probability=0.3),
        H264(probability=0.3),
        legacy.Mpeg2(probability=0.3),
        legacy.Comb(probability=0.3),
        legacy.ChromaBleed(probability=0.3),
        legacy.DotCrawl(probability=0.3),
        legacy.Ringing(probability=0.3),
        legacy.LineJitter(probability=0.3),
    ],
    ids=lambda operator: type(operator).__name__,
)
def test_an_operator_spares_clips_by_its_probability(operator):
    names = ["none" if one is None else "some" for one in released(operator, frames=2)]
    assert_shares(names, some=0.3, none=0.7)


def test_operators_do_not_disturb_each_other():
    whole = Recipe(ops=(Blur(), Noise(), FILTER, FILTER, H264()))
    fewer = Recipe(ops=(legacy.Comb(), FILTER, FILTER, H264(), Blur()))
    one, other = draw(whole, 5).steps, draw(fewer, 5).steps
    assert one[0] == other[4]
    assert one[2:5] == other[1:4]
    assert one[2] is not None
    first = [draw(whole, seed).steps for seed in range(20)]
    assert any(one[2] != one[3] for one in first)  # two stages, two generators


def test_draws_depend_on_the_seed_alone():
    assert draw(Recipe(), 7, lbos=3) == draw(Recipe(), 7, lbos=3)
    assert draw(Recipe(), 7, lbos=3) != draw(Recipe(), 8, lbos=3)
    assert draw(Recipe(), 2**62).seed == 2**62
    assert msgspec.to_builtins(draw(Recipe(), 7))["steps"][0]["size"] == 21  # for a journal


# What is done with it


@pytest.mark.parametrize("sigmas", [(0.2, 0.2, 0.0), (4, 4, 0.0), (0.8, 3.0, 0.5), (3, 0.8, -2.0)])
def test_blur_equals_opencv(sigmas):
    (clip,) = clips()
    blurred = BlurDraw(*sigmas, 21)(clip)
    weights = kernel(*sigmas, 21)
    assert weights.sum() == pytest.approx(1)
    for frame, result in zip(clip.numpy(), blurred.numpy(), strict=True):
        picture = frame.transpose(1, 2, 0).astype(np.float64)
        wanted = cv2.filter2D(picture, -1, weights, borderType=cv2.BORDER_REFLECT_101)
        np.testing.assert_allclose(result.transpose(1, 2, 0), wanted, atol=1e-6)


@pytest.mark.parametrize("sigma", [0.2, 0.5, 0.7, 0.9, 1.05])
def test_no_weight_is_a_subnormal_number(sigma):
    """A few of them make a blur several times as slow."""
    weights = kernel(sigma, sigma, 0.0, 21).astype(np.float32)
    assert weights[weights > 0].min() > 1e3 * np.finfo(np.float32).tiny
    place = np.arange(-10, 11)
    exact = np.exp(-0.5 * (place[:, None] ** 2 + place**2) / sigma**2)
    np.testing.assert_allclose(weights, exact / exact.sum(), rtol=1e-6, atol=1e-30)


def test_kernel_has_its_sigmas_along_its_axes():
    place = np.arange(-20, 21)
    x, y = place[None, :], place[:, None]
    weights = kernel(3.0, 1.0, 0.5, 41)
    moments = [[(weights * a * b).sum() for a in (x, y)] for b in (x, y)]
    values, vectors = np.linalg.eigh(np.array(moments))
    np.testing.assert_allclose(values, [1, 9], rtol=1e-3)
    assert np.arctan(vectors[1, 1] / vectors[0, 1]) == pytest.approx(0.5, abs=1e-3)


def test_one_kernel_for_all_frames_and_colours():
    frame = clips(t=1)[0]
    still = frame.expand(4, -1, -1, -1)
    assert torch.equal(*BlurDraw(2.0, 1.0, 0.3, 21)(still)[[0, 3]])
    gray = frame[:, :1].expand(-1, 3, -1, -1)
    assert torch.equal(*BlurDraw(2.0, 1.0, 0.3, 21)(gray)[0, [0, 2]])


@pytest.mark.parametrize("factor", [2, 4])
@pytest.mark.parametrize(
    ("mode", "flag"),
    [("area", cv2.INTER_AREA), ("bilinear", cv2.INTER_LINEAR), ("bicubic", cv2.INTER_CUBIC)],
)
def test_filters_equal_opencv_and_torch(factor, mode, flag):
    (clip,) = clips()
    small = DownscaleDraw(factor, mode)(clip)
    assert small.shape == (3, 3, 32 // factor, 40 // factor)
    other = torch.nn.functional.interpolate(clip.double(), scale_factor=1 / factor, mode=mode)
    np.testing.assert_allclose(small, other, atol=1e-6)
    for frame, result in zip(clip.numpy(), small.numpy(), strict=True):
        size = (40 // factor, 32 // factor)
        wanted = cv2.resize(frame.transpose(1, 2, 0).astype(np.float64), size, interpolation=flag)
        np.testing.assert_allclose(result.transpose(1, 2, 0), wanted, atol=1e-6)


def test_noise_has_the_strength_and_colour_drawn():
    clip = torch.full((4, 3, 400, 400), 0.5)
    sigmas, grays = (0.0, 2.0, 8.0, 5.0), (False, False, True, True)
    added = (NoiseDraw(sigmas, grays, False, 3)(clip) - 0.5) * 255
    np.testing.assert_allclose(added.std((1, 2, 3)), sigmas, rtol=0.003, atol=1e-4)
    assert abs(added.mean()) < 0.02
    assert torch.equal(added[2, 0], added[2, 2])
    colours = np.corrcoef(added[1].reshape(3, -1))
    assert abs(colours - np.eye(3)).max() < 0.02
    frames = np.corrcoef(added[2:, 0].reshape(2, -1))  # gray fields of two frames
    assert abs(frames[0, 1]) < 0.02


def test_released_gray_noise_stands_still():
    clip = torch.full((4, 3, 50, 50), 0.5)
    still = NoiseDraw((2.0, 8.0, 2.0, 2.0), (True, True, False, False), True, 3)(clip) - 0.5
    np.testing.assert_allclose(4 * still[0], still[1], atol=1e-6)
    assert abs(np.corrcoef(still[2:, 0].reshape(2, -1))[0, 1]) < 0.1


def test_noise_stays_a_picture():
    ends = torch.tensor([0.0, 1.0])[:, None, None, None].expand(2, 3, 20, 20)
    noisy = NoiseDraw((9.0, 9.0), (False, True), False, 1)(ends)
    assert (noisy.min(), noisy.max()) == (0, 1)
    assert noisy.unique().numel() > 100


# The whole


def test_operators_act_in_the_order_of_the_recipe():
    clip = clips(h=64, w=64)
    ops = (H264(), FILTER, Noise(), Blur(), FILTER)
    (result,) = Degrader(Recipe(ops=ops))(clip, [11])
    wanted = clip[0]
    for step in draw(Recipe(ops=ops), 11, frames=3).steps:
        assert step
        wanted = step(wanted)
    assert torch.equal(result, wanted.clamp(0, 1))
    (other,) = Degrader(Recipe(ops=ops[::-1]))(clip, [11])
    assert not torch.equal(result, other)


def test_the_paper_and_the_released_code_agree_on_the_order():
    names = ["Blur", "Noise", "Downscale", "Downscale", "H264"]
    for recipe in ("paper", "basic", "released"):
        assert [type(op).__name__ for op in RECIPES[recipe]] == names
    first = [type(op).__name__ for op in RECIPES["released-basic"]]
    assert first == ["Blur", "Noise", "Downscale", "H264"]
    assert [op.lbo for op in RECIPES["paper"][2:4]] == [0.5, 0.5]
    assert [op.lbo for op in RECIPES["basic"][2:4]] == [0, 0]


@pytest.fixture
def pool():
    torch.manual_seed(3)
    return [Lbo() for _ in range(3)]


def test_an_lbo_replaces_the_filter_beside_it(pool):
    clip = clips()
    both = Recipe(ops=(Downscale(lbo=1), Downscale(lbo=1)))
    chosen = [draw(both, seed, lbos=3).lbo for seed in range(6)]
    assert set(chosen) == {0, 1, 2}
    for seed, place in enumerate(chosen):
        (result,) = Degrader(both, lbos=pool)(clip, [seed])
        network = pool[place]  # the same in both stages
        with torch.no_grad():
            assert torch.equal(result, network(network(clip[0])).clamp(0, 1))
    second = Recipe(ops=(FILTER, Downscale(lbo=1)))
    (result,) = Degrader(second, lbos=pool[:1])(clip, [0])
    with torch.no_grad():
        step, _ = draw(second, 0).steps
        assert step
        assert torch.equal(result, pool[0](step(clip[0])).clamp(0, 1))


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_clip_depends_on_its_seed_alone(recipe, pool, threads):
    gt, seeds = clips(n=5, t=3, h=64, w=64), [4, 9, 4, 10**12, 0]
    gt[2] = gt[0]
    whole = Degrader(Recipe(ops=recipe), lbos=pool, workers=5)(gt, seeds)
    assert whole.shape == (5, 3, 3, 16, 16)
    assert 0 <= whole.min() < whole.max() <= 1
    assert torch.equal(whole[0], whole[2])
    assert not torch.equal(whole[0], whole[1])
    worker = pickle.loads(pickle.dumps(Degrader(Recipe(ops=recipe), lbos=pool, workers=1)))
    for count in 1, 3:
        threads(count)
        for place in 3, 1, 0:
            alone = worker(gt[place : place + 1].clone(), [seeds[place]])
            assert torch.equal(alone[0], whole[place])


def test_every_step_has_the_same_bits_on_any_number_of_threads(pool, threads):
    (clip,) = clips(t=15, h=128, w=160)
    random = generator(1, "any")
    drawn = [op.draw(random, 15) for ops in RECIPES.values() for op in ops]
    filters = [DownscaleDraw(f, mode) for f in (2, 4) for mode in ("area", "bilinear", "bicubic")]
    kinds = {type(step): step for step in drawn if step and not isinstance(step, DownscaleDraw)}
    assert len(kinds) >= 8
    for step in [*kinds.values(), *filters, pool[0].requires_grad_(False)]:
        threads(1)
        wanted = step(clip)
        threads(3)
        assert torch.equal(step(clip), wanted), step
        with ThreadPoolExecutor(2) as others:
            assert all(torch.equal(found, wanted) for found in others.map(step, [clip] * 2)), step


def test_no_gradient_and_no_half_precision_inside(pool):
    gt, recipe = clips().requires_grad_(), Recipe(ops=(Downscale(lbo=1), FILTER))
    plain = Degrader(recipe, lbos=pool)(gt, [3])
    assert pool[0].main[0].weight.requires_grad
    assert not plain.requires_grad
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(Degrader(recipe, lbos=pool)(gt, [3]), plain)


# What a user writes


def test_a_recipe_is_read_from_toml():
    text = """
        [[ops]]
        op = "blur"
        sigma = [1, 2]
        [[ops]]
        op = "chroma_bleed"
        [[ops]]
        op = "downscale"
        factor = 4
        lbo = 0
        modes = { area = 1, bilinear = 0, bicubic = 0 }
    """
    recipe = msgspec.convert(tomllib.loads(text), Recipe)
    blur, bleed, down = recipe.operators
    assert blur == Blur(sigma=(1, 2))
    assert bleed == legacy.ChromaBleed()
    assert {draw(recipe, seed).steps[2].mode for seed in range(20)} == {"area"}
    assert down.factor == 4
    named = msgspec.convert({"ops": "basic"}, Recipe)
    assert named.operators == RECIPES["basic"]
    assert msgspec.convert(msgspec.to_builtins(recipe), Recipe) == recipe


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"ops": "papr"}, r"'papr' - at `\$.ops`"),
        ({"op": []}, r"unknown field `op`"),
        ({"ops": []}, r"1 times smaller, wanted 4"),
        ({"ops": [{"op": "downscale"}]}, r"2 times smaller, wanted 4"),
        ({"ops": [{"op": "blr"}]}, r"'blr' - at `\$.ops\[0\].op`"),
        ({"ops": [{"op": "blur", "sigm": [1, 2]}]}, r"`sigm` - at `\$.ops\[0\]`"),
        ({"ops": [{"op": "blur", "sigma": [2, 1]}]}, r"sigma = \[2.0, 1.0\], wanted.*ops\[0\]"),
        ({"ops": [{"op": "blur", "sigma": [0, 1]}]}, r"blur: sigma = \[0.0, 1.0\], wanted"),
        ({"ops": [{"op": "blur", "size": 20}]}, r"size = 20, wanted an odd number"),
        ({"ops": [{"op": "blur", "anisotropic": 1.5}]}, r"anisotropic = 1.5, wanted a probability"),
        ({"ops": [{"op": "blur", "axes": "both"}]}, r"'both' - at `\$.ops\[0\].axes`"),
        ({"ops": [{"op": "noise", "gray": -1}]}, r"noise: gray = -1.0, wanted a probability"),
        ({"ops": [{"op": "noise", "sigma": [0, 300]}]}, r"wanted .* within 0 and 255"),
        ({"ops": [{"op": "downscale", "factor": 3}]}, r"factor = 3, wanted 2 or 4"),
        ({"ops": [{"op": "downscale", "factor": 4}]}, r"lbo = 0.5 with factor = 4, wanted lbo = 0"),
        ({"ops": [{"op": "downscale", "modes": {"area": -1}}]}, r"wanted weights.*ops\[0\].modes"),
        ({"ops": [{"op": "h264", "crf": [18, 60]}]}, r"crf = \[18.0, 60.0\], wanted .* within"),
        ({"ops": [{"op": "h264", "crf": [float("nan"), 20]}]}, r"crf = \[nan, 20.0\], wanted"),
        (
            {"ops": [{"op": "h264", "profiles": {"baseline": 0, "main": 0, "high": 0}}]},
            r"wanted weights from 0 to 1,000,000, not all 0",
        ),
    ],
)
def test_a_bad_recipe_names_the_place(table, message):
    with pytest.raises(msgspec.ValidationError, match=message):
        msgspec.convert(table, Recipe)


def test_the_same_errors_come_from_python():
    with pytest.raises(OptionError, match="wanted one of paper, basic"):
        Recipe(ops="papr")
    with pytest.raises(OptionError, match="sigma"):
        Blur(sigma=(3, 1))
    with pytest.raises(AttributeError):
        Blur().size = 3


def test_lbos_must_be_there_when_the_recipe_calls_for_them():
    with pytest.raises(TrainingError, match="recipe 'basic', or set lbo = 0"):
        Degrader(Recipe())
    Degrader(Recipe(ops="basic"))


@pytest.mark.parametrize(
    ("gt", "seeds", "message"),
    [
        (torch.zeros(1, 3, 3, 32, 32).half(), [1], "float16 .* wanted float32"),
        (torch.zeros(3, 3, 32, 32), [1], "wanted float32 \\(n, t, 3, h, w\\)"),
        (torch.zeros(1, 3, 4, 32, 32), [1], "wanted float32 \\(n, t, 3, h, w\\)"),
        (torch.zeros(1, 0, 3, 32, 32), [1], "wanted float32 \\(n, t, 3, h, w\\)"),
        (torch.zeros(1, 3, 3, 32, 36), [1], "36x32, wanted .* multiples of 8"),
        (torch.zeros(2, 3, 3, 32, 32), [1], "1 seeds for 2 clips"),
        (torch.zeros(1, 3, 3, 32, 32), [-1], "seed -1, wanted 0 or more"),
        (torch.zeros(1, 3, 3, 8, 8), [1], "seed 1: blur: frames of 8x8, wanted more than 10"),
        (torch.full((1, 3, 3, 32, 32), float("nan")), [6], "seed 6: .*NaN"),
    ],
)
def test_bad_clips_are_refused(gt, seeds, message):
    with pytest.raises((TrainingError, OptionError), match=message):
        Degrader(Recipe(ops="basic"))(gt, seeds)


def test_an_lbo_that_gives_no_numbers_stops_the_clip_by_name():
    broken = Lbo()
    torch.nn.init.constant_(broken.main[4].bias, float("inf"))
    with pytest.raises(TrainingError, match=r"clip of seed 2: .*infinite"):
        Degrader(Recipe(ops=(Downscale(lbo=1), FILTER, H264())), lbos=[broken])(clips(), [2])
