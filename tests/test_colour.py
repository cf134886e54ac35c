"""Conversion of planes to RGB and back, held against `resize.Bicubic` and against known numbers."""

import itertools

import numpy as np
import pytest
import torch
import vapoursynth as vs
from hypothesis import given, settings
from hypothesis import strategies as st

from vsanimesr.colour import (
    ChromaLocation,
    Colour,
    Family,
    Format,
    Matrix,
    dither_pattern,
    from_yuv,
    reading,
    to_yuv,
    writing,
)
from vsanimesr.engines.torch.colour import Reader, Writer
from vsanimesr.errors import OptionError
from vsanimesr.resample import SITES, enlarging, mirrored, shrinking

core = vs.core
CPU = torch.device("cpu")
FAMILIES = {Family.GRAY: vs.GRAY, Family.RGB: vs.RGB, Family.YUV: vs.YUV}
YUV_MATRICES = [matrix for matrix in Matrix if matrix != Matrix.RGB]
SUBSAMPLINGS = [(0, 0), (1, 1), (1, 0), (0, 1), (2, 0), (2, 2)]
DEPTHS = [*((bits, False) for bits in range(8, 17)), (16, True), (32, True)]

formats = st.one_of(
    st.builds(
        lambda family, depth: Format(family, *depth),
        st.sampled_from([Family.GRAY, Family.RGB]),
        st.sampled_from(DEPTHS),
    ),
    st.builds(
        lambda depth, sub: Format(Family.YUV, *depth, *sub),
        st.sampled_from(DEPTHS),
        st.sampled_from(SUBSAMPLINGS),
    ),
)
colours = st.builds(
    Colour, st.sampled_from(YUV_MATRICES), st.booleans(), st.sampled_from(ChromaLocation)
)
sizes = st.tuples(st.integers(1, 12), st.integers(1, 12))  # of the smallest plane
kinds = st.sampled_from(["noise", "smooth", "extremes", "flat"])
seeds = st.integers(0, 2**32 - 1)


def drawn(kind, shape, seed):
    """A plane of values in [0, 1]."""
    random = np.random.default_rng(seed)
    if kind == "smooth":
        y, x = np.mgrid[0 : shape[0], 0 : shape[1]]
        a, b, c = random.random(3)
        return 0.5 + 0.5 * np.sin(3 * c + 0.3 * a * y) * np.cos(0.3 * b * x)
    values = random.random(shape)
    return {"noise": values, "extremes": values.round(), "flat": values * 0 + values[0, 0]}[kind]


def dtype_of(of):
    if of.floating:
        return np.float16 if of.bits == 16 else np.float32
    return np.uint8 if of.bits == 8 else np.uint16


def planes_of(of, height, width, kind, seed):
    """Random planes that use the whole range of codes; floats go beyond the nominal range."""
    planes = []
    for plane in range(of.planes):
        chroma = plane and of.family == Family.YUV
        shape = (height >> of.sub_h, width >> of.sub_w) if chroma else (height, width)
        values = drawn(kind, shape, (seed, plane))
        values = 1.2 * values - (0.6 if chroma else 0.1) if of.floating else values * of.peak
        planes.append((values if of.floating else values.round()).astype(dtype_of(of)))
    return planes


def clip_of(planes, of, **props):
    """A clip of one frame."""
    height, width = planes[0].shape
    blank = core.std.BlankClip(None, width, height, format_id(of), length=1, keep=True)

    def fill(n, f):
        frame = f.copy()
        for plane, values in enumerate(planes):
            np.copyto(np.asarray(frame[plane]), values)
        return frame

    return blank.std.ModifyFrame(blank, fill).std.SetFrameProps(**props)


def format_id(of):
    kind = vs.FLOAT if of.floating else vs.INTEGER
    return core.query_video_format(FAMILIES[of.family], kind, of.bits, of.sub_w, of.sub_h).id


RGBS = Format(Family.RGB, 32, floating=True)


def resized_to_rgb(planes, of, colour):
    props = {"_Range": int(colour.full)}
    if of.family != Family.RGB:
        props |= {"_Matrix": int(colour.matrix), "_ChromaLocation": int(colour.chroma)}
    with clip_of(planes, of, **props).resize.Bicubic(format=vs.RGBS).get_frame(0) as frame:
        return np.stack([np.asarray(frame[plane]) for plane in range(3)])


def resized_from_rgb(rgb, of, colour):
    arguments = {"format": format_id(of), "range": int(colour.full)}
    if of.family != Family.RGB:
        arguments["matrix"] = int(colour.matrix)
    if of.sub_w or of.sub_h:
        arguments["chromaloc"] = int(colour.chroma)
    with clip_of(rgb, RGBS).resize.Bicubic(**arguments).get_frame(0) as frame:
        return [np.asarray(frame[plane]).copy() for plane in range(of.planes)]


def read(planes, of, colour, dtype=torch.float32):
    return Reader(of, CPU, dtype)([torch.from_numpy(plane) for plane in planes], colour)


def write(rgb, of, colour, **options):
    image = torch.from_numpy(np.asarray(rgb, np.float32))[None]
    return [plane.numpy() for plane in Writer(of, CPU, **options)(image, colour)]


# Against VapourSynth


@settings(max_examples=250, deadline=None)
@given(formats, colours, sizes, kinds, seeds)
def test_reading_is_as_resize_reads(of, colour, size, kind, seed):
    height, width = size[0] << of.sub_h, size[1] << of.sub_w
    planes = planes_of(of, height, width, kind, seed)
    expected = np.clip(resized_to_rgb(planes, of, colour), 0, 1)
    image = read(planes, of, colour)
    assert image.shape == (1, 3, height, width)
    assert np.abs(image[0].numpy() - expected).max() < 2e-6  # 0.13 code values of 16 bit


@settings(max_examples=250, deadline=None)
@given(formats, colours, sizes, kinds, seeds)
def test_writing_is_as_resize_writes(of, colour, size, kind, seed):
    height, width = size[0] << of.sub_h, size[1] << of.sub_w
    rgb = 1.2 * np.stack([drawn(kind, (height, width), (seed, n)) for n in range(3)]) - 0.1
    rgb = rgb.astype(np.float32)
    expected = resized_from_rgb(rgb, of, colour)
    planes = write(rgb, of, colour)
    assert len(planes) == of.planes
    for made, wanted in zip(planes, expected, strict=True):
        assert (made.dtype, made.shape) == (wanted.dtype, wanted.shape)
        error = np.abs(made.astype(np.float64) - wanted.astype(np.float64)).max()
        assert error <= (1e-3 if of.bits == 16 else 1e-6) if of.floating else error <= 1


@pytest.mark.parametrize("kind", ["noise", "smooth"])
@pytest.mark.parametrize(("bits", "mean"), [(8, 0.002), (10, 0.005), (16, 0.05)])
def test_writing_hardly_ever_rounds_otherwise(kind, bits, mean):
    rgb = np.stack([drawn(kind, (96, 128), (1, n)) for n in range(3)]).astype(np.float32)
    for sub, matrix in itertools.product([(0, 0), (1, 1)], YUV_MATRICES):
        of = Format(Family.YUV, bits, False, *sub)
        colour = Colour(matrix, False)
        pairs = zip(write(rgb, of, colour), resized_from_rgb(rgb, of, colour), strict=True)
        for made, wanted in pairs:
            assert np.abs(made.astype(int) - wanted.astype(int)).mean() < mean


# Against known numbers


@pytest.mark.parametrize(
    ("matrix", "codes"),
    [
        (
            Matrix.BT709,
            {
                "black": (16, 128, 128),
                "white": (235, 128, 128),
                "red": (63, 102, 240),
                "green": (173, 42, 26),
                "blue": (32, 240, 118),
                "cyan": (188, 154, 16),
                "magenta": (78, 214, 230),
                "yellow": (219, 16, 138),
            },
        ),
        (
            Matrix.ST170_M,
            {"red": (81, 90, 240), "green": (145, 54, 34), "blue": (41, 240, 110)},
        ),
    ],
)
def test_colours_have_the_codes_of_the_books(matrix, codes):
    of, colour = Format(Family.YUV, 8, False, 1, 1), Colour(matrix, full=False)
    for name, wanted in codes.items():
        rgb = np.zeros((3, 4, 4)) + PRIMARIES[name][:, None, None]
        planes = write(rgb, of, colour)
        assert tuple(int(plane[0, 0]) for plane in planes) == wanted, name
        assert all((plane == plane[0, 0]).all() for plane in planes)
        back = read(planes, of, colour)[0].numpy()
        assert np.abs(back - rgb).max() < 1.7 / 255


PRIMARIES = {
    name: np.array([float(channel) for channel in bits])
    for name, bits in {
        **{"black": "000", "white": "111", "red": "100", "green": "010"},
        **{"blue": "001", "cyan": "011", "magenta": "101", "yellow": "110"},
    }.items()
}


@pytest.mark.parametrize("matrix", Matrix)
def test_matrices(matrix):
    there = to_yuv(matrix)
    assert np.abs(there @ from_yuv(matrix) - np.eye(3)).max() < 1e-14
    if matrix != Matrix.RGB:
        assert there[0].sum() == pytest.approx(1)
        assert there[1:].sum(axis=1) == pytest.approx([0, 0])
        assert np.maximum(there[1:], 0).sum(axis=1) == pytest.approx([0.5, 0.5])


@given(formats, colours)
def test_reading_and_writing_undo_each_other(of, colour):
    there, back = writing(of, colour), reading(of, colour)
    grey = np.full(3, 0.3)
    rgb = np.array([0.1, 0.7, 0.4]) if of.family != Family.GRAY else grey
    codes = there.matrix @ rgb + there.offset
    assert back.matrix @ codes + back.offset == pytest.approx(rgb)


@pytest.mark.parametrize("family", [Family.YUV, Family.GRAY])
def test_luma_needs_a_matrix(family):
    with pytest.raises(OptionError, match=rf"a {family} frame has the matrix of RGB, wanted one"):
        write(np.zeros((3, 4, 4)), Format(family, 8), Colour(Matrix.RGB, full=True))


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("matrix", YUV_MATRICES)
def test_bars_come_back(matrix, full):
    """Each bar keeps its colour through 4:2:0, but for the columns where two of them meet."""
    bars = np.stack(list(PRIMARIES.values()), axis=1)[:, None, :]  # (3, 1, 8)
    rgb = (0.75 * bars).repeat(32, axis=1).repeat(32, axis=2)
    colour = Colour(matrix, full)
    for bits, limit in ((8, 1.7 / 255), (16, 1.7 / 65535)):
        of = Format(Family.YUV, bits, False, 1, 1)
        back = read(write(rgb, of, colour), of, colour)[0].numpy()
        inside = np.abs(np.arange(256) % 32 - 15.5) < 7  # chroma there knows of one bar only
        assert np.abs(back - rgb)[:, :, inside].max() < limit


# Filters


@pytest.mark.parametrize("ratio", [1, 2, 4])
@pytest.mark.parametrize("site", [0.0, 0.5, 1.0])
def test_filters_keep_a_ramp_where_it_is(ratio, site):
    """A straight line of values stays one, with each sample at its place."""
    luma = np.arange(24.0 * ratio)
    chroma = ratio * np.arange(24.0) + site * (ratio - 1)
    up, down = enlarging(ratio, site), shrinking(ratio, site)
    index = mirrored(24, up.before, up.after)
    windows = np.lib.stride_tricks.sliding_window_view(chroma[index], up.taps.shape[1])
    inside = slice(4 * ratio, -4 * ratio)
    assert (windows @ up.taps.T).reshape(-1)[inside] == pytest.approx(luma[inside])
    index = mirrored(24 * ratio, down.before, down.after)
    windows = np.lib.stride_tricks.sliding_window_view(luma[index], len(down.taps))[::ratio]
    assert (windows @ down.taps)[4:-4] == pytest.approx(chroma[4:-4])


def test_lines_are_mirrored_with_their_edge():
    assert mirrored(3, 2, 2).tolist() == [1, 0, 0, 1, 2, 2, 1]
    assert mirrored(1, 2, 3).tolist() == [0] * 6
    assert mirrored(2, 3, 3).tolist() == [1, 1, 0, 0, 1, 1, 0, 0]


def test_every_location_has_its_site():
    colour = {location: Colour(Matrix.BT709, True, location) for location in ChromaLocation}
    of = Format(Family.YUV, 32, True, 1, 1)
    ramp = np.mgrid[0:16, 0:16][:, None] * np.ones((1, 3, 1, 1))  # down, along
    blue = np.array([0.0, 0.0, 1.0])[:, None, None]
    for location, (x, y) in SITES.items():
        for axis, site in ((0, y), (1, x)):
            _, u, _ = write(ramp[axis] * blue, of, colour[location])
            assert u[4, 4] == pytest.approx(0.5 * (8 + site), abs=1e-5)


# What must not matter


def test_threads_do_not_matter():
    of, colour = Format(Family.YUV, 16, False, 1, 1), Colour(Matrix.BT709, full=False)
    rgb = np.stack([drawn("noise", (302, 434), (5, n)) for n in range(3)]).astype(np.float32)
    threads = torch.get_num_threads()
    made = []
    try:
        for number in (1, 2, 3, 5):
            torch.set_num_threads(number)
            planes = write(rgb, of, colour)
            made.append([*planes, read(planes, of, colour).numpy()])
    finally:
        torch.set_num_threads(threads)
    for other in made[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(made[0], other, strict=True))


@pytest.mark.parametrize("of", [Format(Family.YUV, 10, False, 1, 1), Format(Family.RGB, 8)])
def test_the_layout_of_the_image_does_not_matter(of):
    colour = Colour(Matrix.BT709, full=False)
    image = torch.rand(1, 3, 20, 24, generator=torch.Generator().manual_seed(0))
    padded = torch.nn.functional.pad(image, (0, 3, 0, 5))[:, :, :20, :24]
    wanted = Writer(of, CPU)(image, colour)
    for other in (padded, image.to(memory_format=torch.channels_last)):
        before = other.clone()
        assert not other.is_contiguous()
        made = Writer(of, CPU)(other, colour)
        assert all(torch.equal(a, b) for a, b in zip(made, wanted, strict=True))
        assert torch.equal(other, before)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_the_precision_is_that_of_the_last_rounding_only(dtype):
    of, colour = Format(Family.YUV, 16, False, 1, 1), Colour(Matrix.BT709, full=False)
    planes = planes_of(of, 16, 16, "noise", 3)
    assert torch.equal(read(planes, of, colour, dtype), read(planes, of, colour).to(dtype))
    image = read(planes, of, colour, dtype)
    wanted = Writer(of, CPU)(image.float(), colour)
    assert all(
        torch.equal(a, b) for a, b in zip(Writer(of, CPU)(image, colour), wanted, strict=True)
    )


# What is beyond


@pytest.mark.parametrize("of", [RGBS, Format(Family.GRAY, 16, True), Format(Family.YUV, 32, True)])
def test_what_cannot_be_seen_is_not_read(of):
    planes = [np.full((8, 8), value, dtype_of(of)) for value in (0.4, 0.1, 0.1)[: of.planes]]
    for value, seen in ((np.nan, 0), (np.inf, 1), (-np.inf, 0), (7, 1), (-7, 0)):
        planes[0][3, 4] = value
        image = read(planes, of, Colour(Matrix.BT709, full=True))[0]
        assert torch.isfinite(image).all()
        assert image[0, 3, 4] == seen
        assert 0 < image[0, 3, 5] < 1


def test_nan_in_chroma_stays_near():
    of = Format(Family.YUV, 32, True, 1, 1)
    planes = planes_of(of, 32, 32, "flat", 0)
    planes[2][8, 8] = np.nan
    image = read(planes, of, Colour(Matrix.BT709, full=True))[0]
    assert torch.isfinite(image).all()
    assert image[0, 16, 16] == 0
    assert torch.equal(image[:, :, 24:], image[:, :, :1].expand(3, 32, 8))


def test_integers_are_clamped_and_floats_are_not():
    rgb = np.full((3, 4, 4), 1.5)
    rgb[:, :2] = -0.5
    for full, peak in ((True, 255), (False, 255)):
        (luma,) = write(rgb, Format(Family.GRAY, 8), Colour(Matrix.BT709, full))
        assert (luma[0, 0], luma[3, 3]) == (0, peak)
    (luma,) = write(rgb, Format(Family.GRAY, 10), Colour(Matrix.BT709, full=False))
    assert (luma[0, 0], luma[3, 3]) == (0, 1023)
    (luma,) = write(rgb, Format(Family.GRAY, 32, True), Colour(Matrix.BT709, full=False))
    assert (luma[0, 0], luma[3, 3]) == (-0.5, 1.5)


# Dithering


@pytest.mark.parametrize("fraction", [0.0, 1 / 64, 0.25, 0.5, 0.7])
def test_dithering_keeps_the_mean_and_whole_codes(fraction):
    of, colour = Format(Family.RGB, 10), Colour(Matrix.RGB, full=True)
    rgb = np.full((3, 64, 48), (300 + fraction) / 1023)
    for plane in write(rgb, of, colour, dither=True):
        squares = plane.reshape(8, 8, 6, 8).mean(axis=(1, 3))
        assert np.abs(squares - 300 - fraction).max() <= 0.5 / 64 + 1e-3
        assert set(np.unique(plane)) <= ({300, 301} if fraction else {300})
    for plane in write(rgb, of, colour):  # without, all of them go the same way
        assert len(np.unique(plane)) == 1


def test_dithering_is_for_all_integer_planes_of_any_size_and_for_no_floats():
    of, colour = Format(Family.YUV, 8, False, 1, 1), Colour(Matrix.BT709, full=False)
    rgb = np.array([0.3, 0.41, 0.52])[:, None, None] + np.zeros((3, 22, 38))
    plain, dithered = write(rgb, of, colour), write(rgb, of, colour, dither=True)
    for a, b, again in zip(plain, dithered, write(rgb, of, colour, dither=True), strict=True):
        assert len(np.unique(a)) == 1
        assert len(np.unique(b)) == 2
        assert np.array_equal(b, again)
    floats = Format(Family.YUV, 32, True, 1, 1)
    pairs = zip(write(rgb, floats, colour), write(rgb, floats, colour, dither=True), strict=True)
    assert all(np.array_equal(a, b) for a, b in pairs)


def test_the_dither_pattern_is_bayers():
    assert (16 * (dither_pattern(4) + 0.5) - 0.5).tolist() == [
        [0, 8, 2, 10],
        [12, 4, 14, 6],
        [3, 11, 1, 9],
        [15, 7, 13, 5],
    ]
    pattern = dither_pattern()
    assert len(np.unique(pattern)) == 64
    assert pattern.mean() == 0
    assert np.abs(pattern).max() < 0.5
