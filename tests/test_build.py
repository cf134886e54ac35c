"""The wheels: names, files, the library for each platform; its gate; a host without Python."""

import ctypes
import os
import subprocess
import sys
import threading
import zipfile
from functools import cache
from pathlib import Path

import pytest
import vapoursynth as vs

from hatch_build import TARGETS
from release import foreign, wheels
from vsanimesr.vs.api import Activation, Free, GetFrame

ROOT = Path(__file__).parent.parent
FOLDER = "vapoursynth/plugins/animesr"
PLATFORMS = {
    "linux-x86_64": ("manylinux_2_17_x86_64", "libanimesr.so"),
    "linux-aarch64": ("manylinux_2_17_aarch64", "libanimesr.so"),
    "musllinux-x86_64": ("musllinux_1_2_x86_64", "libanimesr.so"),
    "musllinux-aarch64": ("musllinux_1_2_aarch64", "libanimesr.so"),
    "windows-x86_64": ("win_amd64", "animesr.dll"),
    "macos-x86_64": ("macosx_11_0_x86_64", "libanimesr.dylib"),
    "macos-arm64": ("macosx_11_0_arm64", "libanimesr.dylib"),
}
BUILT = [  # by default for this machine and one other: Zig's first build for a system is slow
    key if key in ("linux-x86_64", "linux-aarch64") else pytest.param(key, marks=pytest.mark.slow)
    for key in PLATFORMS
]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel for a platform, built once."""

    @cache
    def build(target):
        return wheels.build("wheel", tmp_path_factory.mktemp(target), target=target)

    return build


def member(wheel, name):
    with zipfile.ZipFile(wheel) as archive:
        return archive.read(name)


@pytest.mark.parametrize("target", BUILT)
def test_name_files_and_manifest(wheel, target):
    tag, library = PLATFORMS[target]
    path = wheel(target)
    assert path.name.endswith(f"-py3-none-{tag}.whl")
    with zipfile.ZipFile(path) as archive:
        names = set(archive.namelist())
    kept = {"vsanimesr/py.typed", f"{FOLDER}/{library}"}
    assert kept <= names  # that there is nothing else, and all modules, is what `faults` looks at
    manifest = member(path, f"{FOLDER}/manifest.vs").decode()
    assert manifest.splitlines() == ["[VapourSynth Manifest V1]", library.split(".")[0]]
    (info,) = (name for name in names if name.endswith(".dist-info/WHEEL"))
    assert b"Root-Is-Purelib: false" in member(path, info)


def test_unknown_platform_is_refused(tmp_path):
    with pytest.raises(RuntimeError, match="cannot be built for amiga-m68k, only for linux-x86_64"):
        wheels.build("wheel", tmp_path, target="amiga-m68k")


def test_compiler_output_is_shown(tmp_path):
    code = """
import sys
from pathlib import Path
from hatch_build import TARGETS, compile_shim
compile_shim([Path(sys.argv[1])], Path(sys.argv[2]), TARGETS["linux-x86_64"], "1.2.3")
"""
    bad = tmp_path / "bad.c"
    bad.write_text("int one(void) { return two; }\n")
    done = subprocess.run(
        [sys.executable, "-c", code, str(bad), str(tmp_path / "bad.so")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode
    assert "RuntimeError: compiling bad.c for x86_64-linux-gnu.2.17 failed:" in done.stderr
    assert "undeclared identifier 'two'" in done.stderr


@pytest.mark.parametrize("target", BUILT)
def test_nothing_is_wrong_with_it(wheel, target):
    """For that machine, exports the entry points alone, needs the system alone: no Python."""
    assert wheels.faults(wheel(target), TARGETS[target]) == []


def test_what_is_wrong_is_found(wheel, tmp_path):
    """A wheel that says another platform, without a module, with a stray file and a path."""
    path = tmp_path / "vapoursynth_animesr-0-py3-none-win_amd64.whl"
    with zipfile.ZipFile(wheel("linux-aarch64")) as good, zipfile.ZipFile(path, "w") as bad:
        for name in good.namelist():
            if name != "vsanimesr/py.typed":
                bad.writestr(name, good.read(name))
        bad.writestr("vsanimesr/notes.txt", str(ROOT))
    found = wheels.faults(path, TARGETS["linux-x86_64"])
    assert found == [
        "the name does not end in manylinux_2_17_x86_64",
        "vsanimesr/py.typed is missing",
        "vsanimesr/notes.txt does not belong there",
        "vsanimesr/notes.txt holds a path of the machine that built it",
        "libanimesr.so is for aarch64",
    ]


def test_a_library_that_others_wrote():
    theirs = Path(vs.get_include()).with_name("libvapoursynth.so.4")
    found = wheels.library_faults(theirs.read_bytes(), TARGETS["linux-x86_64"])
    assert [line.split()[1] for line in found] == ["exports", "needs", "needs"]
    assert wheels.library_faults(b"MZ", TARGETS["windows-x86_64"]) == [
        "animesr.dll: no library for Linux, Windows or macOS"
    ]


@pytest.fixture
def plugin(wheel, tmp_path):
    """This machine's library, out of the wheel."""
    target = f"linux-{os.uname().machine}" if sys.platform == "linux" else None
    if target not in PLATFORMS:
        pytest.skip("runs what it builds on Linux only")
    path = tmp_path / PLATFORMS[target][1]
    path.write_bytes(member(wheel(target), f"{FOLDER}/{path.name}"))
    return path


def test_closing_waits_for_those_inside_and_lets_nobody_in(plugin):
    shim = ctypes.CDLL(str(plugin))
    arrived, leave, freed = threading.Event(), threading.Event(), []

    @GetFrame
    def get_frame(*_):
        arrived.set()
        leave.wait(60)
        return 4096

    free = Free(lambda *_: freed.append(True))
    serve = GetFrame(("animesr_get_frame", shim))
    release = Free(("animesr_free", shim))
    shim.animesr_bind(get_frame, free)
    results = []

    def request():
        results.append(serve(0, Activation.ALL_FRAMES_READY, None, None, None, None, None))

    thread = threading.Thread(target=request)
    thread.start()
    assert arrived.wait(60)
    release(None, None, None)
    assert freed == [True]
    assert shim.animesr_close(1) == 1, "one is inside, and cannot be let out"
    assert not serve(0, Activation.ERROR, None, None, None, None, None)
    release(None, None, None)
    assert freed == [True], "nobody is let in any more"
    leave.set()
    assert shim.animesr_close(60_000) == 0
    thread.join()
    assert results == [4096], "who was inside has finished"


def test_a_host_without_python_is_told_so(plugin, tmp_path):
    assert foreign.answer(plugin, foreign.HERE, tmp_path) == foreign.NO_PYTHON
