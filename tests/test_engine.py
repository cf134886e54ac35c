"""The torch engine alone, and the released system's render through the whole filter."""

import contextlib
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import vapoursynth as vs

from vsanimesr import engines, options
from vsanimesr.colour import FULL_RGB, ChromaLocation, Colour, Family, Format, Matrix
from vsanimesr.engines import backends, choice
from vsanimesr.engines.backends import BACKENDS
from vsanimesr.engines.torch import device as torch_device
from vsanimesr.engines.torch import engine as torch_engine
from vsanimesr.engines.torch.device import pick_device, pick_precision
from vsanimesr.engines.torch.engine import TorchEngine
from vsanimesr.errors import DeviceLostError, EngineError

GOLDEN = Path(__file__).parent / "data" / "bunny_64x48.npz"


@pytest.fixture
def make(fixed_weights):
    def call(width=16, height=12, backend="torch", **options):
        given = {"width": width, "height": height, "device": "cpu", "precision": "fp32"}
        given |= {name: options.pop(name) for name in ("precision",) if name in options}
        return engines.load(backend, fixed_weights, engines.Setup(**given), **options)

    return call


@pytest.mark.weights
@pytest.mark.parametrize("model", ["v1", "v2"])
@pytest.mark.parametrize("backend", options.BACKENDS)
def test_endless_recurrence_is_the_released_render(released, model, backend):
    """`block=0, scenes=0` in fp32, frame by frame, within 1e-3 of the authors' networks."""
    golden = np.load(GOLDEN)
    frames, expected = golden["input"], golden[model]
    blank = vs.core.std.BlankClip(None, 64, 48, vs.RGB24, length=len(frames), keep=True)

    def draw(n, f):
        frame = f.copy()
        for plane in range(3):
            np.copyto(np.asarray(frame[plane]), frames[n, ..., plane])
        return frame

    clip = blank.std.ModifyFrame(blank, draw)
    out = clip.animesr.Upscale(
        model=model,
        backend=backend,
        block=0,
        scenes=0,
        precision="fp32",
        device="cpu",
        format=vs.RGBS,
    )
    for n, frame in enumerate(out.frames(close=True)):
        image = np.stack([np.asarray(frame[plane]) for plane in range(3)], axis=-1)
        assert np.abs(image - expected[n].astype(np.float32)).max() < 1e-3


@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16"])
def test_states_are_values(make, precision):
    """A step changes nothing it was given, and gives the same again."""
    engine = make(precision=precision)
    random = np.random.default_rng(0)
    sources = [
        engine.upload(list(random.random((3, 12, 16), np.float32)), FULL_RGB) for _ in range(3)
    ]
    kept = [source.clone() for source in sources]
    first = engine.step(*sources, None)
    image, hidden = first.image.clone(), first.hidden.clone()
    second = engine.step(*sources, first)
    assert torch.equal(first.image, image)
    assert torch.equal(first.hidden, hidden)
    assert all(torch.equal(a, b) for a, b in zip(sources, kept, strict=True))
    again = engine.step(*sources, engine.step(*sources, None))
    assert torch.equal(again.image, second.image)
    assert torch.equal(again.hidden, second.hidden)


@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16"])
def test_sizes_in_memory_are_as_stated(make, precision):
    engine = make(width=17, height=10, precision=precision)
    source = engine.upload(list(np.zeros((3, 10, 17), np.float32)), FULL_RGB)
    state = engine.step(source, source, source, None)
    assert source.nbytes == engine.source_bytes
    assert state.image.nbytes + state.hidden.nbytes == engine.state_bytes
    assert state.image.shape == (1, 48, 12, 20)


def test_planes_may_be_strided_and_read_only(make):
    engine = make()
    wide = np.random.default_rng(0).random((3, 12, 32), np.float32)
    planes = list(wide[:, :, :16])
    for plane in planes:
        plane.flags.writeable = False
    plain = engine.upload([plane.copy() for plane in planes], FULL_RGB)
    assert torch.equal(engine.upload(planes, FULL_RGB), plain)
    state = engine.step(plain, plain, plain, None)
    out, large = np.empty((3, 48, 64), np.float32), np.zeros((3, 48, 96), np.float32)
    engine.write(state, list(out), FULL_RGB)
    engine.write(state, list(large[:, :, :64]), FULL_RGB)
    np.testing.assert_array_equal(large[:, :, :64], out)
    assert not large[:, :, 64:].any()


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError])
def test_out_of_memory_says_what_would_help(make, monkeypatch, error):
    engine = make()
    source = engine.upload(list(np.zeros((3, 12, 16), np.float32)), FULL_RGB)
    if error is RuntimeError:
        error = RuntimeError("DefaultCPUAllocator: can't allocate memory: 12 bytes")

    def fail(*_):
        raise error

    monkeypatch.setattr(engine, "_step", fail)
    with pytest.raises(
        EngineError, match=r"out of memory on cpu at 16x12; strips=2 would fit, lower cache="
    ):
        engine.step(source, source, source, None)


def test_other_errors_stay_as_they_are(make, monkeypatch):
    engine = make()
    source = engine.upload(list(np.zeros((3, 12, 16), np.float32)), FULL_RGB)
    monkeypatch.setattr(engine, "_step", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        engine.step(source, source, source, None)


@pytest.mark.parametrize(
    ("processor", "expected"),
    [("avx2", "fp32"), ("avx512", "fp32"), ("amx", "bf16"), ("arm", "fp32")],
)
def test_a_cpu_takes_bf16_only_where_it_multiplies_it(monkeypatch, processor, expected):
    monkeypatch.setattr(choice, "processor", lambda: processor)
    assert pick_precision("auto", torch.device("cpu"), half=False) == expected


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
@pytest.mark.parametrize("has", [True, False])
def test_a_type_without_arithmetic_gives_way_to_fp32(monkeypatch, caplog, precision, has):
    """oneDNN's reference kernels would run instead, a hundred times as slow."""
    monkeypatch.setattr(torch_device, "multiplies", lambda name: has or name == "fp32")
    found = pick_precision(precision, torch.device("cpu"), half=False)
    assert found == (precision if has else "fp32")
    said = [record.getMessage() for record in caplog.records]
    wanted = f"precision={precision}, but this CPU has no arithmetic for it: fp32 is computed"
    assert said == [] if has else (len(said) == 1 and wanted in said[0])


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_no_precision_is_far_slower_than_fp32(make, precision):
    def seconds(precision):
        engine = make(64, 48, precision=precision)
        source = engine.upload(list(np.zeros((3, 48, 64), np.float32)), FULL_RGB)
        state = engine.step(source, source, source, None)
        times = []
        for _ in range(5):
            begin = time.perf_counter()
            state = engine.step(source, source, source, state)
            times.append(time.perf_counter() - begin)
        return min(times)

    assert seconds(precision) < 10 * seconds("fp32")


@pytest.mark.parametrize(
    ("half", "capability", "expected"),
    [(False, (6, 1), "fp32"), (True, (6, 1), "fp16"), (False, (7, 0), "fp16")],
)
def test_a_gpu_takes_fp16(monkeypatch, half, capability, expected):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    assert pick_precision("auto", torch.device("cuda", 0), half) == expected


def test_devices(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert pick_device("auto") == torch.device("cpu")
    with pytest.raises(EngineError, match="device=cuda, but CUDA cannot be used here: see"):
        pick_device("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert pick_device("auto") == pick_device("cuda") == torch.device("cuda", 0)
    with pytest.raises(EngineError, match="device=cuda:1, but there are 1 CUDA devices"):
        pick_device("cuda:1")


@pytest.mark.parametrize("kind", ["mps", "xpu"])
def test_other_devices_are_taken_when_named(monkeypatch, kind):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch.xpu, "is_available", lambda: True)
    monkeypatch.setattr(torch.xpu, "device_count", lambda: 2)
    device = pick_device(kind)
    assert device == torch.device(kind, 0)
    assert pick_device("auto").type != kind
    assert pick_precision("auto", device, half=True) == "fp32"
    assert pick_precision("fp16", device, half=False) == "fp16"
    with pytest.raises(
        EngineError, match=f"tf32 is a mode of NVIDIA GPUs, and the device is {kind}"
    ):
        pick_precision("tf32", device, half=False)
    assert pick_device("xpu:1") == torch.device("xpu", 1)
    with pytest.raises(EngineError, match="device=xpu:2, but there are 2 xpu devices, from xpu:0"):
        pick_device("xpu:2")


@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("mps", "device=mps, but Metal cannot be used here: it wants macOS on Apple silicon"),
        ("xpu", r"device=xpu, but an Intel GPU cannot be used here: it wants torch's build .*xpu"),
        ("mps:0", "device=mps:0, wanted auto, cpu, cuda, cuda:N, mps, xpu or xpu:N"),
        ("webgpu", "device=webgpu, but backend=torch has none: use backend=onnx"),
    ],
)
def test_other_devices_that_are_not_there(monkeypatch, name, match):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setattr(torch.xpu, "is_available", lambda: False)
    with pytest.raises(EngineError, match=match):
        pick_device(name)


def elsewhere(monkeypatch, device):
    """Engines on another device than is asked for."""
    monkeypatch.setattr(torch_engine, "pick_device", lambda _: torch.device(device))


@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16"])
def test_on_another_device_everything_is_there(monkeypatch, fixed_weights, precision):
    """On `meta`, which has shapes and no numbers: a tensor left with the CPU would be refused."""
    elsewhere(monkeypatch, "meta")
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: contextlib.nullcontext())
    of = Format(Family.YUV, 10, sub_w=1, sub_h=1)
    given = engines.Setup(width=18, height=10, source=of, target=of, precision=precision)
    engine = TorchEngine(fixed_weights, given)
    assert engine.overlaps is False
    planes = [np.zeros(shape, np.uint16) for shape in of.shapes(10, 18)]
    colour = Colour(Matrix.BT709, full=False, chroma=ChromaLocation.LEFT)
    source = engine.upload(planes, colour)
    state = engine.step(source, source, source, engine.step(source, source, source, None))
    assert {x.device.type for x in (source, state.image, state.hidden)} == {"meta"}
    assert state.image.shape == (1, 48, 12, 20)
    planes = [np.zeros(shape, np.uint16) for shape in of.shapes(40, 72)]
    with pytest.raises(NotImplementedError, match="meta"):  # only its numbers cannot come back
        engine.write(state, planes, colour)


def test_codes_of_16_bits_cross_in_32_where_they_must(monkeypatch, fixed_weights):
    of = Format(Family.GRAY, 16)
    given = engines.Setup(width=16, height=8, source=of, target=of, device="cpu", precision="fp32")
    colour = Colour(Matrix.BT709, full=True, chroma=ChromaLocation.LEFT)
    plane = np.random.default_rng(0).integers(0, 65536, (8, 16), np.uint16)
    made = []
    for wide in (False, True):
        monkeypatch.setattr(torch_engine, "wide", lambda _, wide=wide: wide)
        engine = TorchEngine(fixed_weights, given)
        assert engine._write._dtype == (torch.int32 if wide else torch.uint16)
        source = engine.upload([plane], colour)
        made.append(np.empty((32, 64), np.uint16))
        engine.write(engine.step(source, source, source, None), made[-1:], colour)
    assert made[0].max() > 40000
    np.testing.assert_array_equal(*made)


def test_a_gpu_that_is_lost_says_why_it_does_not_come_back(make, monkeypatch):
    engine = make()
    source = engine.upload(list(np.zeros((3, 12, 16), np.float32)), FULL_RGB)

    def fail(*_):
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setattr(engine, "_step", fail)
    with pytest.raises(
        DeviceLostError, match=r"lost .*illegal.*: CUDA gives it back to no process"
    ):
        engine.step(source, source, source, None)


@pytest.mark.parametrize(
    ("backend", "option"),
    [
        ("openvino", {"strips": 2}),
        ("ncnn", {"strips": 2}),
        ("native", {"strips": 2}),
        ("onnx", {"compile": True}),
        ("torch", {"providers": "cpu"}),
    ],
)
def test_options_of_another_backend_are_refused(make, backend, option):
    (name,) = option
    with pytest.raises(EngineError, match=f"{name}= is an option of .* the backend is {backend}"):
        make(backend=backend, **option)


@pytest.mark.parametrize("name", [name for name, it in BACKENDS.items() if it.packages])
def test_a_runtime_that_is_not_installed(monkeypatch, name):
    runtime = BACKENDS[name].packages[0]
    monkeypatch.delitem(sys.modules, BACKENDS[name].engine[0], raising=False)
    monkeypatch.setitem(sys.modules, runtime, None)  # importing it fails
    advice = rf"backend={name}, but {runtime} is not .* pip install 'vapoursynth-animesr\[{name}\]'"
    with pytest.raises(EngineError, match=advice):
        engines.load(name, {}, engines.Setup(width=4, height=4))


def test_the_options_name_the_backends():
    assert tuple(BACKENDS) == options.BACKENDS


def test_the_engine_says_what_it_is(make):
    assert make().description == f"torch {torch.__version__}, cpu, fp32"
    assert isinstance(make(), TorchEngine)


@pytest.mark.parametrize(
    "error", [RuntimeError("no\nhome"), OSError("libx.so"), ImportError("DLL")]
)
def test_a_runtime_that_cannot_be_loaded(error, monkeypatch):
    def fail(name):
        raise error

    monkeypatch.setattr(backends.importlib, "import_module", fail)
    wanted = rf"backend=openvino, but openvino cannot be loaded \({type(error).__name__}: .*doctor"
    with pytest.raises(EngineError, match=wanted):
        backends.engine_class("openvino")
