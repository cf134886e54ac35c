"""The torch engine alone, and the released system's render through the whole filter."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import vapoursynth as vs

from vsanimesr import engines, options
from vsanimesr.colour import FULL_RGB
from vsanimesr.engines import choice
from vsanimesr.engines.backends import BACKENDS, Backend
from vsanimesr.engines.choice import pick_backend
from vsanimesr.engines.torch.engine import TorchEngine, pick_device, pick_precision
from vsanimesr.errors import EngineError

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
@pytest.mark.parametrize("backend", ["torch", "onnx", "openvino"])
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
    ("capabilities", "expected"),
    [({}, "fp32"), ({"amx_bf16": True}, "bf16"), ({"avx512_bf16": True}, "bf16")],
)
def test_a_cpu_takes_bf16_only_where_it_multiplies_it(monkeypatch, capabilities, expected):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    assert pick_precision("auto", torch.device("cpu"), half=False) == expected
    assert pick_precision("fp16", torch.device("cpu"), half=False) == "fp16"


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


def test_auto_takes_the_fastest_of_those_installed(monkeypatch):
    monkeypatch.setattr(choice, "devices", list)
    assert pick_backend("auto", "auto", "") == "torch"
    assert pick_backend("auto", "auto", "cpu") == "onnx"
    monkeypatch.setattr(Backend, "installed", property(lambda own: "torch" not in own.packages))
    assert pick_backend("cpu", "auto", "") == "openvino"
    assert pick_backend("auto", "fp16", "") == "onnx"
    assert pick_backend("cuda:1", "auto", "") == "onnx"
    monkeypatch.setattr(Backend, "installed", False)
    assert pick_backend("cpu", "auto", "") == "torch"


@pytest.mark.parametrize(
    ("backend", "option"),
    [
        ("openvino", {"strips": 2}),
        ("onnx", {"compile": True}),
        ("torch", {"providers": "cpu"}),
    ],
)
def test_options_of_another_backend_are_refused(make, backend, option):
    (name,) = option
    with pytest.raises(EngineError, match=f"{name}= is an option of .* the backend is {backend}"):
        make(backend=backend, **option)


@pytest.mark.parametrize("name", BACKENDS)
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
