"""`precision="int8"`: near fp32 on real frames, calibrated weights, and what has none."""

import dataclasses
from pathlib import Path

import av
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from vsanimesr import calibration, cli, engines, weights
from vsanimesr.calibration import Inputs
from vsanimesr.colour import FULL_RGB
from vsanimesr.engines import Setup
from vsanimesr.errors import EngineError, WeightsError
from vsanimesr.models import RELEASES, quantised
from vsanimesr.network import Network

GOLDEN = Path(__file__).parent / "data" / "bunny_64x48.npz"
SMALL = Setup(width=16, height=12, device="cpu", precision="int8")


def render(tensors, frames, precision):
    """Images (t, 3, 4h, 4w) of frames (t, 3, h, w) in endless recurrence, clamped."""
    height, width = frames.shape[2:]
    setup = Setup(width=width, height=height, device="cpu", precision=precision)
    engine = engines.load("openvino", tensors, setup)
    sources = [engine.upload(list(frame), FULL_RGB) for frame in frames]
    state, images = None, []
    for t, source in enumerate(sources):
        neighbours = sources[max(t - 1, 0)], source, sources[min(t + 1, len(sources) - 1)]
        state = engine.step(*neighbours, state)
        planes = [np.empty((4 * height, 4 * width), np.float32) for _ in range(3)]
        engine.write(state, planes, FULL_RGB)
        images.append(np.stack(planes))
    engine.close()
    return np.stack(images).clip(0, 1)


def psnr(a, b):
    return -10 * np.log10(((a - b) ** 2).mean())


@pytest.fixture(scope="module")
def calibrated(fixed_weights, tmp_path_factory):
    """A clip of noise that moves, and the file that the command makes of it and `fixed_weights`."""
    folder = tmp_path_factory.mktemp("calibrated")
    model, clip, made = (folder / name for name in ("own.safetensors", "c.mkv", "int8.safetensors"))
    save_file(fixed_weights, model)
    noise = np.random.default_rng(3).integers(0, 256, (26, 38, 3), np.uint8)
    with av.open(clip, "w") as container:
        stream = container.add_stream("ffv1", rate=24)
        stream.width, stream.height, stream.pix_fmt = 38, 26, "bgr0"
        for t in range(14):
            frame = av.VideoFrame.from_ndarray(np.roll(noise, t, axis=1), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    assert cli.main(["calibrate", str(model), str(clip), str(made)]) == 0
    return made


@pytest.mark.weights
@pytest.mark.parametrize("model", RELEASES)
def test_the_released_models_keep_45_db(released, model):
    frames = np.load(GOLDEN)["input"].transpose(0, 3, 1, 2).astype(np.float32) / 255
    tensors = weights.read(released[model])
    exact, near = (render(tensors, frames, precision) for precision in ("fp32", "int8"))
    assert 45 < psnr(exact, near) < 60, "no better than eight bits can be, either"


def test_own_weights_are_calibrated_by_a_command(calibrated, fixed_weights):
    frames = np.random.default_rng(4).random((3, 3, 24, 36), np.float32)
    tensors = weights.load(str(calibrated))
    exact, near = (render(tensors, frames, precision) for precision in ("fp32", "int8"))
    assert 30 < psnr(exact, near) < 60
    np.testing.assert_array_equal(exact, render(fixed_weights, frames, "fp32"))
    again = render(tensors, frames, "int8")
    np.testing.assert_array_equal(near, again, err_msg="the same bytes each time")


def test_a_calibrated_file_is_the_same_network_elsewhere(calibrated, fixed_weights):
    tensors = weights.load(str(calibrated))
    assert set(tensors) > set(fixed_weights)
    state = Network.from_weights(tensors).state_dict()
    assert set(state) == set(fixed_weights)
    for backend in ("torch", "onnx"):
        setup = dataclasses.replace(SMALL, precision="fp32")
        engines.load(backend, tensors, setup).close()


def test_a_step_in_int8_is_what_its_calibration_says(fixed_weights):
    """A value beyond the range is clamped to it: with a range of nothing, nothing is seen."""
    blind = {
        name: Inputs(np.ones(channels, np.float32), 0.0, 1e-9)
        for name, channels in quantised().items()
    }
    tensors = fixed_weights | calibration.tensors(blind)
    frames = np.random.default_rng(5).random((2, 3, 12, 16), np.float32)
    seen, unseen = (render(tensors, frames, precision) for precision in ("fp32", "int8"))
    assert psnr(seen, unseen) < 25


def test_the_calibration_of_a_convolution():
    """Two channels of 4 and 1 at equal weights: scales 2 to 1; one value in 100,000 is cut off."""
    samples = np.zeros((200_001, 2), np.float32)
    samples[:, 0], samples[:, 1] = np.linspace(-4, 2, 200_001), np.linspace(0, 1, 200_001)
    found = Inputs.measured(np.ones((3, 2, 3, 3), np.float32), samples)
    assert found.scale[0] / found.scale[1] == pytest.approx(2)
    assert found.scale.prod() == pytest.approx(1)
    assert found.low == pytest.approx(-4 / np.sqrt(2), rel=1e-3)
    assert found.high == pytest.approx(np.sqrt(2), rel=1e-3)


def test_a_channel_that_is_always_zero():
    samples = np.stack([np.linspace(0, 1, 50), np.zeros(50)], axis=1).astype(np.float32)
    found = Inputs.measured(np.zeros((3, 2, 3, 3), np.float32) + 1e-9, samples)
    assert np.isfinite(found.scale).all()
    assert (found.scale > 0).all()


def test_the_shipped_numbers_are_whole():
    for name in RELEASES:
        path = calibration.FOLDER / f"{name}.json"
        said = path.read_text("utf-8")
        found = calibration.parse(said)
        assert calibration.text(found) == said
        assert {key: len(x.scale) for key, x in found.items()} == quantised()
        assert all((x.scale > 0).all() and x.low <= 0 < x.high for x in found.values())


def test_weights_without_calibration_are_refused(fixed_weights):
    with pytest.raises(
        WeightsError, match=r"precision=int8, but .* run `vsanimesr calibrate MODEL"
    ):
        engines.load("openvino", fixed_weights, SMALL)


@pytest.mark.parametrize("backend", ["torch", "onnx"])
def test_other_backends_have_no_int8(fixed_weights, backend):
    with pytest.raises(EngineError, match=r"precision=int8 .*openvino"):
        engines.load(backend, fixed_weights, SMALL)


def test_half_a_calibration_is_refused(calibrated, tmp_path):
    tensors = load_file(calibrated)
    del tensors["calibration.fusion.0.scale"]
    save_file(tensors, tmp_path / "half.safetensors")
    with pytest.raises(WeightsError, match=r"no calibration\.fusion\.0\.scale"):
        weights.load(str(tmp_path / "half.safetensors"))


@pytest.mark.parametrize(
    ("name", "values", "said"),
    [
        ("fusion.0.scale", np.zeros(192, np.float32), "values of more than 0"),
        ("fusion.0.scale", -np.ones(192, np.float32), "values of more than 0"),
        ("fusion.2.range", np.array((1, 0), np.float32), "1 to 0, wanted"),
        ("fusion.2.range", np.array((0, 0), np.float32), "0 to 0, wanted"),
    ],
)
def test_a_calibration_of_nonsense_is_refused(calibrated, name, values, said):
    tensors = load_file(calibrated) | {f"calibration.{name}": values}
    with pytest.raises(WeightsError, match=rf"calibration\.{name}.*{said}"):
        calibration.find(tensors)


def test_outputs_that_cannot_be(calibrated, tmp_path, capsys):
    for output, said in (
        (tmp_path / "x.pth", "wanted a name that ends in .safetensors"),
        (tmp_path / "nowhere" / "x.safetensors", "is not there; make it first"),
        (calibrated, "exists; give another name, or --overwrite"),
    ):
        assert cli.main(["calibrate", "v2", "clip.mkv", str(output)]) == 1
        assert said in capsys.readouterr().err
