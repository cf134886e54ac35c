"""Previewers: scripts evaluated again and again in one process, frames asked for at a whim.

VapourSynth Editor's way (VSScript, no arguments) is tried through vsengine. vsview and vspreview
are driven without a display by `benchmarks/previewer.py`, each in an environment of its own, for
they want other versions of vs-jetpack: VSVIEW_PYTHON and VSPREVIEW_PYTHON name their interpreters,
else uv makes the environments.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
import vapoursynth as vs
from clips import digests, source
from PIL import Image
from test_hosts import OPTIONS, run

ROOT = Path(__file__).parent.parent
ONNX = OPTIONS | {"backend": "onnx"}  # loads faster than torch
NEEDS = {
    "vsview": ["vsview==0.14.0"],
    "vspreview": ["vspreview==0.20.1", "vsjetpack<2"],
}
JUMPS = (2, 150, 40)
RELOADS = 10


def test_an_editor_that_evaluates_again_and_again(fixed_model, tmp_path):
    """Edited between evaluations, once to a script that fails; the old one goes after the new."""
    pytest.importorskip("onnxruntime")
    script = tmp_path / "edited.vpy"
    template = (
        "import os\nfrom clips import source\nclip = source(12, 24, 16, cuts=(5,))\n"
        "assert 'source' not in vars() or callable(source)\n"
        f"clip.animesr.Upscale(model=os.environ['MODEL'], **{ONNX | {'block': 'BLOCK'}})"
        ".set_output()\n"
    )
    code = f"""
        import gc, pathlib
        import psutil
        from vsengine import GlobalStore, Policy, load_script
        from test_lifetime import trim
        from clips import digest
        from vsanimesr.vs import host

        script = pathlib.Path({str(script)!r})
        template = {template!r}
        with Policy(GlobalStore()) as policy:
            before = None
            for i in range(6):
                block = ("16", "3")[i % 2] if i != 3 else "'many'"
                script.write_text(template.replace("'BLOCK'", block))
                loaded = load_script(str(script), policy)
                try:
                    loaded.result()
                except Exception as error:
                    print("failed", type(error.__cause__ or error).__name__)
                    loaded.dispose()
                    continue
                if before is not None:
                    before.dispose()
                before = loaded
                found = []
                with loaded.environment.use():
                    clip = loaded.environment.outputs[0].clip
                    for n in (11, 2):
                        with clip.get_frame(n) as frame:
                            found.append(digest(frame))
                del clip, frame
                for _ in range(4):
                    gc.collect()
                trim()
                memory = psutil.Process().memory_info().rss
                print(memory, len(host._filters), block, *found)
            before.dispose()
        """
    rows = run(code, fixed_model)
    assert len(rows) == 6
    assert rows.pop(3)[0] == "failed"
    clip = source(12, 24, 16, cuts=(5,))
    for block in ("16", "3"):
        options = ONNX | {"block": int(block)}
        right = vs.core.animesr.Upscale(clip, model=str(fixed_model), **options)
        expected = list(digests(right, (11, 2)).values())
        shown = [row[3:] for row in rows if row[2] == block]
        assert shown == [expected] * len(shown)
    assert {row[2] for row in rows} == {"16", "3"}
    assert max(int(row[1]) for row in rows) <= 2
    sizes = [int(row[0]) for row in rows]
    assert min(sizes[-2:]) < min(sizes[1:3]) * 1.05


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    path = tmp_path_factory.mktemp("film") / "film.mkv"
    y, x = np.mgrid[:72, :64]
    with av.open(path, "w") as container:
        stream = container.add_stream("ffv1", rate=24)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for n in range(160):
            picture = (120 + 90 * np.sin(0.2 * x + 0.15 * y + 0.05 * n)).astype(np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "yuv420p")))
        container.mux(stream.encode())
    return path


@pytest.fixture(scope="module", params=NEEDS)
def previewer(request, tmp_path_factory):
    """Its name and an interpreter that has it and this package."""
    name = request.param
    if given := os.environ.get(f"{name.upper()}_PYTHON"):
        return name, Path(given)
    uv = shutil.which("uv") or shutil.which("uv", path=Path(sys.executable).parent)
    if uv is None:
        pytest.skip(f"no uv to make an environment with, and no {name.upper()}_PYTHON")
    folder = tmp_path_factory.mktemp(name) / "environment"
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    pip = [uv, "pip", "install", "-q", "-p", python]
    for words in (
        [uv, "venv", "-q", "-p", sys.executable, folder],
        [*pip, f"{ROOT}[onnx,encode]", "psutil", *NEEDS[name]],
    ):
        done = subprocess.run(words, capture_output=True, text=True, timeout=600, check=False)
        if done.returncode:
            pytest.skip(f"no environment for {name}: {done.stderr.strip().splitlines()[-1]}")
    return name, python


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_previewer(previewer, film, fixed_model, tmp_path):
    """Load, jump, reload ten times, change an argument, close; memory stays."""
    name, python = previewer
    script = tmp_path / "script.vpy"
    script.write_text(
        f"import vapoursynth as vs\nclip = vs.core.bs.VideoSource({str(film)!r}, cachemode=0)\n"
        "clip = clip.std.SetFrameProps(_Matrix=6, _Transfer=6, _Primaries=6, _Range=0)\n"
        f"clip = clip.animesr.Upscale(model={str(fixed_model)!r}, backend='onnx', device='cpu', "
        "block=16, warmup=2, scale=4)\nclip.set_output()\n"
    )
    done = subprocess.run(
        [
            *(python, ROOT / "benchmarks/previewer.py", name, script, "--out", tmp_path / "shots"),
            *("--frames", *map(str, JUMPS), "--reloads", str(RELOADS)),
            *("--change", "scale=4", "scale=2"),
        ],
        capture_output=True,
        text=True,
        timeout=850,
        check=False,
        env=os.environ | {"QT_QPA_PLATFORM": "offscreen", "HOME": str(tmp_path)},
    )
    said = done.stdout
    assert done.returncode == 0, said + done.stderr
    assert said.rstrip().endswith("closed")
    for n in JUMPS:
        assert f"frame {n}: " in said
    assert "changed: " in said
    sizes = [int(mb) for mb in re.findall(r"^reload \d+: \d+ ms, (\d+) MB", said, re.M)]
    assert len(sizes) == RELOADS
    assert min(sizes[-3:]) < min(sizes[1:4]) * 1.05 + 10, sizes
    shots = {path.stem.removeprefix(f"{name}-"): path for path in (tmp_path / "shots").iterdir()}
    shown = {what: picture(path) for what, path in shots.items()}
    assert shown["40"].shape == (192, 256, 3)
    assert np.abs(shown["40"] - shown["150"]).mean() > 3, "another frame is another picture"
    assert (shown["reloaded"] == shown["40"]).all(), "reloaded, it is the same frame"
    assert shown["changed"].shape == (96, 128, 3), "the argument was changed"


def picture(path):
    """What is colourful in a window: the picture of these weights, and nothing of a previewer."""
    with Image.open(path) as image:
        window = np.asarray(image.convert("RGB")).astype(int)
    window = window[len(window) // 10 : len(window) * 4 // 5]
    colourful = np.ptp(window, axis=2) > 100
    rows, columns = (np.flatnonzero(colourful.any(axis)) for axis in (1, 0))
    return window[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
