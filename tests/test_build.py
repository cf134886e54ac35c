"""The wheels: names, files, the library for each platform; its gate; a host without Python."""

import ctypes
import os
import struct
import subprocess
import sys
import threading
import zipfile
from functools import cache
from pathlib import Path

import pytest
import vapoursynth as vs

from vsanimesr.vs.api import Activation, Free, GetFrame

ROOT = Path(__file__).parent.parent
FOLDER = "vapoursynth/plugins/animesr"
EXPORTS = {
    "VapourSynthPluginInit2",
    "animesr_bind",
    "animesr_close",
    "animesr_free",
    "animesr_get_frame",
    "animesr_version",
}
PLATFORMS = {
    "linux-x86_64": ("manylinux_2_17_x86_64", "libanimesr.so"),
    "linux-aarch64": ("manylinux_2_17_aarch64", "libanimesr.so"),
    "windows-x86_64": ("win_amd64", "animesr.dll"),
    "macos-x86_64": ("macosx_11_0_x86_64", "libanimesr.dylib"),
    "macos-arm64": ("macosx_11_0_arm64", "libanimesr.dylib"),
}


def hatch(target, folder):
    return subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT,
        env=os.environ | {"VSANIMESR_TARGET": target},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel for a platform, built once."""

    @cache
    def build(target):
        folder = tmp_path_factory.mktemp(target)
        done = hatch(target, folder)
        assert done.returncode == 0, done.stderr
        (path,) = folder.iterdir()
        return path

    return build


def member(wheel, name):
    with zipfile.ZipFile(wheel) as archive:
        return archive.read(name)


@pytest.mark.parametrize("target", PLATFORMS)
def test_name_files_and_manifest(wheel, target):
    tag, library = PLATFORMS[target]
    path = wheel(target)
    assert path.name.endswith(f"-py3-none-{tag}.whl")
    with zipfile.ZipFile(path) as archive:
        names = set(archive.namelist())
    plugin = {name for name in names if not name.startswith("vsanimesr/") and ".dist-" not in name}
    assert plugin == {f"{FOLDER}/{library}", f"{FOLDER}/manifest.vs"}
    sources = {f.relative_to(ROOT).as_posix() for f in (ROOT / "vsanimesr").rglob("*.py")}
    assert sources | {"vsanimesr/py.typed"} == {n for n in names if n.startswith("vsanimesr/")}
    manifest = member(path, f"{FOLDER}/manifest.vs").decode()
    assert manifest.splitlines() == ["[VapourSynth Manifest V1]", library.split(".")[0]]
    (info,) = (name for name in names if name.endswith(".dist-info/WHEEL"))
    assert b"Root-Is-Purelib: false" in member(path, info)


def test_unknown_platform_is_refused(tmp_path):
    done = hatch("amiga-m68k", tmp_path)
    assert done.returncode
    assert "cannot be built for amiga-m68k, only for linux-x86_64" in done.stderr


def test_compiler_output_is_shown(tmp_path):
    code = """
import sys
from pathlib import Path
from hatch_build import TARGETS, compile_shim
compile_shim(Path(sys.argv[1]), Path(sys.argv[2]), TARGETS["linux-x86_64"], "1.2.3")
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


# Three file formats, as far as their headers tell machine, exports and needed libraries.


def text_at(data, offset):
    return data[offset : data.index(b"\0", offset)].decode()


def read_elf(data):
    assert data[:6] == b"\x7fELF\x02\x01", "ELF, 64 bit, little endian"
    (machine,) = struct.unpack_from("<H", data, 18)
    (table,) = struct.unpack_from("<Q", data, 40)
    size, count = struct.unpack_from("<HH", data, 58)
    sections = [struct.unpack_from("<IIQQQQIIQQ", data, table + i * size) for i in range(count)]
    exports, needed = set(), set()
    for _, kind, _, _, offset, length, link, _, _, entry in sections:
        if kind not in (6, 11):  # SHT_DYNAMIC, SHT_DYNSYM
            continue
        strings = sections[link][4]
        for at in range(offset, offset + length, entry):
            if kind == 6:
                what, value = struct.unpack_from("<QQ", data, at)
                if what == 1:  # DT_NEEDED
                    needed.add(text_at(data, strings + value))
            else:
                name, _, _, section = struct.unpack_from("<IBBH", data, at)
                if section:
                    exports.add(text_at(data, strings + name))
    return machine, exports, needed


def read_pe(data):
    (start,) = struct.unpack_from("<I", data, 0x3C)
    assert data[start : start + 4] == b"PE\0\0"
    machine, count = struct.unpack_from("<HH", data, start + 4)
    (optional,) = struct.unpack_from("<H", data, start + 20)
    header = start + 24
    assert struct.unpack_from("<H", data, header)[0] == 0x20B, "PE32+"
    sections = [
        struct.unpack_from("<IIII", data, header + optional + 40 * i + 8) for i in range(count)
    ]

    def place(address):
        for size, virtual, raw_size, raw in sections:
            if virtual <= address < virtual + max(size, raw_size):
                return address - virtual + raw
        raise AssertionError(f"address {address:#x} is in no section")

    export, _, imports, _ = struct.unpack_from("<IIII", data, header + 112)
    count, pointers = struct.unpack_from("<I4xI", data, place(export) + 24)
    exports = {
        text_at(data, place(address))
        for address in struct.unpack_from(f"<{count}I", data, place(pointers))
    }
    needed, at = set(), place(imports)
    while (name := struct.unpack_from("<I", data, at + 12)[0]) != 0:
        needed.add(text_at(data, place(name)))
        at += 20
    return machine, exports, needed


def read_mach_o(data):
    magic, cpu = struct.unpack_from("<II", data)
    assert magic == 0xFEEDFACF, "Mach-O, 64 bit"
    (commands,) = struct.unpack_from("<I", data, 16)
    exports, needed, at = set(), set(), 32
    for _ in range(commands):
        command, size, first = struct.unpack_from("<III", data, at)
        if command == 0x0C:  # LC_LOAD_DYLIB
            needed.add(text_at(data, at + first))
        if command == 0x0D:  # LC_ID_DYLIB
            assert text_at(data, at + first) == "@rpath/libanimesr.dylib"
        if command == 0x02:  # LC_SYMTAB
            symbols, count, strings = struct.unpack_from("<III", data, at + 8)
            for i in range(count):
                name, kind = struct.unpack_from("<IB", data, symbols + 16 * i)
                if kind == 0x0F:  # external, defined in a section
                    exports.add(text_at(data, strings + name).removeprefix("_"))
        at += size
    return cpu, exports - {"_mh_dylib_header", "__dso_handle"}, needed  # the linker's own


@pytest.mark.parametrize(
    ("target", "read", "machine", "system"),
    [
        ("linux-x86_64", read_elf, 62, ("libc.so.", "libdl.so.")),
        ("linux-aarch64", read_elf, 183, ("libc.so.", "libdl.so.", "ld-linux-aarch64.so.")),
        ("windows-x86_64", read_pe, 0x8664, ("KERNEL32.dll", "api-ms-win-crt-")),
        ("macos-x86_64", read_mach_o, 0x01000007, ("/usr/lib/libSystem.",)),
        ("macos-arm64", read_mach_o, 0x0100000C, ("/usr/lib/libSystem.",)),
    ],
)
def test_library(wheel, target, read, machine, system):
    """For that machine, exports the entry points alone, needs the system alone: no Python."""
    data = member(wheel(target), f"{FOLDER}/{PLATFORMS[target][1]}")
    found, exports, needed = read(data)
    assert found == machine
    assert exports == EXPORTS
    assert needed
    assert not [name for name in needed if not name.startswith(system)]
    assert str(ROOT).encode() not in data, "a path of the machine that built it"


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


HOST = r"""
#include <stdio.h>
#include <VapourSynth4.h>

extern const VSAPI *getVapourSynthAPI(int version);

int main(int count, char **arguments) {
    const VSAPI *vsapi = getVapourSynthAPI(VAPOURSYNTH_API_VERSION);
    VSCore *core = vsapi->createCore(ccfDisableAutoLoading);
    VSMap *in = vsapi->createMap();
    vsapi->mapSetData(in, "path", arguments[count - 1], -1, dtUtf8, maReplace);
    VSPlugin *std = vsapi->getPluginByNamespace("std", core);
    VSMap *out = vsapi->invoke(std, "LoadPlugin", in);
    if (vsapi->mapGetError(out)) {
        puts(vsapi->mapGetError(out));
        return 1;
    }
    vsapi->freeMap(out);
    vsapi->clearMap(in);
    VSMap *clip = vsapi->invoke(std, "BlankClip", in);
    VSPlugin *animesr = vsapi->getPluginByNamespace("animesr", core);
    out = vsapi->invoke(animesr, "Upscale", clip);
    puts(vsapi->mapGetError(out));
    vsapi->freeMap(out);
    vsapi->freeMap(clip);
    vsapi->freeMap(in);
    vsapi->freeCore(core);
    return 0;
}
"""


def test_a_host_without_python_is_told_so(plugin, tmp_path):
    source, host = tmp_path / "host.c", tmp_path / "host"
    source.write_text(HOST)
    include = Path(vs.get_include())
    command = [sys.executable, "-m", "ziglang", "cc", "-isystem", str(include), str(source)]
    command += [str(include.parent / "libvapoursynth.so.4"), f"-Wl,-rpath,{include.parent}"]
    subprocess.run([*command, "-o", str(host)], check=True)
    done = subprocess.run(
        [str(host), str(plugin)], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (
        0,
        "Upscale: there is no running Python 3.12 or newer in this process, and the filter is "
        "written in Python: use vspipe, a previewer or a Python script\n",
    ), done.stderr
