"""WebGPU on a real device, be it a software one, in a process that has the runtime for it.

`tests/webgpu/get.sh` brings both where there is no GPU.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
HOME = TESTS.parent / ".webgpu"
PROBE = """
import numpy as np
from vsanimesr.engines.onnx.builder import Builder
from vsanimesr.engines.onnx.session import Place, Session
b, single = Builder(), np.dtype(np.float32)
x = b.input("x", single, (1,))
b.output(b.add("Add", x, x), "y", single, (1,))
graph = b.model("probe", "").SerializeToString()
session = Session(graph, [("WebGpuExecutionProvider", {})], Place("webgpu"))
(y,) = session({"x": np.ones(1, single)}, fetch=True)
print(y.numpy())
"""


@pytest.fixture(scope="session")
def device(tmp_path_factory):
    """The environment of a process that has a WebGPU device.

    The driver is the one that `VK_DRIVER_FILES` names, else SwiftShader, behind a driver that
    loses its device on demand.
    """
    if not (HOME / "ready").exists():
        pytest.skip("no runtime with WebGPU: tests/webgpu/get.sh brings it, and a device")
    environment = os.environ | {"PYTHONPATH": f"{HOME / 'site'}", "OMP_WAIT_POLICY": "passive"}
    if "VK_DRIVER_FILES" not in os.environ:
        folder = tmp_path_factory.mktemp("driver")
        driver = folder / "driver.json"
        library = losing_driver(folder)
        driver.write_text(
            f'{{"file_format_version": "1.0.0", "ICD": {{"library_path": "{library}", '
            '"api_version": "1.1.0"}}'
        )
        environment |= {
            "LD_LIBRARY_PATH": str(HOME / "vulkan"),
            "VK_DRIVER_FILES": str(driver),
            "VK_ICD_FILENAMES": str(driver),  # the same for loaders before 1.3.207
            "VK_WRAPPED_DRIVER": str(HOME / "vulkan" / "libvk_swiftshader.so"),
            "VK_LOST_WHILE": str(folder / "lost"),
        }
    probe = run(environment, "-c", PROBE)
    assert probe.returncode in (0, 1), f"ended by signal {-probe.returncode}"
    if probe.stdout.split() != ["[2.]"]:
        pytest.skip(f"no WebGPU device: {' '.join(probe.stderr.split())[-300:]}")
    return environment


def losing_driver(folder):
    library = folder / "liblosing.so"
    command = ["-m", "ziglang", "cc", "-shared", "-fPIC", "-O1", "-o", library, "-ldl"]
    built = run(os.environ, *command, TESTS / "webgpu" / "losing_driver.c")
    assert built.returncode == 0, built.stderr
    return library


def run(environment, *arguments, timeout=300):
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        env=environment,
        cwd=TESTS.parent,
    )


def on_device(environment, *arguments, timeout=900):
    own = ["-q", "-n0", "-p", "no:cacheprovider", "-rs", *arguments, "tests/webgpu/on_device.py"]
    done = run(environment, "-m", "pytest", *own, timeout=timeout)
    assert done.returncode == 0, done.stdout + done.stderr


def test_on_a_device(device):
    on_device(device)


@pytest.mark.slow
def test_on_a_device_at_length(device):
    on_device(device, "-m", "slow")


ADAPTER = """
import os, subprocess, sys
from pathlib import Path
subprocess.run(["mount", "-t", "tmpfs", "none", "/sys/class"], check=True)
folder = Path("/sys/class/drm/card0/device")
folder.mkdir(parents=True)
for name, number in {"vendor": 0x1AE0, "device": 0xC0DE, "class": 0x030000}.items():
    (folder / name).write_text(f"{number:#x}\\n")
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


@pytest.mark.slow
def test_through_the_plugin(device):
    """It lists display adapters only: one that is none is put into a namespace of its own."""
    able = ["unshare", "--mount", sys.executable, "-c", ADAPTER]
    if subprocess.run([*able, "-c", ""], capture_output=True, check=False).returncode:
        pytest.skip("no namespace can be made here, which wants Linux and root")
    done = subprocess.run(
        [*able, "-m", "pytest", "-q", "-n0", "-p", "no:cacheprovider", "tests/webgpu/on_device.py"],
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
        env=device | {"PYTHONPATH": str(HOME / "plugin")},
        cwd=TESTS.parent,
    )
    assert done.returncode == 0, done.stdout + done.stderr
