"""Stubs of the plugin, as vsstubs makes them, and scripts that pyright checks by them."""

import json
import re
import subprocess
import sys

import pytest

from vsanimesr.options import defaults

vsstubs = pytest.importorskip("vsstubs")

SCRIPT = """
import vapoursynth as vs

from vsanimesr import upscale

clip: vs.VideoNode = vs.core.std.BlankClip(None, 64, 48, vs.YUV420P8)
all_of_them: vs.VideoNode = vs.core.animesr.Upscale(clip, {arguments})
bound: vs.VideoNode = clip.animesr.Upscale(scale=2, format=vs.YUV420P10, matrix=vs.MATRIX_BT709)
same: vs.VideoNode = upscale(bound, model="v1", block=0)
said: object = vs.core.animesr.Version()
same.set_output()
"""
MISTAKES = {
    "vs.core.animesr.Upscale(clip, blok=3)": 'No parameter named "blok"',
    "vs.core.animesr.Upscale(clip, block='many')": 'to parameter "block"',
    "vs.core.animesr.Upscale()": 'Argument missing for parameter "clip"',
}


@pytest.fixture(scope="module")
def stubs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stubs")
    vsstubs.output_stubs(None, folder / "vapoursynth.pyi", template=True, add={"animesr", "std"})
    return folder


def test_every_argument_has_its_type(stubs):
    text = (stubs / "vapoursynth.pyi").read_text()
    part = text[text.index("class _animesr") : text.index("</implementation/animesr>")]
    core, bound = re.findall(r"def Upscale\((.*)\) -> VideoNode", part)
    kinds = {int: "_IntLike", float: "_FloatLike", str: "_AnyStr"}
    for name, value in defaults().items():
        for signature in (core, bound):
            assert f"{name}: {kinds[type(value)]} | None = None" in signature
    assert "clip: VideoNode" in core
    assert "clip" not in bound
    assert "def Version" in part


@pytest.mark.slow
def test_a_typed_script_passes_pyright_strict(stubs, tmp_path):
    """And one with mistakes does not, so that the stubs say something."""
    script = tmp_path / "script.py"
    given = ", ".join(f"{name}={value!r}" for name, value in defaults().items())
    text = SCRIPT.format(arguments=given)
    script.write_text(text + "".join(f"{line}\n" for line in MISTAKES))
    config = {"typeCheckingMode": "strict", "stubPath": str(stubs), "include": ["script.py"]}
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(config))
    done = subprocess.run(
        [sys.executable, "-m", "pyright", "--pythonpath", sys.executable, "--outputjson"],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        cwd=tmp_path,
    )
    found = json.loads(done.stdout)["generalDiagnostics"]
    lines = {one["range"]["start"]["line"]: one["message"] for one in found}
    first = text.count("\n")
    for i, message in enumerate(MISTAKES.values()):
        assert message in lines.pop(first + i)
    assert not lines
