"""What is published can be used by somebody who has nothing else."""

import subprocess
import sys
from pathlib import Path

import pytest
import vapoursynth as vs

from release import try_wheel, vsrepo

ROOT = Path(__file__).parent.parent
SAID = """\
ok    Python          3.12.1 (python)
warn  scene detector  absent
                      `vsanimesr upscale` needs it; scripts do not
                      pip install 'vapoursynth-animesr[encode]'
fail  ONNX Runtime    unusable
                      onnxruntime 1.32 is there, but not onnx
                      pip install 'vapoursynth-animesr[onnx]'
1 of 3 checks failed
"""


def test_advice_is_read_word_for_word():
    assert try_wheel.findings(SAID) == [
        try_wheel.Finding("ok", "Python", ()),
        try_wheel.Finding("warn", "scene detector", ("pip install 'vapoursynth-animesr[encode]'",)),
        try_wheel.Finding("fail", "ONNX Runtime", ("pip install 'vapoursynth-animesr[onnx]'",)),
    ]


def test_the_entry_for_vsrepo():
    """Its rules: `verify_package` in vsrepo's vsrupdate.py."""
    found = vsrepo.entry()
    assert found["type"] == "VSPlugin"
    assert not {"modulename", "wheelname"} & set(found), "a plugin has none"
    assert found["category"] == "Resizing and Format Conversion"
    assert set(found["device"]) <= {"cpu", "gpu", "cuda", "opencl", "vulkan", "hip", "sycl"}
    plugin = vs.core.animesr
    assert (found["namespace"], found["identifier"]) == (plugin.namespace, plugin.identifier)


@pytest.mark.slow
@pytest.mark.parametrize("runtime", ["native", "onnx", "openvino", "ncnn", "torch"])
def test_the_doctors_advice_leads_to_a_working_upscale(tmp_path, runtime):
    pytest.importorskip("twine", reason="wants the group `release`")
    for command in (
        ["release.wheels", str(tmp_path)],
        ["release.try_wheel", str(tmp_path), "--runtime", runtime],
    ):
        done = subprocess.run(
            [sys.executable, "-m", *command],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    assert "vsanimesr upscale: 32x24 became 128 96" in done.stdout
