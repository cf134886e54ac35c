"""Each fault is recognised, and its cause shown in the words of who complained."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import vapoursynth as vs

from vsanimesr import doctor, weights
from vsanimesr.doctor import files, gpus, host, plugins, runtimes
from vsanimesr.doctor.check import ABSENT, REINSTALL, Check
from vsanimesr.engines.choice import Machine
from vsanimesr.engines.onnx import webgpu
from vsanimesr.models import RELEASES

ENCODE = "pip install 'vapoursynth-animesr[encode]'"
MANIFEST = "[VapourSynth Manifest V1]\nlibanimesr\n"
BESTSOURCE = next((Path(vs.__file__).parent / "plugins").glob("*bestsource*"))
SUFFIX = BESTSOURCE.suffix


@pytest.fixture
def folder(tmp_path):
    """A plugin folder with a library that loads, though it is another plugin's."""
    there = tmp_path / "animesr"
    there.mkdir()
    akarin = next((BESTSOURCE.parent).rglob(f"*scenechange*{SUFFIX}"))
    (there / f"libanimesr{SUFFIX}").write_bytes(akarin.read_bytes())
    (there / "manifest.vs").write_text(MANIFEST)
    return there


def test_everything_is_looked_at():
    found = doctor.checks()
    names = [check.name for check in found]
    assert len(names) == len(set(names)) > 12
    assert {"Python", "VapourSynth", "plugin", "PyTorch", "GPU", "ffmpeg", "vspipe"} <= set(names)
    assert {f"weights {name}" for name in RELEASES} <= set(names)
    assert all(check.advice for check in found if check.state == "fail")


LOOKS = {
    **{name: (host, name) for name in ("python", "vapoursynth", "vspipe", "jetpack")},
    "plugins": (plugins, "plugin"),
    **{name: (runtimes, name) for name in ("runtimes", "auto")},
    "cuda": (gpus, "cuda"),
    **{name: (files, name) for name in ("weights", "ffmpeg", "modules")},
}


def test_a_check_that_fails_is_a_finding(monkeypatch):
    def fail(*_):
        raise RuntimeError("no\nhome")

    for name in LOOKS:
        with monkeypatch.context() as patch:
            for other in LOOKS:
                if other != "vapoursynth":
                    one = Check(name=other, state="ok", found="")
                    patch.setattr(*LOOKS[other], lambda *_, one=one: one)
            patch.setattr(*LOOKS[name], fail)
            found = doctor.checks()
        (failed,) = (check for check in found if check.found == "cannot be checked")
        assert (failed.why, bool(failed.advice)) == (r"RuntimeError: no\nhome", True)
        assert failed.state == ("fail" if name in ("vapoursynth", "plugins") else "warn"), name
        assert len(found) >= 9, name


def test_a_runtime_that_raises_anything_is_unusable(monkeypatch):
    def broken(name):
        raise AttributeError(f"{name} is of another version")

    monkeypatch.setattr(runtimes.importlib, "import_module", broken)
    found = runtimes.runtimes()
    *others, own = found
    assert [check.found for check in others] == len(others) * ["unusable"]
    assert all("of another version" in check.why for check in others)
    assert own.state == "ok", "it needs none of them"
    assert "unknown" in gpus.cuda().found


def test_weights_without_a_home(monkeypatch):
    for name in ("HOME", "USERPROFILE", "XDG_CACHE_HOME", "VSANIMESR_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    (found,) = files.weights()
    assert (found.state, found.found) == ("warn", "no folder to keep them in")
    assert "VSANIMESR_CACHE" in found.advice


def test_a_sound_folder_has_no_fault(folder):
    assert plugins.plugin_fault(folder) == ""


def test_a_plugin_from_elsewhere(tmp_path, monkeypatch):
    with_core(monkeypatch, Core(animesr=SimpleNamespace(Version=lambda: {"version": "1"})))
    found = plugins.plugin(tmp_path)
    assert (found.state, found.found) == ("warn", "1 ()")
    assert found.why.startswith("no library in ")


def test_no_library(tmp_path, monkeypatch):
    with_core(monkeypatch, Core())
    assert plugins.plugin_fault(tmp_path / "nowhere").startswith("no library in ")
    found = plugins.plugin(tmp_path)
    assert (found.state, found.found) == ("fail", "damaged")
    assert "installed without being built" in found.why
    assert "pip install" in found.advice


@pytest.mark.parametrize(
    ("manifest", "fault"),
    [
        ("", "begins with '', wanted '[VapourSynth Manifest V1]'"),
        ("[Manifest]\nlibanimesr", "begins with '[Manifest]'"),
        ("[VapourSynth Manifest V1]\nother\n", "does not name libanimesr"),
        ("[VapourSynth Manifest V1]", "does not name libanimesr"),
        (f"[VapourSynth Manifest V1]\nlibanimesr{SUFFIX}\n", "does not name libanimesr"),
    ],
)
def test_a_wrong_manifest(folder, manifest, fault):
    (folder / "manifest.vs").write_text(manifest)
    assert fault in plugins.plugin_fault(folder)


def test_manifests_may_end_lines_as_windows_does(folder):
    (folder / "manifest.vs").write_bytes(MANIFEST.replace("\n", "\r\n").encode())
    assert plugins.plugin_fault(folder) == ""


def test_a_truncated_library_shows_the_loaders_words(folder, monkeypatch):
    with_core(monkeypatch, Core())
    library = folder / f"libanimesr{SUFFIX}"
    library.write_bytes(library.read_bytes()[:40])
    found = plugins.plugin(folder)
    assert found.state == "fail"
    assert "too short" in found.why or "libanimesr" in found.why


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_a_library_that_kills_is_survived(folder, monkeypatch):
    dead = SimpleNamespace(returncode=-7, stderr="", stdout="")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: dead)
    assert "killed the process (signal 7)" in plugins.plugin_fault(folder)
    monkeypatch.setattr(
        plugins,
        "plugin",
        lambda _: Check(name="plugin", state="fail", found="x", why="killed"),
    )
    monkeypatch.setattr(host, "output", lambda *_: "")
    assert "BestSource" not in [check.name for check in doctor.checks()]


class Core:
    """A core with only the plugins given."""

    def __init__(self, load=None, **plugins):
        self.std = SimpleNamespace(LoadPlugin=load)
        self.__dict__ |= plugins


def with_core(monkeypatch, core):
    monkeypatch.setattr(vs, "core", core)


def test_vapoursynths_own_reason_is_shown(folder, monkeypatch):
    def refuse(_):
        raise vs.Error("No entry point found in libanimesr")

    with_core(monkeypatch, Core(refuse))
    found = plugins.plugin(folder)
    assert (found.state, found.why) == ("fail", "No entry point found in libanimesr")


def test_a_core_without_autoloading(folder, monkeypatch):
    with_core(monkeypatch, Core(lambda _: None))
    found = plugins.plugin(folder)
    assert found.state == "fail"
    assert "without autoloading" in found.why


def test_a_plugin_that_works(folder, monkeypatch):
    version = {"version": b"1.2.3", "path": b"/x", "backends": [b"torch", b"onnx"]}
    with_core(monkeypatch, Core(animesr=SimpleNamespace(Version=lambda: version)))
    found = plugins.plugin(folder)
    assert (found.state, found.found) == ("ok", "1.2.3 (path /x, backends torch onnx)")


def test_a_plugin_without_python(folder, monkeypatch):
    def fail():
        raise vs.Error("Version: no Python in this process")

    with_core(monkeypatch, Core(animesr=SimpleNamespace(Version=fail)))
    found = plugins.plugin(folder)
    assert (found.state, found.why) == ("fail", "Version: no Python in this process")


def test_a_second_copy(folder, monkeypatch):
    monkeypatch.setenv("VAPOURSYNTH_EXTRA_PLUGIN_PATH", str(folder))
    with_core(monkeypatch, Core(animesr=SimpleNamespace(Version=lambda: {"version": "1"})))
    found = plugins.plugin(folder)
    assert found.state == "warn"
    assert "VAPOURSYNTH_EXTRA_PLUGIN_PATH holds another copy" in found.why


def test_vapoursynth_absent_or_old(monkeypatch):
    monkeypatch.setattr(vs, "__version__", SimpleNamespace(release_major=79))
    found = host.vapoursynth()
    assert (found.state, found.found) == ("fail", "R79")
    assert "vapoursynth>=80" in found.advice
    monkeypatch.setitem(sys.modules, "vapoursynth", None)
    assert host.vapoursynth().found == "absent"
    monkeypatch.setattr(host, "output", lambda *_: "")
    assert "plugin" not in [check.name for check in doctor.checks()]


def test_old_python(monkeypatch):
    monkeypatch.setattr(host, "LEAST_PYTHON", (9, 0))
    found = host.python()
    assert (found.state, found.advice) == ("fail", "use 9.0 or later")


def test_plugins_for_files():
    assert plugins.source(Core()).state == "warn"
    assert plugins.source(Core()).advice == ENCODE
    assert plugins.source(Core(bs=1)).state == "ok"
    assert plugins.scenes(Core()).state == "warn"
    assert plugins.scenes(Core(scd=1)).state == "ok"


# What runs the network


def test_what_auto_takes_is_told_and_why(monkeypatch):
    def on(*installed, gpu=""):
        machine = Machine(processor="amx", installed=frozenset(installed), gpu=gpu)
        monkeypatch.setattr(runtimes, "here", lambda: machine)
        return runtimes.auto()

    found = on("torch", "openvino", "onnx")
    assert (found.state, found.found, found.advice) == ("ok", "torch, bf16", "")
    assert found.why.startswith("142 ms a step on a CPU with AMX; openvino bf16 149, openvino")
    found = on("onnx")
    assert found.found == "onnx, fp32"
    assert found.advice.startswith("pip install 'vapoursynth-animesr[torch]' for torch: 142 ms a")
    assert on("torch", gpu="cuda").found == "torch, precision by the GPU"
    assert on().found == "nothing: no runtime is installed"


# ONNX Runtime's packages


def installed(monkeypatch, *names):
    for module in (gpus, runtimes):
        monkeypatch.setattr(module, "installed", lambda name: name in names)
    monkeypatch.setattr(gpus, "version", lambda name: "1.2")


def test_packages_that_overwrite_each_other(monkeypatch):
    installed(monkeypatch, "onnxruntime")
    assert runtimes.onnxruntime().state == "ok"
    installed(monkeypatch, "onnxruntime", "onnxruntime-webgpu")
    found = runtimes.onnxruntime()
    assert found.state == "warn"
    assert found.why.startswith("onnxruntime and onnxruntime-webgpu write into the same folder")
    assert found.advice.startswith("pip uninstall -y onnxruntime onnxruntime-webgpu, then install")


def test_webgpu_absent(monkeypatch):
    installed(monkeypatch, "onnxruntime")
    found = gpus.webgpu()
    assert (found.state, found.found) == ("ok", ABSENT)
    assert "pip install onnxruntime-ep-webgpu" in found.advice


@pytest.mark.parametrize("package", ["onnxruntime-webgpu", "onnxruntime-ep-webgpu"])
def test_webgpu_tells_which_package_and_why_no_device(monkeypatch, package):
    installed(monkeypatch, package)
    monkeypatch.setattr(webgpu, "fault", lambda: "No supported adapters")
    monkeypatch.setattr(webgpu, "why_none", lambda: "install the driver")
    found = gpus.webgpu()
    assert (found.state, found.found) == ("warn", f"{package} 1.2: no device")
    assert (found.why, found.advice) == ("No supported adapters", "install the driver")


@pytest.mark.parametrize(("real", "state"), [(True, "ok"), (False, "warn")])
def test_webgpu_tells_its_device(monkeypatch, real, state):
    installed(monkeypatch, "onnxruntime-webgpu")
    for name, value in {"fault": "", "half": True, "gpu": real, "device_name": "Arc"}.items():
        monkeypatch.setattr(webgpu, name, lambda value=value: value)
    monkeypatch.setattr(webgpu, "why_none", lambda: "install the driver")
    found = gpus.webgpu()
    assert (found.state, found.found) == (state, "Arc (onnxruntime-webgpu 1.2; fp32, fp16)")
    assert ("auto does not" in found.why) != real


# PyTorch and the GPU


def fake_torch(monkeypatch, error=None, cuda="13.2"):
    def init():
        if error:
            raise error

    tensor = SimpleNamespace(add_=lambda _: SimpleNamespace(item=float))
    torch = SimpleNamespace(
        __version__="2.15.0",
        version=SimpleNamespace(cuda=cuda),
        zeros=lambda *_, **__: tensor,
        cuda=SimpleNamespace(
            init=init, device_count=lambda: 1, get_device_name=lambda n: f"GPU {n}"
        ),
    )
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def test_torch_absent(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    found = runtimes.torch()
    assert (found.state, found.found) == ("ok", ABSENT)
    assert found.advice == "pip install 'vapoursynth-animesr[torch]'"
    assert gpus.cuda().found == "unknown: PyTorch is not there to ask"
    assert {check.state for check in runtimes.runtimes()} == {"ok"}, "the others are enough"
    for name in ("onnxruntime", "openvino", "ncnn"):
        monkeypatch.setitem(sys.modules, name, None)
    assert {check.state for check in runtimes.runtimes()} == {"ok"}, "so is ours"
    monkeypatch.setattr(runtimes.library, "fault", lambda: "too old")
    assert {check.state for check in runtimes.runtimes()} == {"fail"}
    assert runtimes.native().advice == REINSTALL


@pytest.mark.parametrize(
    ("look", "extra", "package"),
    [(runtimes.torch, "torch", "psutil"), (runtimes.onnxruntime, "onnx", "onnx")],
)
def test_a_runtime_that_lacks_what_the_engine_needs(monkeypatch, look, extra, package):
    monkeypatch.setitem(sys.modules, package, None)
    found = look()
    assert (found.state, found.found) == ("warn", "unusable")
    assert found.why.endswith(f" is there, but not {package}")
    assert found.advice == f"pip install 'vapoursynth-animesr[{extra}]'"


def test_a_runtime_that_does_not_load(monkeypatch):
    def broken(name):
        raise OSError(f"lib{name}.so: not for this machine")

    monkeypatch.setattr(runtimes.importlib, "import_module", broken)
    found = runtimes.runtimes()
    assert [check.state for check in found] == [*["warn"] * (len(found) - 1), "ok"]
    monkeypatch.setattr(runtimes.library, "fault", lambda: "too old")
    assert {check.state for check in runtimes.runtimes()} == {"fail"}
    assert found[1].why == "OSError: libonnxruntime.so: not for this machine"


def test_onnx_runtime_tells_its_providers():
    assert "CPU" in runtimes.onnxruntime().found


def test_a_gpu_that_works(monkeypatch):
    fake_torch(monkeypatch)
    found = gpus.cuda()
    assert (found.state, found.found) == ("ok", "GPU 0 (CUDA 13.2)")
    assert runtimes.torch().found == "2.15.0"


def test_a_build_for_the_cpu(monkeypatch):
    fake_torch(monkeypatch, cuda=None)
    found = gpus.cuda()
    assert (found.state, found.found) == ("warn", "PyTorch is built for the CPU only")


@pytest.mark.parametrize("hidden", ["", "-1"])
def test_hidden_gpus(monkeypatch, hidden):
    fake_torch(monkeypatch)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    found = gpus.cuda()
    assert (found.state, found.found) == ("warn", "CUDA_VISIBLE_DEVICES hides every GPU")


@pytest.mark.parametrize(
    "text",
    [
        "Found no NVIDIA driver on your system.",
        "The NVIDIA driver on your system is too old (found version 11040).",
        "CUDA error: no kernel image is available for execution on the device",
    ],
)
def test_torchs_own_words_are_shown(monkeypatch, text):
    fake_torch(monkeypatch, RuntimeError(f"{text}\n"))
    found = gpus.cuda()
    assert (found.state, found.why) == ("warn", text)


# Weights


def test_weights_absent_damaged_and_intact(monkeypatch, tmp_path):
    monkeypatch.setenv("VSANIMESR_CACHE", str(tmp_path))
    assert [check.state for check in files.weights()] == ["ok", "warn"]  # v2 is the default
    assert all("fetched on first use" in check.found for check in files.weights())
    weights.locate("v1").write_bytes(b"not weights")
    first = files.weights()[0]
    assert first.state == "fail"
    assert "damaged" in first.why
    assert "vsanimesr weights fetch v1" in first.advice
    monkeypatch.setattr(weights, "read", lambda _: {})
    assert files.weights()[0].why == "not the values of AnimeSR v1"
    monkeypatch.setattr(weights, "digest", lambda _: RELEASES["v1"].digest)
    assert files.weights()[0].state == "ok"


# Programs


def program(folder, name, script):
    path = folder / name
    path.write_text(f"#!{sys.executable}\nimport sys\n{script}\n")
    path.chmod(0o755)
    return path


def test_ffmpeg_absent(monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    found = files.ffmpeg()
    assert (found.state, found.advice) == ("warn", ENCODE)


@pytest.mark.skipif(os.name != "posix", reason="scripts as programs")
@pytest.mark.parametrize(
    ("script", "state", "why"),
    [
        ("print('ffmpeg version 9 Copyright x', 'libx264 libx265')", "ok", ""),
        ("print('ffmpeg version 9 Copyright x', 'libx264')", "warn", "has no libx265"),
        ("print('ffmpeg version 9 Copyright x')", "warn", "has no libx265, libx264"),
        ("sys.exit(3)", "warn", "exit status 3"),
    ],
)
def test_ffmpeg_on_path(monkeypatch, tmp_path, script, state, why):
    path = program(tmp_path, "ffmpeg", script)
    monkeypatch.setenv("PATH", str(tmp_path))
    found = files.ffmpeg()
    assert found.state == state
    assert why in found.why
    if state == "ok":
        assert found.found == f"ffmpeg version 9 ({path})"


def test_python_packages_absent(monkeypatch):
    monkeypatch.setattr(files.importlib.util, "find_spec", lambda name: None)
    found = files.modules()
    assert (found.state, found.advice) == ("warn", ENCODE)
    assert host.jetpack().found == "absent (optional)"


@pytest.mark.skipif(os.name != "posix", reason="scripts as programs")
def test_vspipe(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    found = host.vspipe()
    assert (found.state, found.found) == ("warn", "not on PATH")
    path = program(tmp_path, "vspipe", "print('VapourSynth\\nCore R81\\nAPI R4.3')")
    assert host.vspipe().found == f"Core R81 ({path})"
    program(tmp_path, "vspipe", "sys.exit('Failed to initialize VSScript')")
    found = host.vspipe()
    assert (found.state, found.why) == ("fail", "Failed to initialize VSScript")
    assert "vapoursynth config" in found.advice
