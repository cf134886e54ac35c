"""Planes that cross in words arrive and leave as those that cross as they lie, to the bit."""

import numpy as np
import onnxruntime as ort
import pytest

from vsanimesr.colour import Family, Format
from vsanimesr.engines.onnx.builder import Builder
from vsanimesr.engines.onnx.planes import AS_THEY_LIE, AsWords

SINGLE = np.dtype(np.float32)
WORDS, WORDS_AND_HALF = AsWords(half=False), AsWords(half=True)
CROSSINGS = {"words": WORDS, "words and half": WORDS_AND_HALF}
FORMATS = [
    *(Format(Family.GRAY, bits) for bits in (8, 9, 10, 16)),
    *(Format(Family.GRAY, bits, floating=True) for bits in (16, 32)),
]
SHAPES = [(1, 1), (3, 2), (2, 3), (5, 8), (4, 9)]  # whole words of samples, and rests of all sizes


def run(builder, feed):
    graph = builder.model("planes", "").SerializeToString()
    return ort.InferenceSession(graph, providers=["CPUExecutionProvider"]).run(None, feed)[0]


def arrived(crossing, of, plane):
    b = Builder()
    b.output(crossing.arriving(b, "plane", of, plane.shape), "samples", SINGLE, plane.shape)
    return run(b, {"plane": crossing.pack(plane)})


def left(crossing, of, samples, plane):
    b = Builder()
    crossing.leaving(b, b.input("samples", SINGLE, samples.shape), "plane", of, samples.shape)
    crossing.unpack(run(b, {"samples": samples}), plane)


def padded(shape, dtype):
    """A plane whose rows are longer than what is seen of them, as VapourSynth's are."""
    rows, columns = shape
    return np.zeros((rows, columns + 5), dtype)[:, :columns]


@pytest.mark.parametrize("crossing", CROSSINGS)
@pytest.mark.parametrize("of", FORMATS, ids=str)
def test_planes_arrive(of, crossing):
    random = np.random.default_rng(1)
    for shape in SHAPES:
        plane = padded(shape, of.dtype)
        if of.floating:
            plane[:] = random.normal(0, 2, shape)
        else:
            plane[:] = random.integers(0, of.peak, shape, endpoint=True)
        np.testing.assert_array_equal(arrived(CROSSINGS[crossing], of, plane), plane)


@pytest.mark.parametrize("crossing", CROSSINGS)
@pytest.mark.parametrize("bits", [16, 32])
def test_samples_that_are_no_numbers_do_not_arrive(bits, crossing):
    of = Format(Family.GRAY, bits, floating=True)
    plane = np.array([[np.nan, np.inf, -np.inf, 0.5]], of.dtype)
    packed = CROSSINGS[crossing].pack(plane)
    np.testing.assert_array_equal(packed, [[0, 65504, -65504, 0.5]])
    assert packed.dtype == (np.float16 if bits == 16 and crossing != "words" else np.float32)
    np.testing.assert_array_equal(arrived(AS_THEY_LIE, of, plane), packed)


@pytest.mark.parametrize("crossing", CROSSINGS)
@pytest.mark.parametrize("of", FORMATS, ids=str)
def test_planes_leave(of, crossing):
    random = np.random.default_rng(2)
    for shape in SHAPES:
        peak = 1 if of.floating else of.peak
        samples = random.uniform(-0.2 * peak, 1.2 * peak, shape).astype(np.float32)
        if not of.floating:
            samples = np.round(2 * samples) / 2  # every other one between two codes
        wanted, got = padded(shape, of.dtype), padded(shape, of.dtype)
        left(AS_THEY_LIE, of, samples, wanted)
        left(CROSSINGS[crossing], of, samples, got)
        np.testing.assert_array_equal(got, wanted)


@pytest.mark.parametrize("bits", [8, 16])
def test_halves_go_to_the_even_code_and_only_halves(bits):
    of = Format(Family.GRAY, bits)
    halves = np.arange(of.peak - 20, of.peak, dtype=np.float32) + np.float32(0.5)
    halves = np.concatenate([np.arange(20, dtype=np.float32) + np.float32(0.5), halves])
    samples = np.stack([np.nextafter(halves, 0), halves, np.nextafter(halves, np.inf)])
    got = padded(samples.shape, of.dtype)
    left(WORDS, of, samples, got)
    np.testing.assert_array_equal(got, np.round(samples).astype(of.dtype))
    assert got[1, 0] == 0
    assert got[1, 1] == 2


@pytest.mark.parametrize("bits", [8, 12])
def test_no_more_crosses_than_lies_there(bits):
    of = Format(Family.GRAY, bits)
    packed = WORDS.pack(padded((6, 16), of.dtype))
    assert packed.dtype == np.uint32
    assert packed.nbytes == 6 * 16 * of.dtype.itemsize
