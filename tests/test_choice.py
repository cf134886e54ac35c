"""What `auto` takes: the rule over made-up machines, and what is looked at on this one."""

import itertools
import sys

import pytest

from vsanimesr import engines
from vsanimesr.engines import BACKENDS, Setup, choice, processor
from vsanimesr.engines.choice import FIGURES, TIE, Choice, Machine, choose
from vsanimesr.engines.processor import KINDS, kind
from vsanimesr.errors import EngineError

ALL = frozenset(BACKENDS)


def machine(kind="avx2", installed=ALL, gpu=""):
    return Machine(processor=kind, installed=frozenset(installed), gpu=gpu)


def pair(*args, **kwargs):
    found = choose(*args, **kwargs)
    return found.backend, found.precision


@pytest.fixture
def figures(monkeypatch):
    """Figures of one kind of CPU."""

    def put(**ms):
        table = {tuple(name.split("_")): value for name, value in ms.items()}
        monkeypatch.setattr(choice, "FIGURES", {"avx2": table})

    return put


def test_the_fastest_is_taken(figures):
    figures(torch_bf16=100, openvino_bf16=90, torch_fp32=200)
    found = choose(machine())
    assert (found.backend, found.precision) == ("openvino", "bf16")
    assert pair(machine(), needs=frozenset({"strips"})) == ("torch", "bf16"), "it has no strips"
    assert found.why == "90 ms a step on a CPU with AVX2; torch bf16 100, torch fp32 200"
    assert pair(machine(installed=["torch"])) == ("torch", "bf16")


def test_at_equal_speed_fp32_is_taken(figures):
    figures(torch_bf16=100, onnx_fp32=100 * TIE - 0.1, torch_fp32=103)
    assert pair(machine()) == ("onnx", "fp32"), "of two that are equal the one that stands first"
    figures(torch_bf16=100, torch_fp32=100 * TIE + 0.1)
    assert pair(machine()) == ("torch", "bf16")


def test_what_is_asked_for_is_kept(figures):
    figures(torch_bf16=100, openvino_bf16=90, torch_fp32=200, openvino_fp32=210)
    assert pair(machine(), backend="torch") == ("torch", "bf16")
    assert pair(machine(), precision="fp32") == ("torch", "fp32")
    assert pair(machine(), backend="openvino", precision="fp32") == ("openvino", "fp32")
    assert pair(machine(), needs=frozenset({"providers"})) == ("onnx", "auto")


def test_what_was_not_measured_comes_last(figures):
    figures(onnx_fp32=None, torch_fp32=500)
    assert pair(machine()) == ("torch", "fp32")
    figures(onnx_fp32=None, torch_fp32=None)
    found = choose(machine())
    assert (found.backend, found.precision) == ("onnx", "fp32")
    assert found.why == "nothing was measured yet on a CPU with AVX2"


def test_with_nothing_installed_torch_says_what_is_missing():
    assert pair(machine(installed=[])) == ("torch", "auto")
    assert pair(machine(installed=["torch"]), backend="onnx") == ("onnx", "auto")


@pytest.mark.parametrize(
    ("installed", "asked", "wanted"),
    [
        (ALL, {"device": "cuda:1"}, ("torch", "auto")),
        (["onnx", "openvino"], {"device": "cuda"}, ("onnx", "auto")),
        (["openvino"], {"device": "cuda"}, ("torch", "auto")),
        (ALL, {"device": "webgpu"}, ("onnx", "auto")),
        (["torch"], {"device": "webgpu"}, ("onnx", "auto")),
        (ALL, {"device": "mps"}, ("torch", "auto")),
        (ALL, {"device": "xpu:1", "precision": "fp16"}, ("torch", "fp16")),
        (ALL, {"device": "cuda", "backend": "openvino"}, ("openvino", "auto")),
    ],
)
def test_a_gpu_that_is_named(installed, asked, wanted):
    """A backend that cannot run there is left to say so."""
    assert pair(machine(installed=installed), **asked) == wanted


def test_a_gpu_that_is_there():
    assert pair(machine(gpu="cuda")) == ("torch", "auto")
    assert pair(machine("avx2", ["openvino"], "cuda"))[0] == "openvino"
    assert pair(machine(gpu="webgpu")) == ("onnx", "auto")
    assert pair(machine(gpu="webgpu"), device="cpu")[0] != "onnx"
    assert pair(machine(gpu="webgpu"), precision="bf16")[1] == "bf16", "WebGPU has none: the CPU's"


def test_every_kind_of_processor_has_an_answer():
    """For each kind and each set of backends, what is taken is installed, and keeps 50 dB."""
    assert FIGURES.keys() == KINDS.keys()
    for name, count in itertools.product(KINDS, range(1, len(BACKENDS) + 1)):
        for installed in itertools.combinations(BACKENDS, count):
            backend, precision = pair(machine(name, installed), device="cpu")
            assert backend in installed
            assert precision in ("fp32", "bf16")


@pytest.mark.parametrize(
    ("architecture", "features", "found"),
    [
        ("x86_64", {"avx2", "fma"}, "avx2"),
        ("amd64", {"sse4_2"}, "avx2"),
        ("x86_64", {"avx2", "avx512f", "avx512bw", "avx512_vnni"}, "avx512"),
        ("x86_64", {"avx512bw", "avx512_bf16"}, "avx512_bf16"),
        ("x86_64", {"avx512bw", "avx512_bf16", "amx_bf16", "amx_tile"}, "amx"),
        ("aarch64", {"asimd", "bf16"}, "arm"),
        ("arm64", set(), "arm"),
    ],
)
def test_kinds_of_processors(architecture, features, found):
    assert kind(architecture, frozenset(features)) == found


def test_a_cap_is_heeded(monkeypatch):
    monkeypatch.setattr(processor, "_features", lambda: frozenset({"avx512bw", "avx512_bf16"}))
    monkeypatch.setattr(processor.platform, "machine", lambda: "x86_64")
    for cap, found in (
        ("", "avx512_bf16"),
        ("ALL", "avx512_bf16"),
        ("AVX512_CORE_AMX", "avx512_bf16"),
        ("avx512_core_vnni", "avx512"),
        ("AVX2", "avx2"),
    ):
        monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", cap)
        assert processor.processor() == found


def test_this_machine_is_looked_at():
    found = choice.here("cpu")
    assert found.processor in KINDS
    assert found.installed
    assert not found.gpu


def test_load_takes_what_is_chosen(fixed_weights, monkeypatch):
    """Both where `auto` is the backend, and where only the precision is open."""
    monkeypatch.setattr(engines, "chosen", lambda **_: Choice("openvino", "fp32", ""))
    engine = engines.load("auto", fixed_weights, Setup(width=4, height=4, device="cpu"))
    assert engine.description.startswith("openvino")
    assert engine.description.endswith("fp32")
    engine.close()


@pytest.mark.parametrize(
    "error",
    [EngineError("does not fit"), ImportError("libcuda"), OSError(5, "damaged"), Exception("old")],
)
def test_a_package_that_does_not_fit_is_no_gpu(monkeypatch, error):
    """Whatever it raises: protobuf, of another version than onnx wants, has errors of its own."""
    from vsanimesr.engines.onnx import webgpu

    def unfit():
        raise error

    seen = [choice.vulkan_device.VulkanDevice("card", software=False)]
    monkeypatch.setattr(choice.vulkan_device, "devices", lambda: seen)
    monkeypatch.setattr(webgpu, "gpu", unfit)
    monkeypatch.setattr(choice, "devices", list)
    assert not choice.here().gpu
    monkeypatch.setattr(webgpu, "gpu", lambda: True)
    assert choice.here().gpu == "webgpu"
    monkeypatch.setattr(choice.vulkan_device, "devices", list)
    assert choice.here().gpu == ("" if sys.platform == "linux" else "webgpu")
    monkeypatch.setattr(choice, "devices", lambda: [object()])
    assert choice.here().gpu == "cuda"
