"""The conversion in numpy against torch's, which is held against `resize.Bicubic`."""

import itertools

import numpy as np
import pytest
import torch

from vsanimesr.colour import ChromaLocation, Colour, Family, Format, Matrix
from vsanimesr.engines.plane_colour import image_of, planes_of
from vsanimesr.engines.torch.colour import Reader, Writer

CPU = torch.device("cpu")
DEPTHS = [(8, False), (10, False), (16, False), (16, True), (32, True)]
FORMATS = [
    *(Format(family, *depth) for family in (Family.RGB, Family.GRAY) for depth in DEPTHS),
    *(
        Format(Family.YUV, *depth, *sub)
        for depth in DEPTHS
        for sub in [(0, 0), (1, 1), (1, 0), (0, 1), (2, 0), (2, 2)]
    ),
]
HEIGHT, WIDTH = 12, 20


def colours(of):
    if of.family == Family.RGB:
        return [Colour(Matrix.RGB, full=full) for full in (True, False)]
    pairs = itertools.product((Matrix.BT709, Matrix.YCGCO), ChromaLocation)
    return [Colour(matrix, bool(place % 2), place) for matrix, place in pairs]


@pytest.mark.parametrize("of", FORMATS, ids=str)
def test_reading_is_torchs(of):
    random = np.random.default_rng(0)
    shapes = of.shapes(HEIGHT, WIDTH)
    if of.floating:
        planes = [random.uniform(-0.6, 1.2, shape).astype(of.dtype) for shape in shapes]
    else:
        planes = [random.integers(0, of.peak, shape, of.dtype, endpoint=True) for shape in shapes]
    expected = Reader(of, CPU, torch.float32)
    for colour in colours(of):
        wanted = expected([torch.from_numpy(plane) for plane in planes], colour)[0]
        np.testing.assert_allclose(image_of(planes, of, colour), wanted.numpy(), atol=1e-6)


@pytest.mark.parametrize("dither", [False, True])
@pytest.mark.parametrize("of", FORMATS, ids=str)
def test_writing_is_torchs_to_one_code(of, dither):
    rgb = np.random.default_rng(0).normal(0.5, 0.3, (3, HEIGHT, WIDTH)).astype(np.float32)
    expected = Writer(of, CPU, dither=dither)
    for colour in colours(of):
        made = [np.empty(shape, of.dtype) for shape in of.shapes(HEIGHT, WIDTH)]
        planes_of(rgb, of, colour, made, dither=dither)
        for plane, wanted in zip(made, expected(torch.from_numpy(rgb)[None], colour), strict=True):
            difference = np.abs(plane.astype(np.float64) - wanted.numpy().astype(np.float64))
            assert difference.max() <= (1e-3 if of.floating else 1)
            ties = np.sum(difference > 1e-5)  # of rounding
            assert ties <= max(1, 0.02 * plane.size)


def test_samples_that_are_no_numbers_do_not_spread():
    of, colour = Format(Family.YUV, 32, True, 1, 1), Colour(Matrix.BT709, full=True)
    planes = [np.full(shape, 0.25, np.float32) for shape in of.shapes(16, 32)]
    for plane, bad in zip(planes, (np.nan, np.inf, -np.inf), strict=True):
        plane[3, 2] = bad
    image = image_of(planes, of, colour)
    assert np.isfinite(image).all()
    assert image.min() >= 0
    assert image.max() <= 1
    assert np.array_equal(image[:, :, 16:], np.broadcast_to(image[:, :1, -1:], (3, 16, 16)))
