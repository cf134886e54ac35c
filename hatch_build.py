"""Build hook: compile native/*.c and put the library where VapourSynth looks for plugins.

The compiler is Zig's, a build dependency from the package index, so nothing has to be installed on
the system and any platform can build for any other: set VSANIMESR_TARGET to a key of `TARGETS`.
VapourSynth's headers come with its wheel, another build dependency.
"""

import os
import platform
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from packaging.tags import sys_tags  # a dependency of hatchling

PLUGIN_FOLDER = "vapoursynth/plugins/animesr"  # VapourSynth's documentation on packaging
NAME = "animesr"
SOURCES = ("animesr.c", "kernels.c")


@dataclass(frozen=True)
class Target:
    """A platform the plugin is built for."""

    zig: str
    """Zig's name of it, with the oldest C library it shall run on, where Zig can choose."""
    tag: str
    """The wheel's platform tag, true for that C library."""
    library: str
    """File name of the plugin."""


TARGETS = {
    "linux-x86_64": Target("x86_64-linux-gnu.2.17", "manylinux_2_17_x86_64", f"lib{NAME}.so"),
    "linux-aarch64": Target("aarch64-linux-gnu.2.17", "manylinux_2_17_aarch64", f"lib{NAME}.so"),
    "musllinux-x86_64": Target("x86_64-linux-musl", "musllinux_1_2_x86_64", f"lib{NAME}.so"),
    "musllinux-aarch64": Target("aarch64-linux-musl", "musllinux_1_2_aarch64", f"lib{NAME}.so"),
    "windows-x86_64": Target("x86_64-windows-gnu", "win_amd64", f"{NAME}.dll"),
    "macos-x86_64": Target("x86_64-macos.11.0", "macosx_11_0_x86_64", f"lib{NAME}.dylib"),
    "macos-arm64": Target("aarch64-macos.11.0", "macosx_11_0_arm64", f"lib{NAME}.dylib"),
}


class PluginBuildHook(BuildHookInterface[Any]):
    """Adds the plugin's library and its manifest to wheels, editable ones included."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """See hatchling's build hook interface."""
        target = choose(os.environ.get("VSANIMESR_TARGET") or this_platform())
        self.folder = TemporaryDirectory(prefix="vsanimesr-")  # builds may run side by side
        library = Path(self.folder.name, target.library)
        sources = [Path(self.root, "native", name) for name in SOURCES]
        compile_shim(sources, library, target, self.metadata.version)
        manifest = library.with_name("manifest.vs")
        manifest.write_text(f"[VapourSynth Manifest V1]\n{library.stem}\n", encoding="ascii")
        files = {str(path): f"{PLUGIN_FOLDER}/{path.name}" for path in (library, manifest)}
        build_data["force_include"].update(files)
        build_data["force_include_editable"].update(files)
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{target.tag}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """See hatchling's build hook interface: the wheel is written, its parts can go."""
        self.folder.cleanup()


def this_platform() -> str:
    """Key of the platform this runs on."""
    system = {"darwin": "macos", "win32": "windows"}.get(sys.platform, sys.platform)
    if system == "linux" and any("musllinux" in tag.platform for tag in sys_tags()):
        system = "musllinux"
    machine = platform.machine().lower().replace("amd64", "x86_64")
    return f"{system}-{machine}"


def choose(key: str) -> Target:
    """The target called `key`.

    Raises:
        ValueError: There is none.
    """
    if key not in TARGETS:
        raise ValueError(
            f"vapoursynth-animesr cannot be built for {key}, only for {', '.join(TARGETS)}: "
            "set VSANIMESR_TARGET to one of them"
        )
    return TARGETS[key]


def compile_shim(sources: list[Path], library: Path, target: Target, version: str) -> None:
    """Compile the C files `sources` into `library`, which tells `version`.

    Raises:
        RuntimeError: The compiler failed; with what it printed.
    """
    import vapoursynth

    major, minor, *_ = version.split(".")
    command = [sys.executable, "-m", "ziglang", "cc", "-target", target.zig, "-shared", "-fPIC"]
    command += ["-std=gnu11", "-D_GNU_SOURCE", "-O3", "-s"]
    command += ["-fvisibility=hidden", "-Wall", "-Wextra", "-Werror"]
    command += [f'-DANIMESR_VERSION="{version}"']
    command += [f"-DANIMESR_VERSION_NUMBER=VS_MAKE_VERSION({major},{minor})"]
    command += ["-isystem", vapoursynth.get_include(), *map(str, sources)]
    command += ["-o", str(library)]
    if "linux" in target.zig:
        command.append("-ldl")  # before glibc 2.34 dlsym lies there
    if "macos" in target.zig:  # otherwise the library carries the folder it was built in
        command.append(f"-Wl,-install_name,@rpath/{library.name}")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode or not library.is_file():
        raise RuntimeError(
            f"compiling {sources[0].name} for {target.zig} failed:\n{done.stdout}{done.stderr}"
        )
