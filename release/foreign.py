"""Load the plugin of other platforms, as far as this machine can run them, and call it.

    python -m release.foreign dist

A host of VapourSynth without Python (`host.c`) is compiled for the platform and run with that
platform's VapourSynth, out of its wheel, by an emulator where there is one (Debian: qemu-user,
libc6-arm64-cross; wine, wine64; musl). The plugin must answer that there is no Python. Under
Debian's musl 1.2.3 it is only loaded, for VapourSynth's own library crashes there.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from hatch_build import PLUGIN_FOLDER, TARGETS

HOST = Path(__file__).with_name("host.c")
SECONDS = 300
"""An emulator that takes longer is stopped; wine makes its folder first."""
NO_PYTHON = (
    "Upscale: there is no running Python 3.12 or newer in this process, and the filter is "
    "written in Python: use vspipe, a previewer or a Python script"
)
"""What the plugin answers when it was found, loaded and called."""


@dataclass(frozen=True)
class Foreign:
    """A way to run another platform's programs here."""

    zig: str
    """Zig's name of the platform."""
    platform: str
    """Tag of VapourSynth's wheel for it; empty: the one installed here."""
    core: str
    """File name of VapourSynth's library; empty: the plugin is only loaded."""
    command: tuple[str, ...]
    """What runs a program; its first word must be there."""
    prefix: str = ""
    """Before absolute paths, as that platform writes them."""


HERE = Foreign("native", "", "libvapoursynth.so.4", ("env",))
"""This machine, if it runs Linux."""
WAYS = {
    "linux-aarch64": Foreign(
        "aarch64-linux-gnu.2.28",
        "manylinux_2_28_aarch64",
        "libvapoursynth.so.4",
        ("qemu-aarch64", "-L", "/usr/aarch64-linux-gnu"),
    ),
    "musllinux-x86_64": Foreign(
        "x86_64-linux-musl",
        "musllinux_1_2_x86_64",
        "",
        ("/lib/ld-musl-x86_64.so.1",),
    ),
    "windows-x86_64": Foreign(
        "x86_64-windows-gnu", "win_amd64", "libvapoursynth.dll", ("wine",), "Z:"
    ),
}
"""By key of `hatch_build.TARGETS`."""


def answer(plugin: Path, way: Foreign, folder: Path) -> str:
    """What the plugin answers to a host without Python, or why it could not be asked.

    Args:
        plugin: The library.
        way: How to run it.
        folder: An empty folder to work in.
    """
    import vapoursynth as vs

    include = vs.get_include()
    host = folder / ("host.exe" if "windows" in way.zig else "host")
    command = [sys.executable, "-m", "ziglang", "cc", "-O2", "-s", "-isystem", include]
    if "linux" in way.zig:
        command += ["-target", way.zig, "-dynamic", "-ldl"]
    elif way.zig != "native":
        command += ["-target", way.zig]
    subprocess.run([*command, str(HOST), "-o", str(host)], check=True)
    files = [plugin]
    if way.core:
        place = _vapoursynth(way, folder) if way.platform else Path(include).parent
        files.append(place / way.core)
    done = subprocess.run(
        [*way.command, str(host), *(f"{way.prefix}{path}" for path in files)],
        env=os.environ | {"WINEPREFIX": str(folder / "wine"), "WINEDEBUG": "-all"},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    said = done.stdout.strip() or done.stderr.strip() or "nothing was said"
    return said if done.returncode == 0 else f"exit status {done.returncode}: {said}"


def _vapoursynth(way: Foreign, folder: Path) -> Path:
    """The platform's VapourSynth of the version that is installed here."""
    import vapoursynth as vs

    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command += ["--only-binary", ":all:", "--python-version", "3.12", "--platform", way.platform]
    version = vs.__version__.release_major
    subprocess.run([*command, "-d", str(folder), f"vapoursynth=={version}"], check=True)
    (wheel,) = folder.glob("vapoursynth-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder / "vapoursynth"


def main() -> int:
    """Try the wheels in a folder; print a line each."""
    parser = argparse.ArgumentParser(description="Load the plugin of other platforms.")
    parser.add_argument("folder", type=Path, help="the wheels, as release.wheels makes them")
    folder: Path = parser.parse_args().folder
    wrong = 0
    for key, target in TARGETS.items():
        way = WAYS.get(key)
        if not way or not shutil.which(way.command[0]):
            print(f"{key}: not tried, {way.command[0] if way else 'an emulator'} is not there")
            continue
        (wheel,) = folder.glob(f"*-{target.tag}.whl")
        with tempfile.TemporaryDirectory(prefix="vsanimesr-") as place:
            with zipfile.ZipFile(wheel) as archive:
                plugin = archive.extract(f"{PLUGIN_FOLDER}/{target.library}", place)
            said = answer(Path(plugin), way, Path(place))
        good = said == (NO_PYTHON if way.core else "loaded")
        print(f"{key}: {'loaded and called' if said == NO_PYTHON else said}")
        wrong += not good
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
