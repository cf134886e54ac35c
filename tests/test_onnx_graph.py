"""The ONNX graphs alone: the step against torch's, colours against torch's, the exported file."""

import builtins

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from torch.nn.functional import pixel_shuffle

from vsanimesr import weights
from vsanimesr.cli import main
from vsanimesr.colour import ChromaLocation, Colour, Family, Format, Matrix
from vsanimesr.engines import Setup
from vsanimesr.engines.onnx.colour import (
    reading_graph,
    reading_numbers,
    writing_graph,
    writing_numbers,
)
from vsanimesr.engines.onnx.graph import addition_graph, residual_graph, step_graph
from vsanimesr.engines.torch.colour import Reader, Writer
from vsanimesr.network import Network

SINGLE = np.dtype(np.float32)
CPU = torch.device("cpu")
FORMATS = [
    *(Format(Family.YUV, 8, sub_w=w, sub_h=h) for w, h in [(1, 1), (1, 0), (0, 1), (2, 0), (2, 2)]),
    Format(Family.YUV, 8),
    Format(Family.YUV, 10, sub_w=1, sub_h=1),
    Format(Family.YUV, 16, sub_w=1, sub_h=1),
    Format(Family.YUV, 16, floating=True, sub_w=1, sub_h=1),
    Format(Family.YUV, 32, floating=True, sub_w=1),
    *(Format(family, bits) for family in (Family.RGB, Family.GRAY) for bits in (8, 16)),
    *(Format(family, 32, floating=True) for family in (Family.RGB, Family.GRAY)),
    Format(Family.RGB, 16, floating=True),
]


def session(model):
    onnx.checker.check_model(model, full_check=True)
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    return ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


@pytest.fixture(autouse=True)
def one_thread():
    """Frames are so small that two threads only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def film(frames, height=16, width=24):
    """A picture that moves to the right, (frames, 1, 3, h, w)."""
    picture = np.random.default_rng(0).random((1, 3, height // 4, width // 4), np.float32)
    picture = picture.repeat(4, axis=2).repeat(4, axis=3)
    return [np.roll(picture, t, axis=3) for t in range(frames)]


def images(run, clip, dtype=np.float32):
    """Folded images of a clip in endless recurrence."""
    shape = clip[0].shape[2:]
    image, hidden = (np.zeros((1, channels, *shape), dtype) for channels in (48, 64))
    for t in range(len(clip)):
        frames = [clip[min(max(t + k, 0), len(clip) - 1)].astype(dtype) for k in (-1, 0, 1)]
        image, hidden = run(*frames, image, hidden)
        yield image.astype(np.float32)


def in_torch(tensors):
    network = Network.from_weights(tensors).eval().requires_grad_(False)

    def run(previous, current, following, image, hidden):
        window = torch.from_numpy(np.concatenate((previous, current, following), axis=1))
        results = network.step(window, torch.from_numpy(image), torch.from_numpy(hidden))
        return [result.numpy() for result in results]

    return run


def in_onnx(step):
    names = [given.name for given in step.get_inputs()]
    return lambda *given: step.run(None, dict(zip(names, given, strict=True)))


def psnr(a, b):
    return -10 * np.log10(np.mean((a - b) ** 2))


@pytest.mark.weights
@pytest.mark.parametrize("model", ["v1", "v2"])
def test_a_hundred_steps_are_torchs(released, model):
    tensors = weights.read(released[model])
    step = session(step_graph(tensors))
    clip = film(100)
    pairs = zip(images(in_torch(tensors), clip), images(in_onnx(step), clip), strict=True)
    assert min(psnr(expected, image) for expected, image in pairs) > 80


def test_fp16_is_near(fixed_weights):
    step = session(step_graph(fixed_weights, precision="fp16"))
    assert {given.type for given in step.get_inputs()} == {"tensor(float16)"}
    clip = film(12)
    pairs = zip(
        images(in_torch(fixed_weights), clip),
        images(in_onnx(step), clip, np.float16),
        strict=True,
    )
    assert min(psnr(expected, image) for expected, image in pairs) > 50


def test_one_session_takes_frames_of_any_size(fixed_weights):
    step = session(step_graph(fixed_weights))
    for height, width in [(4, 8), (12, 16), (20, 12)]:
        clip = film(2, height, width)
        pairs = zip(images(in_torch(fixed_weights), clip), images(in_onnx(step), clip), strict=True)
        assert all(np.abs(a - b).max() < 1e-4 for a, b in pairs)


def test_the_step_may_be_cut_before_its_last_addition(fixed_weights):
    whole, first = session(step_graph(fixed_weights)), session(residual_graph(fixed_weights))
    second = session(addition_graph())
    random = np.random.default_rng(0)
    given = {i.name: random.random((1, i.shape[1], 8, 12), np.float32) for i in whole.get_inputs()}
    residual, hidden = first.run(None, given)
    (image,) = second.run(None, {"residual": residual, "current": given["current"]})
    expected = whole.run(None, given)
    np.testing.assert_allclose(image, expected[0], atol=1e-6)
    np.testing.assert_array_equal(hidden, expected[1])


def colour_of(of, location, *, full):
    matrix = Matrix.RGB if of.family == Family.RGB else Matrix.BT709
    return Colour(matrix, full or of.floating, location)


def planes_of(of, height, width):
    random = np.random.default_rng(0)
    for shape in of.shapes(height, width):
        if of.floating:
            yield random.uniform(-0.6, 1.1, shape).astype(of.dtype)
        else:
            yield random.integers(0, of.peak, shape, of.dtype, endpoint=True)


def named(planes):
    return {f"plane_{i}": plane for i, plane in enumerate(planes)}


@pytest.mark.parametrize("of", FORMATS, ids=str)
def test_reading_is_torchs(of):
    height, width = 12, 20
    setup = Setup(width=width, height=height, source=of)
    read = session(reading_graph(setup, SINGLE))
    planes = list(planes_of(of, height, width))
    expected = Reader(of, CPU, torch.float32)
    for location in ChromaLocation if of.sub_w or of.sub_h else [ChromaLocation.LEFT]:
        colour = colour_of(of, location, full=location % 2 == 0)
        (image,) = read.run(None, named(planes) | reading_numbers(setup, colour))
        tensors = [torch.from_numpy(plane) for plane in planes]
        np.testing.assert_allclose(image, expected(tensors, colour).numpy(), atol=1e-6)


@pytest.mark.parametrize("dither", [False, True])
@pytest.mark.parametrize("of", FORMATS, ids=str)
def test_writing_is_torchs_to_one_code(of, dither):
    height, width = 12, 20
    setup = Setup(width=width, height=height, target=of, dither=dither)
    write = session(writing_graph(setup, SINGLE))
    random = np.random.default_rng(0)
    image = random.normal(0.5, 0.3, (1, 48, height, width)).astype(np.float32)
    expected = Writer(of, CPU, dither=dither)
    for location in ChromaLocation if of.sub_w or of.sub_h else [ChromaLocation.LEFT]:
        colour = colour_of(of, location, full=location % 2 == 1)
        planes = write.run(None, {"image": image} | writing_numbers(setup, colour))
        wanted = expected(pixel_shuffle(torch.from_numpy(image), 4), colour)
        for plane, tensor in zip(planes, wanted, strict=True):
            assert plane.dtype == tensor.numpy().dtype
            difference = np.abs(plane.astype(np.float64) - tensor.numpy().astype(np.float64))
            assert difference.max() <= (1e-3 if of.floating else 1)
            assert np.mean(difference > 1e-6) < 0.01  # ties of rounding are rare


def test_sizes_that_are_no_multiples_of_4_are_padded_and_cropped():
    of = Format(Family.YUV, 8, sub_w=1, sub_h=1)
    colour = colour_of(of, ChromaLocation.LEFT, full=False)
    planes = list(planes_of(of, 10, 18))
    setup = Setup(width=18, height=10, source=of, target=of)
    numbers = reading_numbers(setup, colour)
    (image,) = session(reading_graph(setup, SINGLE)).run(None, named(planes) | numbers)
    assert image.shape == (1, 3, 12, 20)
    np.testing.assert_array_equal(image[..., 10:, :], image[..., 9:10, :].repeat(2, axis=2))
    np.testing.assert_array_equal(image[..., 18:], image[..., 17:18].repeat(2, axis=3))
    folded = np.random.default_rng(0).random((1, 48, 12, 20), np.float32)
    cut = session(writing_graph(setup, SINGLE))
    made = cut.run(None, {"image": folded} | writing_numbers(setup, colour))
    picture = pixel_shuffle(torch.from_numpy(folded), 4)[..., :40, :72]
    for plane, wanted in zip(made, Writer(of, CPU)(picture, colour), strict=True):
        assert np.abs(plane.astype(int) - wanted.numpy().astype(int)).max() <= 1


@pytest.mark.parametrize(
    "of",
    [Format(Family.RGB, 32, floating=True), Format(Family.YUV, 16, floating=True, sub_w=1)],
    ids=str,
)
def test_samples_that_are_no_numbers_do_not_spread(of):
    colour = colour_of(of, ChromaLocation.LEFT, full=True)
    setup = Setup(width=16, height=8, source=of)
    read = session(reading_graph(setup, SINGLE))
    planes = [np.full(shape, 0.25, of.dtype) for shape in of.shapes(8, 16)]
    (plain,) = read.run(None, named(planes) | reading_numbers(setup, colour))
    for plane, bad in zip(planes, (np.nan, np.inf, -np.inf), strict=True):
        plane[3, 2] = bad
    (image,) = read.run(None, named(planes) | reading_numbers(setup, colour))
    assert np.isfinite(image).all()
    assert image.min() >= 0
    assert image.max() <= 1
    changed = (image != plain).any(axis=(0, 1))
    reach = 4 if of.sub_w else 0
    assert not changed[[0, 1, 2, 4, 5, 6, 7]].any()
    assert not changed[:, 5 + reach :].any()
    if of.family == Family.RGB:
        np.testing.assert_array_equal(image[0, :, 3, 2], [0, 1, 0])


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_an_exported_file_runs_and_says_what_it_is(
    fixed_model, fixed_weights, tmp_path, capsys, precision
):
    path = tmp_path / "step.onnx"
    path.write_bytes(b"to be replaced")
    words = ["export", str(path), "--model", str(fixed_model), "--precision", precision]
    assert main(words) == 0
    assert capsys.readouterr().out == f"{path}\n"
    assert [found.name for found in tmp_path.iterdir()] == ["step.onnx"]
    model = onnx.load(path)
    assert "feed image_out and hidden_out back" in model.doc_string
    assert all(value.doc_string for value in (*model.graph.input, *model.graph.output))
    facts = {entry.key: entry.value for entry in model.metadata_props}
    assert facts["title"] == fixed_model.stem
    assert facts["weights"] == weights.digest(fixed_weights)
    assert (facts["precision"], facts["scale"], facts["multiple"]) == (precision, "4", "4")
    dtype = np.float32 if precision == "fp32" else np.float16
    clip = film(2)
    made = images(in_onnx(session(model)), clip, dtype)
    for image, wanted in zip(made, images(in_torch(fixed_weights), clip), strict=True):
        assert psnr(image, wanted) > (80 if precision == "fp32" else 50)


def test_the_same_weights_export_the_same_bytes(fixed_model, tmp_path):
    for name in ("a.onnx", "b.onnx"):
        assert main(["export", str(tmp_path / name), "--model", str(fixed_model)]) == 0
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()


def test_an_export_that_fails_leaves_nothing(fixed_model, tmp_path, capsys, monkeypatch):
    model = ["--model", str(fixed_model)]
    assert main(["export", str(tmp_path / "step.txt"), *model]) == 1
    assert "wanted the name of a file that ends in .onnx" in capsys.readouterr().err
    assert main(["export", str(tmp_path / "nowhere" / "step.onnx"), *model]) == 1
    assert "cannot be written" in capsys.readouterr().err
    real = builtins.__import__

    def without_onnx(name, *arguments, **options):
        if name == "onnx":
            raise ModuleNotFoundError("No module named 'onnx'", name="onnx")
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without_onnx)
    assert main(["export", str(tmp_path / "step.onnx"), *model]) == 1
    assert "onnx is not installed: pip install" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
