"""The network on a WebGPU device, through its own onnxruntime: `test_webgpu.py` runs this file.

One process for all, for the device compiles its shaders anew in each; tiny frames, all of one size
by default, for on the software device a step of 16x16 takes two seconds.
"""

import os
import subprocess
import sysconfig
from pathlib import Path

import numpy as np
import onnxruntime as ort
import psutil
import pytest
import torch
import vapoursynth as vs
from clips import source

from vsanimesr.colour import FULL_RGB, ChromaLocation, Colour, Family, Format, Matrix
from vsanimesr.engines import Setup, vulkan_device
from vsanimesr.engines.onnx import webgpu
from vsanimesr.engines.onnx.engine import OnnxEngine
from vsanimesr.engines.onnx.session import Place
from vsanimesr.errors import EngineError
from vsanimesr.network import Network

BT709 = Colour(Matrix.BT709, full=False, chroma=ChromaLocation.LEFT)
TESTS = str(Path(__file__).parents[1])
LOST = Path(os.environ.get("VK_LOST_WHILE", "never"))
FORMATS = [
    Format(Family.YUV, 8, sub_w=1, sub_h=1),
    Format(Family.YUV, 10, sub_w=1),
    Format(Family.RGB, 16),
    Format(Family.GRAY, 8),
    Format(Family.RGB, 16, floating=True),
    Format(Family.YUV, 32, floating=True, sub_w=1, sub_h=1),
]
AT_LENGTH = [pytest.param(of, marks=pytest.mark.slow) for of in FORMATS[1:5]]


@pytest.fixture(scope="module")
def make(fixed_weights):
    """Engines; the first one stays until the end, and with it what the device has compiled."""

    def call(width=8, height=8, device="webgpu", **options):
        options = {"precision": "fp32"} | options
        return OnnxEngine(
            fixed_weights, Setup(width=width, height=height, device=device, **options)
        )

    first = call()
    yield call
    first.close()


def frames_of(count, of, height, width):
    random = np.random.default_rng(3)
    for _ in range(count):
        yield [
            random.uniform(-0.1, 1.1, shape).astype(of.dtype)
            if of.floating
            else random.integers(0, of.peak, shape, of.dtype, endpoint=True)
            for shape in of.shapes(height, width)
        ]


def render(engine, frames, target, colour=FULL_RGB):
    """Planes of each frame, in endless recurrence; every frame stands for its neighbours too."""
    state = None
    for planes in frames:
        image = engine.upload(planes, colour)
        state = engine.step(image, image, image, state)
        rows, columns = planes[0].shape
        made = [np.empty(shape, target.dtype) for shape in target.shapes(4 * rows, 4 * columns)]
        engine.write(state, made, colour)
        yield made


def test_what_there_is():
    """`auto` takes WebGPU only where Vulkan sees a GPU that is none of the processor's."""
    webgpu.register(wanted=True)
    assert "WebGpuExecutionProvider" in ort.get_available_providers()
    known = vulkan_device.devices()
    assert known
    if all(device.software for device in known):
        assert not webgpu.gpu()
        assert webgpu.why_none() == (
            f"Vulkan sees no GPU, only {known[0].name}: install the GPU's Vulkan driver"
        )


def test_auto_leaves_a_software_device_alone(make):
    taken = make(device="auto").description
    assert ("webgpu" in taken) == webgpu.gpu()


def test_the_device_is_named_and_tensors_stay_there(make):
    engine = make()
    assert engine.description == (
        f"onnxruntime {ort.__version__}, {webgpu.device_name()}, webgpu, fp32"
    )
    image = engine.upload([np.zeros((8, 8), np.float32)] * 3, FULL_RGB)
    state = engine.step(image, image, image, None)
    for tensor in (image, state.image, state.hidden):
        assert tensor.value.device_name() != "cpu"


@pytest.mark.parametrize(
    ("height", "width", "count"),
    [
        (8, 8, 2),
        pytest.param(16, 16, 2, marks=pytest.mark.slow),
        pytest.param(24, 32, 1, marks=pytest.mark.slow),
        pytest.param(22, 30, 3, marks=pytest.mark.slow),
    ],
)
def test_the_network(make, fixed_weights, height, width, count):
    """Against the network in torch, in float64."""
    of = Format(Family.RGB, 32, floating=True)
    frames = list(frames_of(count, of, height, width))
    network = Network.from_weights(fixed_weights).double().requires_grad_(False)
    below, right = -height % 4, -width % 4
    image = torch.zeros(1, 48, height + below, width + right, dtype=torch.double)
    hidden = torch.zeros(1, 64, *image.shape[2:], dtype=torch.double)
    for planes, made in zip(frames, render(make(width, height), frames, of), strict=True):
        padded = np.pad(np.stack(planes), ((0, 0), (0, below), (0, right)), mode="edge")
        frame = torch.from_numpy(padded).double().clamp(0, 1)[None]
        image, hidden = network.step(torch.cat([frame] * 3, 1), image, hidden)
        wanted = torch.pixel_shuffle(image, 4)[0, :, : 4 * height, : 4 * width]
        np.testing.assert_allclose(np.stack(made), wanted.numpy(), rtol=0, atol=1e-5)


@pytest.mark.parametrize("of", [*FORMATS[:1], *AT_LENGTH, *FORMATS[5:]], ids=str)
def test_colours_are_those_of_the_cpu(make, of):
    """To one code, or to what is left of a half; integers are dithered."""
    same_colours(make, of, 6, 10, dither=True)  # no whole words of samples, and no multiple of 4


def test_codes_are_not_clamped_as_the_network_is(make):
    """They were where a 1x1 convolution was taken for one that had a clamp to [0, 1] fused in."""
    same_colours(make, FORMATS[0], 8, 8)


def same_colours(make, of, height, width, **options):
    colour = FULL_RGB if of.family == Family.RGB else BT709
    frames = list(frames_of(1, of, height, width))
    if of.floating:
        frames[0][0][1, 2:5] = np.nan, np.inf, -np.inf
    options |= {"width": width, "height": height, "source": of, "target": of}
    (ours,) = render(make(**options), frames, of, colour)
    (theirs,) = render(make(device="cpu", **options), frames, of, colour)
    most = (2e-3 if of.bits == 16 else 1e-5) if of.floating else 1
    for a, b in zip(ours, theirs, strict=True):
        assert np.isfinite(a.astype(float)).all()
        assert np.ptp(a.astype(float)) > 20 * most
        assert np.abs(a.astype(float) - b.astype(float)).max() <= most


def test_a_step_again_gives_the_same_bytes(make):
    of = Format(Family.RGB, 32, floating=True)
    frames = list(frames_of(2, of, 8, 8))
    first, again = (list(render(make(), frames, of)) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first[0], first[1])


def test_floats_of_16_bits_are_refused_where_there_are_none(make):
    if webgpu.half():
        assert make(precision="fp16").description.endswith("fp16")
        return
    refusal = "does not offer it to WebGPU .shader-f16.: use fp32"
    with pytest.raises(EngineError, match=f"precision=fp16, but .* {refusal}"):
        make(precision="fp16")


# Order, through VapourSynth: a process that renders straight, and this one that does not.

SCRIPT = """
import os
import vapoursynth as vs
from clips import source
clip = source({length}, {width}, {height}, cuts=(), format=vs.YUV420P8)
options = {{"device": "webgpu", "block": {block}, "warmup": 1}}
clip.animesr.Upscale(model=os.environ["MODEL"], **options).set_output()
"""


@pytest.mark.parametrize(
    ("height", "width", "block", "order"),
    [
        (8, 8, 1, (1, 0)),
        pytest.param(16, 16, 1, (1, 0), marks=pytest.mark.slow),
        pytest.param(24, 32, 2, (4, 0, 3, 1, 2), marks=pytest.mark.slow),
    ],
)
def test_any_order_gives_the_bytes_of_vspipe(
    make, fixed_model, tmp_path, height, width, block, order
):
    length = len(order)
    script = tmp_path / "straight.vpy"
    script.write_text(SCRIPT.format(length=length, width=width, height=height, block=block))
    own = {
        "MODEL": str(fixed_model),
        "PATH": os.pathsep.join([sysconfig.get_path("scripts"), os.environ["PATH"]]),
        "PYTHONPATH": os.pathsep.join([os.environ["PYTHONPATH"], TESTS]),
    }
    process = subprocess.Popen(
        [Path(sysconfig.get_path("scripts")) / "vspipe", "-c", "y4m", script, "-"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | own,
    )
    clip = source(length, width, height, cuts=(), format=vs.YUV420P8)
    options = {"device": "webgpu", "block": block, "warmup": 1, "cache": 0}
    clip = clip.animesr.Upscale(model=str(fixed_model), **options)
    found = {}
    for n in order:
        with clip.get_frame(n) as frame:
            found[n] = b"".join(bytes(np.asarray(frame[plane])) for plane in range(3))
    straight, said = process.communicate(timeout=300)
    assert process.returncode == 0, said.decode()
    header, rest = straight.split(b"\n", 1)
    assert header.startswith(b"YUV4MPEG2")
    assert rest == b"".join(b"FRAME\n" + found[n] for n in range(length))
    assert len(set(found.values())) == length


# Life, loss and end.


def test_what_is_kept_outlives_its_engine(make):
    of = Format(Family.RGB, 32, floating=True)
    (planes,) = frames_of(1, of, 8, 8)
    engine = make()
    image = engine.upload(planes, FULL_RGB)
    state = engine.step(image, image, image, None)
    engine.close()
    with pytest.raises(AttributeError):
        engine.step(image, image, image, None)
    del image, state  # which would end the process if they did not keep the device's memory


def test_engines_made_and_freed_leave_nothing(make):
    of = Format(Family.RGB, 32, floating=True)
    frames = list(frames_of(1, of, 8, 8))
    grown: list[float] = []
    for _ in range(4):
        before = psutil.Process().memory_info().rss
        engine = make()
        list(render(engine, frames, of))
        engine.close()
        grown.append((psutil.Process().memory_info().rss - before) / 2**20)
    assert min(grown) < 3  # MB; the weights alone are 6


@pytest.mark.slow  # it comes back with all its shaders to be compiled; `test_lifetime.py` plays it
@pytest.mark.skipif(
    not LOST.parent.is_dir(), reason="this driver cannot be made to lose its device"
)
@pytest.mark.parametrize("attempts", [1, 3])
def test_a_lost_device_fails_the_frame_and_comes_back(fixed_model, attempts):
    """Whoever else holds it: all let go, and fail one frame too."""
    options = {"model": str(fixed_model), "device": "webgpu", "block": 2, "warmup": 1}
    clips = [
        source(5, 8, 8, cuts=(), format=vs.YUV420P8).animesr.Upscale(**options) for _ in range(2)
    ]

    def picture(clip, n):
        with clip.get_frame(n) as frame:
            return [np.asarray(frame[plane]).copy() for plane in range(3)]

    before = [picture(clips[0], n) for n in range(4)]
    np.testing.assert_equal(picture(clips[1], 0), before[0])
    LOST.touch()
    for _ in range(attempts):  # as long as it is lost, every request tries anew and says so
        with pytest.raises(vs.Error, match=r"Upscale: the device was lost .*is lost.*: the next"):
            clips[1].get_frame(1)
    LOST.unlink()
    for n in (1, 3, 2):
        np.testing.assert_equal(picture(clips[1], n), before[n])
    with pytest.raises(vs.Error, match="Upscale: the device was lost, and with it what this frame"):
        clips[0].get_frame(4)
    np.testing.assert_equal(picture(clips[0], 4), picture(clips[1], 4))


def test_the_cpu_is_unaffected():
    assert Place().tensor(np.ones(1, np.float32)).numpy() == [1]
