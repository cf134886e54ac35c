"""The engines that need no torch, held to the protocol."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import ncnn
import numpy as np
import onnxruntime as ort
import openvino as ov
import pytest
import torch

from vsanimesr import weights
from vsanimesr.colour import FULL_RGB, RGBS, ChromaLocation, Colour, Family, Format, Matrix
from vsanimesr.engines import BACKENDS, Setup, openvino, processor
from vsanimesr.engines.maps import Map
from vsanimesr.engines.native import engine as native_engine
from vsanimesr.engines.native import library
from vsanimesr.engines.native import step as native_step
from vsanimesr.engines.native.engine import NativeEngine
from vsanimesr.engines.ncnn import engine as ncnn_engine
from vsanimesr.engines.ncnn import step as ncnn_step
from vsanimesr.engines.ncnn.engine import NcnnEngine
from vsanimesr.engines.onnx import session
from vsanimesr.engines.onnx.engine import OnnxEngine
from vsanimesr.engines.openvino import PRECISIONS, OpenVinoEngine, pick_precision
from vsanimesr.engines.torch.engine import TorchEngine
from vsanimesr.errors import EngineError

GOLDEN = Path(__file__).parent / "data" / "bunny_64x48.npz"
ENGINES = {
    "onnx": OnnxEngine,
    "openvino": OpenVinoEngine,
    "ncnn": NcnnEngine,
    "native": NativeEngine,
}
BANDED = {
    "ncnn": (NcnnEngine, ncnn_engine, ncnn_step),
    "native": (NativeEngine, native_engine, native_step),
}
"""Engines that cut a step into bands: their class, its module, and that of the step."""
RGB24 = Format(Family.RGB, 8)
YUV420P10 = Format(Family.YUV, 10, sub_w=1, sub_h=1)
BT709 = Colour(Matrix.BT709, full=False, chroma=ChromaLocation.LEFT)
BF16 = "BF16" in ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def setup(**options):
    defaults = {"width": 16, "height": 12, "device": "cpu", "precision": "fp32"}
    return Setup(**defaults | options)


@pytest.fixture(params=ENGINES)
def make(request, fixed_weights):
    def call(tensors=None, **options):
        return ENGINES[request.param](tensors or fixed_weights, setup(**options))

    return call


@pytest.fixture(autouse=True)
def one_thread():
    """Frames are so small that torch's threads only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def values(tensor):
    """A tensor of any engine, dense."""
    if isinstance(tensor, np.ndarray):
        return tensor.copy()
    if isinstance(tensor, Map):
        return tensor.inside.transpose(0, 3, 1, 2).reshape(1, -1, *tensor.inside.shape[1:3])
    return np.array(tensor.numpy() if isinstance(tensor, session.Tensor) else tensor.data)


def held(tensor):
    """Bytes that a tensor takes."""
    return tensor.nbytes if isinstance(tensor, Map) else values(tensor).nbytes


def rgb(count, height=12, width=16):
    random = np.random.default_rng(0)
    return [list(random.random((3, height, width), np.float32)) for _ in range(count)]


def render(engine, frames, of, target, height, width, colour=FULL_RGB):
    """Planes of all frames in endless recurrence."""
    sources = [engine.upload(planes, colour) for planes in frames]
    state = None
    for t, source in enumerate(sources):
        neighbours = sources[max(t - 1, 0)], source, sources[min(t + 1, len(sources) - 1)]
        state = engine.step(*neighbours, state)
        shapes = target.shapes(4 * height, 4 * width)
        planes = [np.empty(shape, target.dtype) for shape in shapes]
        engine.write(state, planes, colour if target.family == of.family else FULL_RGB)
        yield planes


@pytest.mark.weights
def test_endless_recurrence_is_the_released_render(released, make):
    golden = np.load(GOLDEN)
    engine = make(weights.read(released["v2"]), width=64, height=48, source=RGB24)
    frames = [list(frame.transpose(2, 0, 1)) for frame in golden["input"]]
    for planes, expected in zip(
        render(engine, frames, RGB24, RGBS, 48, 64), golden["v2"], strict=True
    ):
        image = np.stack(planes, axis=-1)
        assert np.abs(image - expected.astype(np.float32)).max() < 1e-3


def test_codes_are_torchs_to_one(make, fixed_weights):
    """Ten-bit frames of no even multiple, subsampled, through both engines."""
    random = np.random.default_rng(0)
    shapes = YUV420P10.shapes(10, 18)
    frames = [[random.integers(64, 940, s).astype(np.uint16) for s in shapes] for _ in range(3)]
    options = {"width": 18, "height": 10, "source": YUV420P10, "target": YUV420P10}
    options |= {"dither": True}
    both = [make(**options), TorchEngine(fixed_weights, setup(**options))]
    for ours, theirs in zip(
        *(render(e, frames, YUV420P10, YUV420P10, 10, 18, BT709) for e in both), strict=True
    ):
        for a, b in zip(ours, theirs, strict=True):
            assert np.abs(a.astype(int) - b.astype(int)).max() <= 1


def test_states_are_values(make):
    """A step changes nothing it was given, and gives the same again."""
    engine = make()
    sources = [engine.upload(planes, FULL_RGB) for planes in rgb(3)]
    kept = [values(source) for source in sources]
    first = engine.step(*sources, None)
    image, hidden = values(first.image), values(first.hidden)
    second = engine.step(*sources, first)
    planes = list(np.empty((3, 48, 64), np.float32))
    engine.write(second, planes, FULL_RGB)
    np.testing.assert_array_equal(values(first.image), image)
    np.testing.assert_array_equal(values(first.hidden), hidden)
    for source, before in zip(sources, kept, strict=True):
        np.testing.assert_array_equal(values(source), before)
    again = engine.step(*sources, engine.step(*sources, None))
    np.testing.assert_array_equal(values(again.image), values(second.image))
    np.testing.assert_array_equal(values(again.hidden), values(second.hidden))
    assert not np.array_equal(values(second.image), image)


def test_memory_is_as_stated(make):
    engine = make(width=17, height=10)
    source = engine.upload(rgb(1, 10, 17)[0], FULL_RGB)
    state = engine.step(source, source, source, None)
    assert held(source) == engine.source_bytes
    assert held(state.image) + held(state.hidden) == engine.state_bytes
    assert values(state.image).shape == (1, 48, 12, 20)


def test_planes_may_be_strided_and_read_only(make):
    engine = make()
    wide = np.random.default_rng(0).random((3, 12, 32), np.float32)
    planes = list(wide[:, :, :16])
    for plane in planes:
        plane.flags.writeable = False
    plain = engine.upload([plane.copy() for plane in planes], FULL_RGB)
    strided = engine.upload(planes, FULL_RGB)
    wide[:] = 0  # what was uploaded does not hang on the planes
    np.testing.assert_array_equal(values(strided), values(plain))
    dense = [plane.copy() for plane in planes]
    source = engine.upload(dense, FULL_RGB)
    before = values(source)
    for plane in dense:
        plane[:] = 1
    np.testing.assert_array_equal(values(source), before)
    state = engine.step(plain, plain, plain, None)
    out, large = np.empty((3, 48, 64), np.float32), np.zeros((3, 48, 96), np.float32)
    engine.write(state, list(out), FULL_RGB)
    engine.write(state, list(large[:, :, :64]), FULL_RGB)
    np.testing.assert_array_equal(large[:, :, :64], out)
    assert not large[:, :, 64:].any()


def test_the_colour_may_change_from_frame_to_frame(make):
    engine = make(source=YUV420P10, target=YUV420P10)
    planes = [np.full(s, 300, np.uint16) for s in YUV420P10.shapes(12, 16)]
    other = Colour(Matrix.ST170_M, full=True, chroma=ChromaLocation.TOP)
    first = values(engine.upload(planes, BT709))
    assert not np.array_equal(values(engine.upload(planes, other)), first)
    np.testing.assert_array_equal(values(engine.upload(planes, BT709)), first)


def replace_step(monkeypatch, engine, call):
    if isinstance(engine, OnnxEngine):
        sessions = dataclasses.replace(engine._sessions, step=call)
        monkeypatch.setattr(engine, "_sessions", sessions)
    else:
        monkeypatch.setattr(
            engine, "_step" if isinstance(engine, (NcnnEngine, NativeEngine)) else "_residual", call
        )


@pytest.mark.parametrize(
    "error",
    [RuntimeError("std::bad_alloc"), MemoryError(), RuntimeError("Failed to allocate memory")],
)
def test_out_of_memory_says_what_would_help(make, monkeypatch, error):
    engine = make()
    (source,) = [engine.upload(planes, FULL_RGB) for planes in rgb(1)]

    def fail(*_, **__):
        raise error

    replace_step(monkeypatch, engine, fail)
    with pytest.raises(EngineError, match="out of memory on cpu at 16x12; lower cache="):
        engine.step(source, source, source, None)


def test_other_errors_stay_as_they_are(make, monkeypatch):
    engine = make()
    (source,) = [engine.upload(planes, FULL_RGB) for planes in rgb(1)]
    replace_step(monkeypatch, engine, lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        engine.step(source, source, source, None)


def test_closing_frees_the_engine(make):
    engine = make()
    source = engine.upload(rgb(1)[0], FULL_RGB)
    state = engine.step(source, source, source, None)
    engine.close()
    assert np.isfinite(values(state.image)).all()  # what is kept outlives the engine
    with pytest.raises(AttributeError):
        engine.step(source, source, source, None)


WITHOUT_TORCH = """
import sys
sys.modules["torch"] = None  # importing it fails
import numpy as np
from vsanimesr.colour import FULL_RGB
from vsanimesr.engines import Setup
from {module} import {engine}
from vsanimesr.models import parameter_shapes
tensors = {{name: np.zeros(s, np.float32) for name, s in parameter_shapes().items()}}
engine = {engine}(tensors, Setup(width=8, height=4, precision="fp32"))
planes = [np.full((4, 8), 0.5, np.float32)] * 3
source = engine.upload(planes, FULL_RGB)
made = [np.empty((16, 32), np.float32) for _ in range(3)]
engine.write(engine.step(source, source, source, None), made, FULL_RGB)
assert all((plane == 0.5).all() for plane in made)  # the enlarged frame, nothing added
engine.close()
"""


@pytest.mark.parametrize("name", ENGINES)
def test_torch_is_not_needed_and_nothing_is_printed(name):
    module, engine = BACKENDS[name].engine
    code = WITHOUT_TORCH.format(module=module, engine=engine)
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert said.returncode == 0, said.stderr
    assert said.stdout == ""


def test_onnx_gives_the_same_bytes_with_any_number_of_threads(fixed_weights, monkeypatch):
    found = []
    for threads in (1, 2, 3):
        monkeypatch.setattr(session, "_cores", lambda threads=threads: threads)
        of = setup(width=64, height=48, source=RGB24, target=YUV420P10)
        engine = OnnxEngine(fixed_weights, of)
        frame = [np.arange(3072, dtype=np.uint32).reshape(48, 64).astype(np.uint8)] * 3
        source = engine.upload(frame, Colour(Matrix.RGB, full=True))
        state = engine.step(source, source, source, None)
        planes = [np.empty(s, np.uint16) for s in YUV420P10.shapes(192, 256)]
        engine.write(state, planes, BT709)
        found.append((values(state.image).tobytes(), [plane.tobytes() for plane in planes]))
    assert found[0] == found[1] == found[2]


def test_onnx_in_fp16_keeps_fp16(fixed_weights):
    half, full = (OnnxEngine(fixed_weights, setup(precision=p)) for p in ("fp16", "fp32"))
    pairs = zip(*(render(e, rgb(3), RGBS, RGBS, 12, 16) for e in (half, full)), strict=True)
    for ours, theirs in pairs:
        assert -10 * np.log10(np.mean((np.array(ours) - np.array(theirs)) ** 2)) > 50
    source = half.upload(rgb(1)[0], FULL_RGB)
    assert values(source).dtype == np.float16
    state = half.step(source, source, source, None)
    assert values(state.hidden).dtype == np.float16
    assert half.state_bytes == full.state_bytes // 2


def test_the_engines_say_what_they_are(fixed_weights):
    described = OnnxEngine(fixed_weights, setup(device="auto")).description
    assert described == f"onnxruntime {ort.__version__}, cpu, fp32"
    described = OpenVinoEngine(fixed_weights, setup(device="auto")).description
    assert described.startswith("openvino 20")
    assert described.endswith(", cpu, fp32")


@pytest.mark.parametrize("name", BANDED)
def test_the_same_bytes_with_any_number_of_threads(fixed_weights, monkeypatch, name):
    """Frames of several bands, which threads take in turn."""
    made, module, step = BANDED[name]
    monkeypatch.setattr(step, "BAND", 512)
    found = []
    for threads in (1, 2, 5):
        monkeypatch.setattr(module, "cores", lambda threads=threads: threads)
        engine = made(fixed_weights, setup(width=64, height=48))
        for planes in render(engine, rgb(3, 48, 64), RGBS, RGBS, 48, 64):
            found.append([plane.tobytes() for plane in planes])
        engine.close()
    assert found[:3] == found[3:6] == found[6:]


@pytest.mark.parametrize("name", BANDED)
@pytest.mark.parametrize("band", [64, 300, 512])
def test_where_bands_are_cut_does_not_show(fixed_weights, monkeypatch, name, band):
    """Bands of some rows of a map; the whole frame is one band, or a few."""
    made, _, step = BANDED[name]
    whole = made(fixed_weights, setup(width=36, height=60))
    expected = list(render(whole, rgb(3, 60, 36), RGBS, RGBS, 60, 36))
    for limit in ("BAND", "FUSED"):
        if limit == "BAND" or name == "native":
            monkeypatch.setattr(step, limit, band)
    cut = made(fixed_weights, setup(width=36, height=60))
    for ours, wanted in zip(render(cut, rgb(3, 60, 36), RGBS, RGBS, 60, 36), expected, strict=True):
        np.testing.assert_allclose(ours, wanted, atol=3e-5)


@pytest.mark.parametrize("name", BANDED)
def test_fp32_on_the_cpu_is_offered(fixed_weights, name):
    made, *_ = BANDED[name]
    with pytest.raises(EngineError, match=f"device=cuda, but backend={name} runs on the cpu only"):
        made(fixed_weights, setup(device="cuda"))
    wanted = f"precision=bf16 is not offered by backend={name}: use fp32"
    with pytest.raises(EngineError, match=wanted):
        made(fixed_weights, setup(precision="bf16"))
    described = made(fixed_weights, setup(device="auto", precision="auto")).description
    runtime = {"ncnn": f"ncnn {ncnn.__version__}, cpu", "native": native_engine.runtime()}[name]
    assert described == f"{runtime}, fp32"


def test_native_gives_the_same_bytes_with_narrow_and_wide_vectors(fixed_weights, monkeypatch):
    """Each sum has the same terms in the same order, however many are added up at a time."""
    if not processor.has_avx512():
        pytest.skip("this CPU has no AVX512")
    found = []
    for cap in ("AVX512_CORE", "AVX2"):
        monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", cap)
        engine = NativeEngine(fixed_weights, setup(width=36, height=28))
        assert ("AVX512" in engine.description) == (cap == "AVX512_CORE")
        (last,) = list(render(engine, rgb(2, 28, 36), RGBS, RGBS, 28, 36))[1:]
        found.append([plane.tobytes() for plane in last])
    assert found[0] == found[1]


def test_native_without_its_kernels(fixed_weights, monkeypatch, tmp_path):
    """No library, one without kernels (of an older version), a processor that is too old."""
    library.found.cache_clear()
    monkeypatch.setattr(library, "_path", lambda: tmp_path / "libanimesr.so")
    try:
        wanted = "backend=native, but its kernels are not there .*libanimesr.so: .*: pip install"
        with pytest.raises(EngineError, match=wanted):
            NativeEngine(fixed_weights, setup())
        assert not BACKENDS["native"].installed
        (tmp_path / "libanimesr.so").write_bytes(Path(ncnn.__file__).read_bytes()[:100])
        with pytest.raises(EngineError, match=r"its kernels are not there \(.*libanimesr.so: "):
            NativeEngine(fixed_weights, setup())
        monkeypatch.setattr(library, "has_fma", lambda: False)
        with pytest.raises(EngineError, match="backend=native wants a processor with AVX2 and FMA"):
            NativeEngine(fixed_weights, setup())
    finally:
        library.found.cache_clear()


@pytest.mark.skipif(not BF16, reason="this CPU does not multiply bf16")
@pytest.mark.weights
def test_openvino_in_bf16_is_as_near_as_torch_in_bf16(released):
    """The image keeps its 32 bits: with the last addition in bf16 it would be 8 dB worse."""
    golden = np.load(GOLDEN)["input"]
    frames = [list(frame.transpose(2, 0, 1)) for frame in golden]
    tensors = weights.read(released["v2"])
    options = {"width": 64, "height": 48, "source": RGB24}
    both = [setup(precision=p, **options) for p in ("fp32", "bf16")]
    engines = [OpenVinoEngine(tensors, of) for of in both] + [TorchEngine(tensors, both[1])]
    for planes in zip(*(render(e, frames, RGB24, RGBS, 48, 64) for e in engines), strict=True):
        wanted, ours, torchs = (np.array(image) for image in planes)
        ours, torchs = (-10 * np.log10(np.mean((x - wanted) ** 2)) for x in (ours, torchs))
        assert ours > 58
        assert ours > torchs - 3


class Core:
    def __init__(self, able):
        self.said = {"OPTIMIZATION_CAPABILITIES": able}

    def get_property(self, device, name):
        assert device == "CPU"
        return self.said[name]


def test_openvino_takes_bf16_only_where_the_cpu_multiplies_it(monkeypatch):
    able, plain = Core(["FP32", "BF16"]), Core(["FP32"])
    monkeypatch.setattr(openvino, "processor", lambda: "amx")
    monkeypatch.setattr(openvino, "precision_on_cpu", lambda name: "bf16")
    assert pick_precision("auto", able) == pick_precision("bf16", able) == "bf16"
    assert pick_precision("auto", plain) == pick_precision("fp32", able) == "fp32"
    monkeypatch.setattr(openvino, "processor", lambda: "avx2")
    capped = "a cap on oneDNN, which the runtime's word does not heed"
    assert pick_precision("auto", able) == "fp32", capped
    with pytest.raises(EngineError, match="this CPU does not multiply bf16: use fp32"):
        pick_precision("bf16", plain)
    for name in ("fp16", "tf32", "int8"):
        with pytest.raises(EngineError, match=f"precision={name} is not offered by backend=openv"):
            pick_precision(name, able)


def test_openvino_runs_on_the_cpu_only(fixed_weights):
    with pytest.raises(EngineError, match="device=cuda, but backend=openvino runs on the cpu only"):
        OpenVinoEngine(fixed_weights, setup(device="cuda"))
    assert set(PRECISIONS) == {"fp32", "bf16"}


FREED_ELSEWHERE = """
import gc, os, signal, threading
import numpy as np
from vsanimesr.engines import Setup
from vsanimesr.engines.openvino import OpenVinoEngine
from vsanimesr.models import parameter_shapes
weights = {name: np.zeros(shape, np.float32) for name, shape in parameter_shapes().items()}
engines = [OpenVinoEngine(weights, Setup(width=16, height=12, precision="fp32"))]
def free():
    engines.clear()
    gc.collect()
thread = threading.Thread(target=free)
thread.start()
thread.join()
signal.signal(signal.SIGTERM, lambda *_: print("handled"))
os.kill(os.getpid(), signal.SIGTERM)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no signals between processes")
def test_signals_find_their_stack_after_a_node_was_freed_by_another_thread():
    done = subprocess.run(
        [sys.executable, "-c", FREED_ELSEWHERE],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "handled\n"), done.stderr
