"""Which providers run the network: never another one in silence. No GPU is needed."""

import ctypes
import logging
import os
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import onnxruntime as ort
import pytest

from vsanimesr.engines import Setup, cuda_device, vulkan_device
from vsanimesr.engines.cuda_device import CudaDevice
from vsanimesr.engines.onnx import webgpu
from vsanimesr.engines.onnx.builder import Builder
from vsanimesr.engines.onnx.engine import OnnxEngine
from vsanimesr.engines.onnx.providers import (
    NAMES,
    NO_TF32,
    Choice,
    choose,
    pick_precision,
    settings,
    step_settings,
)
from vsanimesr.engines.onnx.session import Place, Session
from vsanimesr.engines.vulkan_device import VulkanDevice
from vsanimesr.errors import EngineError

GPU = CudaDevice("RTX", (8, 9), 2**33)
CPU_ONLY, ALL = [NAMES["cpu"]], [NAMES[name] for name in ("cpu", "cuda", "tensorrt")]
WEBGPU = [NAMES["cpu"], NAMES["webgpu"]]


def test_nothing_is_told_to_the_makers_of_the_runtime(tmp_path):
    """Nor is anything left in TMPDIR, where onnxruntime 1.32 notes its session."""
    environment = {k: v for k, v in os.environ.items() if k != "ORT_DISABLE_TELEMETRY"}
    code = "import os, vsanimesr.engines.onnx.session; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    said = subprocess.run(
        [sys.executable, "-c", code],
        env=environment | {"TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout == "1\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("providers", "device", "available", "gpus", "expected"),
    [
        ("", "auto", CPU_ONLY, [], Choice(("cpu",))),
        ("", "auto", CPU_ONLY, [GPU], Choice(("cpu",))),
        ("", "auto", ALL, [], Choice(("cpu",))),
        ("", "auto", ALL, [GPU], Choice(("cuda",))),
        ("", "cpu", ALL, [GPU], Choice(("cpu",))),
        ("", "cuda:1", ALL, [GPU, GPU], Choice(("cuda",), 1)),
        ("cuda", "auto", ALL, [GPU], Choice(("cuda",))),
        ("cuda,cpu", "cuda", ALL, [GPU], Choice(("cuda",))),
        (" TensorRT, cuda ", "auto", ALL, [GPU], Choice(("tensorrt", "cuda"))),
        ("tensorrt", "auto", ALL, [GPU], Choice(("tensorrt", "cuda"))),
        ("cpu", "auto", ALL, [GPU], Choice(("cpu",))),
    ],
)
def test_choice(providers, device, available, gpus, expected):
    assert choose(providers, device, available, gpus, lambda: False) == expected


@pytest.mark.parametrize(
    ("providers", "device", "available", "gpus", "real", "expected"),
    [
        ("", "auto", WEBGPU, [], True, "webgpu"),
        ("", "auto", WEBGPU, [], False, "cpu"),  # a software device is taken only when named
        ("", "auto", [*ALL, NAMES["webgpu"]], [GPU], True, "cuda"),
        ("", "auto", WEBGPU, [GPU], True, "webgpu"),  # and no CUDA in the runtime
        ("", "cpu", WEBGPU, [], True, "cpu"),
        ("", "webgpu", WEBGPU, [], False, "webgpu"),
        ("webgpu", "auto", WEBGPU, [], False, "webgpu"),
        ("webgpu,cpu", "webgpu", WEBGPU, [], False, "webgpu"),
    ],
)
def test_webgpu_is_taken_unasked_only_where_there_is_a_gpu(
    providers, device, available, gpus, real, expected
):
    choice = choose(providers, device, available, gpus, lambda: real)
    assert choice == Choice((expected,))
    assert choice.device == expected


@pytest.mark.parametrize(
    ("providers", "device", "available", "gpus", "match"),
    [
        (
            "rocm",
            "auto",
            ALL,
            [GPU],
            "providers=rocm, wanted names out of cpu, cuda, tensorrt, web",
        ),
        ("cuda", "auto", CPU_ONLY, [], r"provider cuda: the installed .* only cpu: pip uninstall"),
        ("", "cuda", CPU_ONLY, [GPU], r"onnx-gpu"),
        ("tensorrt", "auto", ALL[:2], [GPU], r"provider tensorrt: .* only cpu, cuda: .*TensorRT"),
        ("cuda", "auto", ALL, [], "providers=cuda want GPU cuda:0, but there is none"),
        ("", "cuda:1", ALL, [GPU], "want GPU cuda:1, but there are 1 CUDA devices"),
        ("cuda", "cpu", ALL, [GPU], "providers=cuda and device=cpu contradict each other"),
        ("cpu", "cuda", ALL, [GPU], "providers=cpu and device=cuda contradict each other"),
        (
            "webgpu",
            "auto",
            ALL,
            [GPU],
            r"provider webgpu: the .* only cpu, cuda, tensorrt: pip inst",
        ),
        ("", "webgpu", CPU_ONLY, [], r"provider webgpu: .* pip install onnxruntime-ep-webgpu"),
        ("webgpu", "cuda", WEBGPU, [GPU], "providers=webgpu and device=cuda contradict each other"),
        ("cpu", "webgpu", WEBGPU, [], "providers=cpu and device=webgpu contradict each other"),
        ("webgpu,cuda", "auto", ALL, [GPU], "providers=webgpu,cuda: webgpu goes with no other"),
        ("", "webgpu:1", WEBGPU, [], "device=webgpu:1, wanted"),
        ("", "gpu", ALL, [GPU], "device=gpu, wanted auto, cpu, cuda, cuda:N or webgpu"),
        ("", "cuda:", ALL, [GPU], "device=cuda:, wanted"),
        ("", "cpu:0", ALL, [GPU], "device=cpu:0, wanted"),
    ],
)
def test_what_cannot_be_had_is_an_error(providers, device, available, gpus, match):
    with pytest.raises(EngineError, match=match):
        choose(providers, device, available, gpus, lambda: False)


@pytest.mark.parametrize(
    ("names", "capability", "half", "expected"),
    [
        (("cpu",), (0, 0), True, "fp32"),
        (("cuda",), (6, 1), False, "fp32"),
        (("cuda",), (6, 1), True, "fp16"),
        (("cuda",), (7, 0), False, "fp16"),
        (("tensorrt", "cuda"), (6, 1), False, "fp16"),
        (("webgpu",), (0, 0), True, "fp32"),
    ],
)
def test_precision_chosen(names, capability, half, expected):
    assert pick_precision("auto", Choice(names), capability, half) == expected


@pytest.mark.parametrize(
    ("first", "offered", "refused"),
    [
        ("cpu", ("fp32", "fp16"), ("tf32", "bf16")),
        ("cuda", ("fp32", "tf32", "fp16"), ("bf16",)),
        ("tensorrt", ("tf32", "fp16"), ("fp32", "bf16")),
        ("webgpu", ("fp32", "fp16"), ("tf32", "bf16")),
    ],
)
def test_precision_offered(monkeypatch, first, offered, refused):
    monkeypatch.delenv(NO_TF32, raising=False)
    choice = Choice((first,))
    for name in offered:
        assert pick_precision(name, choice, (8, 0), half=False) == name
    for name in refused:
        with pytest.raises(EngineError, match=f"precision={name} is not offered by .* {first}: us"):
            pick_precision(name, choice, (8, 0), half=False)


def test_tensorrt_multiplies_32_bits_only_where_tf32_is_off(monkeypatch):
    choice = Choice(("tensorrt", "cuda"))
    monkeypatch.setenv(NO_TF32, "0")
    assert pick_precision("fp32", choice, (8, 0), half=False) == "fp32"
    monkeypatch.delenv(NO_TF32)
    with pytest.raises(EngineError, match="or set NVIDIA_TF32_OVERRIDE=0 in the environment"):
        pick_precision("fp32", choice, (8, 0), half=False)


def test_cuda_neither_tunes_by_timing_nor_rounds_unasked():
    for precision, tf32 in [("fp32", "0"), ("fp16", "0"), ("tf32", "1")]:
        ((name, options),) = settings(Choice(("cuda",), 2), precision)
        assert name == "CUDAExecutionProvider"
        assert options["use_tf32"] == tf32
        assert options["cudnn_conv_algo_search"] == "HEURISTIC"
        assert options["device_id"] == "2"


def test_tensorrt_keeps_an_engine_for_each_thing_it_depends_on(monkeypatch, tmp_path):
    monkeypatch.setenv("VSANIMESR_CACHE", str(tmp_path))

    def folder(graph=b"graph", precision="fp16", size=(4, 8), gpu=GPU):
        found = step_settings(Choice(("tensorrt", "cuda")), precision, graph, size, gpu)
        assert [name for name, _ in found] == [NAMES["tensorrt"], NAMES["cuda"]]
        assert found[0][1]["trt_fp16_enable"] == str(precision == "fp16")
        return found[0][1]["trt_engine_cache_path"]

    assert folder() == folder()
    assert folder().startswith(str(tmp_path / "tensorrt"))
    other = CudaDevice("other", (8, 9), 2**33)
    variants = [folder(b"x"), folder(precision="tf32"), folder(size=(8, 4)), folder(gpu=other)]
    assert len({folder(), *variants}) == 5
    monkeypatch.setattr("vsanimesr.engines.onnx.providers._versions", lambda: ["another"])
    assert folder() not in variants
    (tmp_path / "file").touch()
    monkeypatch.setenv("VSANIMESR_CACHE", str(tmp_path / "file"))
    with pytest.raises(EngineError, match="TensorRT's engine cannot be kept there"):
        folder()


class Dropping:
    """A session that leaves out what it cannot start, as ONNX Runtime's do."""

    made: list = []  # noqa: RUF012

    def __init__(self, graph, options, *, providers, enable_fallback, **others):
        self.made.append((providers, enable_fallback))

    def disable_fallback(self):
        pass

    def get_providers(self):
        return [NAMES["cpu"]]


@pytest.fixture
def gpu_without_libraries(monkeypatch):
    """A GPU and a runtime for it, whose provider cannot be started."""
    monkeypatch.setattr(ort, "get_available_providers", lambda: ALL)
    monkeypatch.setattr("vsanimesr.engines.onnx.engine.devices", lambda: [GPU])
    real = ort.InferenceSession

    def session(graph, options, *, providers, **others):
        kind = real if providers[0][0] == NAMES["cpu"] else Dropping
        return kind(graph, options, providers=providers, **others)

    monkeypatch.setattr(ort, "InferenceSession", session)
    monkeypatch.setattr(ort, "preload_dlls", lambda: print("cannot load libcudnn"))


def setup(device):
    return Setup(width=8, height=4, device=device, precision="fp32")


@pytest.mark.parametrize(("providers", "device"), [("cuda", "auto"), ("", "cuda")])
def test_a_dropped_provider_is_an_error(
    gpu_without_libraries, fixed_weights, providers, device, capsys
):
    with pytest.raises(EngineError, match=r"provider cuda: .* could not start it, .*onnx-gpu"):
        OnnxEngine(fixed_weights, setup(device), providers=providers)
    assert Dropping.made[-1][1] == 0  # no fallback by the runtime either
    assert capsys.readouterr().out == ""  # standard output may be a stream of video


def test_nobody_asked_for_a_gpu_that_does_not_start(gpu_without_libraries, fixed_weights, caplog):
    with caplog.at_level(logging.WARNING, "vsanimesr"):
        engine = OnnxEngine(fixed_weights, setup("auto"))
    assert engine.description == f"onnxruntime {ort.__version__}, cpu, fp32"
    assert "on the cpu instead of the GPU: provider cuda" in caplog.text


def test_a_provider_that_fails_is_an_error(monkeypatch, gpu_without_libraries):
    def fail(*_, **__):
        raise RuntimeError("CUDA failure 35")

    monkeypatch.setattr(ort, "InferenceSession", fail)
    with pytest.raises(EngineError, match="cannot set up CUDAExecutionProvider: CUDA failure 35"):
        Session(b"", settings(Choice(("cuda",)), "fp32"), Place("cuda"))


def test_the_runtime_itself_drops_in_silence():
    """What `Dropping` stands for: a session is made all the same, and only its list tells."""
    builder, dtype = Builder(), np.dtype(np.float32)
    builder.output(builder.input("x", dtype, (1,)), "y", dtype, (1,))
    graph = builder.model("probe", "").SerializeToString()
    (made,) = Session(graph, [(NAMES["cpu"], {})], Place())({"x": np.ones(1, np.float32)})
    assert made.numpy() == [1]
    with (
        pytest.warns(UserWarning, match="not in available provider names"),
        pytest.raises(EngineError, match=r"provider cuda: onnxruntime .* could not start it"),
    ):
        Session(graph, [(NAMES["cuda"], {})], Place())


class Driver:
    """CUDA's driver API with one GPU."""

    def __init__(self, status=0):
        self.status = status

    def cuInit(self, flags):  # noqa: N802
        return self.status

    def cuDeviceGetCount(self, count):  # noqa: N802
        count._obj.value = 1
        return 0

    def cuDeviceGet(self, handle, index):  # noqa: N802
        return 0

    def cuDeviceGetName(self, name, size, handle):  # noqa: N802
        name.value = b"RTX"

    def cuDeviceTotalMem_v2(self, memory, handle):  # noqa: N802
        memory._obj.value = 2**33

    def cuDeviceGetAttribute(self, value, attribute, handle):  # noqa: N802
        value._obj.value = {75: 8, 76: 9}[attribute]


def test_facts_of_a_gpu(monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda _: Driver())
    assert cuda_device.devices() == [GPU]
    monkeypatch.setattr(ctypes, "CDLL", lambda _: Driver(status=100))
    assert cuda_device.devices() == []

    def missing(_):
        raise OSError("libcuda.so.1: cannot open shared object file")

    monkeypatch.setattr(ctypes, "CDLL", missing)
    assert cuda_device.devices() == []


def test_out_of_memory_on_a_gpu_names_it(fixed_weights):
    engine = OnnxEngine(fixed_weights, setup("cpu"))
    engine._gpu, engine._place = GPU, Place("cuda", 1)
    said = engine._advice()
    assert said.startswith("out of memory on cuda:1 at 8x4 (8192 MB in all); lower cache=")
    assert "use precision='fp16', use device='cpu'" in said


# WebGPU: where it comes from, and what there is for it. tests/test_webgpu.py runs it.


class Plugin:
    """A runtime that the plug-in is for, with the hardware it lists."""

    def __init__(self, monkeypatch, *hardware, takes=True):
        self.registered, self.hardware, self.takes = False, hardware, takes
        webgpu._register.cache_clear()
        monkeypatch.setattr(webgpu, "plugged", lambda: True)
        module = SimpleNamespace(get_library_path=lambda: "plugin.so")
        monkeypatch.setitem(sys.modules, webgpu.PLUGIN, module)
        monkeypatch.setattr(ort, "get_available_providers", self.available)
        monkeypatch.setattr(ort, "register_execution_provider_library", self.register)
        monkeypatch.setattr(ort, "get_ep_devices", lambda: self.hardware)

    def available(self):
        return WEBGPU if self.registered and self.hardware else CPU_ONLY

    def register(self, name, path):
        assert path == "plugin.so"
        assert not self.registered
        if not self.takes:
            raise RuntimeError("API version 27 is not available")
        self.registered = True


def listed(**metadata):
    kind = ort.OrtHardwareDeviceType.GPU
    device = SimpleNamespace(type=kind, metadata=metadata)
    return SimpleNamespace(ep_name=NAMES["webgpu"], device=device)


@pytest.fixture
def vulkan(monkeypatch):
    monkeypatch.setattr(sys, "platform", "linux")
    yield lambda *known: monkeypatch.setattr(vulkan_device, "devices", lambda: list(known))
    webgpu._register.cache_clear()


ARC, PIPE = VulkanDevice("Arc", software=False), VulkanDevice("llvmpipe", software=True)


@pytest.mark.parametrize(
    ("hardware", "known", "expected"),
    [
        ([listed()], [PIPE, ARC], True),
        ([listed()], [PIPE], False),  # a display adapter that nothing computes on
        ([listed()], [], False),
        ([listed(is_virtual="1")], [ARC], False),
        ([], [ARC], False),
    ],
)
def test_a_gpu_is_what_the_runtime_lists_and_vulkan_knows(
    monkeypatch, vulkan, hardware, known, expected
):
    Plugin(monkeypatch, *hardware)
    vulkan(*known)
    assert webgpu.gpu() is expected
    assert webgpu.device_name() == (ARC.name if ARC in known else PIPE.name if known else "GPU")


def test_elsewhere_the_runtimes_list_is_enough(monkeypatch, vulkan):
    Plugin(monkeypatch, listed())
    monkeypatch.setattr(sys, "platform", "win32")
    assert webgpu.gpu()


def test_the_plugin_is_registered_once_and_only_if_there(monkeypatch, vulkan):
    plugin = Plugin(monkeypatch, listed())
    for _ in range(2):
        webgpu.register(wanted=True)
    assert plugin.registered
    plugin = Plugin(monkeypatch, listed())
    monkeypatch.setattr(webgpu, "plugged", lambda: False)
    webgpu.register(wanted=True)
    assert not plugin.registered


def test_a_plugin_that_is_not_taken_or_finds_nothing(monkeypatch, vulkan):
    vulkan(PIPE)
    Plugin(monkeypatch)
    webgpu.register()
    match = "finds no GPU here; Vulkan sees no GPU, only llvmpipe: install the GPU's Vulkan driver"
    with pytest.raises(EngineError, match=match):
        webgpu.register(wanted=True)
    Plugin(monkeypatch, listed(), takes=False)
    webgpu.register()
    with pytest.raises(EngineError, match=r"version 27 .*: pip install --upgrade onnxruntime onn"):
        webgpu.register(wanted=True)


def test_why_there_is_no_device(monkeypatch, vulkan):
    monkeypatch.setattr(ort, "get_available_providers", lambda: WEBGPU)
    vulkan()
    assert webgpu.why_none().startswith("Vulkan sees no device: install its loader and the GPU's")
    vulkan(ARC)
    assert webgpu.why_none() == "Vulkan sees Arc, which WebGPU does not take: update its driver"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert webgpu.why_none() == "update the GPU's driver"
    monkeypatch.setattr(ort, "get_available_providers", lambda: CPU_ONLY)
    monkeypatch.setattr(webgpu, "plugged", lambda: False)
    assert webgpu.why_none() == "neither onnxruntime-webgpu nor onnxruntime-ep-webgpu is installed"


def test_vulkan_that_is_not_there(monkeypatch):
    def missing(_):
        raise OSError("libvulkan.so.1: cannot open shared object file")

    monkeypatch.setattr(ctypes, "CDLL", missing)
    assert vulkan_device.devices() == []
