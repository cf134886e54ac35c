"""Compiles native/animesr.c into the wheel, where VapourSynth loads plugins from.

The compiler is zig, which comes as a Python package and knows every platform's libraries: no other
compiler is needed, and any machine builds the wheel of any platform.
"""

import os
import platform
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import vapoursynth
from hatchling.builders.config import BuilderConfig
from hatchling.builders.hooks.plugin.interface import BuildHookInterface

TARGET_VARIABLE = "VSANIMESR_TARGET"
PLUGIN_FOLDER = "vapoursynth/plugins/animesr"


@dataclass(frozen=True)
class Target:
    """A platform that a wheel is built for."""

    triple: str
    """What zig calls it, with the oldest system library to run on."""
    tag: str
    """What a wheel calls it. The shim needs nothing but that system library, whose oldest version
    the triple pins, so the manylinux tag is true by construction."""
    library: str
    """File name of the shared library."""


TARGETS = {
    "linux-x86_64": Target("x86_64-linux-gnu.2.17", "manylinux_2_17_x86_64", "libanimesr.so"),
    "linux-aarch64": Target("aarch64-linux-gnu.2.17", "manylinux_2_17_aarch64", "libanimesr.so"),
    "windows-x86_64": Target("x86_64-windows-gnu", "win_amd64", "animesr.dll"),
    "macos-x86_64": Target("x86_64-macos.11.0", "macosx_11_0_x86_64", "libanimesr.dylib"),
    "macos-arm64": Target("aarch64-macos.11.0", "macosx_11_0_arm64", "libanimesr.dylib"),
}


def chosen_target() -> Target:
    """The platform that `VSANIMESR_TARGET` names, otherwise this machine's.

    Raises:
        ValueError: A platform that is not in `TARGETS`.
    """
    system = {"darwin": "macos", "win32": "windows"}.get(sys.platform, sys.platform)
    machine = platform.machine().lower().replace("amd64", "x86_64")
    name = os.environ.get(TARGET_VARIABLE) or f"{system}-{machine}"
    if name not in TARGETS:
        raise ValueError(
            f"cannot build for {name}, wanted one of {', '.join(TARGETS)}: "
            f"name one in {TARGET_VARIABLE}"
        )
    return TARGETS[name]


def compile_shim(source: Path, library: Path, target: Target, version: str) -> None:
    """Compile the shim.

    Args:
        source: The C file.
        library: The shared library to write.
        target: The platform to compile for.
        version: Version of the package, which begins with two numbers.

    Raises:
        RuntimeError: The compiler failed; holds its output.
    """
    major, minor, *_ = version.split(".")
    # macOS notes in a library where it is to be found: not in the folder it was built in.
    named = [f"-Wl,-install_name,@rpath/{library.name}"] if library.suffix == ".dylib" else []
    command = [
        *(sys.executable, "-m", "ziglang", "cc", "-target", target.triple),
        *("-std=c11", "-O2", "-s", "-shared", "-fPIC", "-fvisibility=hidden"),
        *("-Wall", "-Wextra", "-Werror"),
        f'-DANIMESR_VERSION="{version}"',
        f"-DANIMESR_VERSION_NUMBER=VS_MAKE_VERSION({major},{minor})",
        *("-isystem", vapoursynth.get_include()),
        *named,
        *(source.name, "-o", str(library)),
    ]
    done = subprocess.run(
        command,
        cwd=source.parent,  # no path of this machine in the library
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{source.name} does not compile for {target.triple}:\n{done.stdout}")


class CustomBuildHook(BuildHookInterface[BuilderConfig]):
    """Hatchling's entry: puts the library and its manifest into the wheel, and names the wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile before the wheel is packed.

        Args:
            version: `standard` or `editable`; both wheels carry the library.
            build_data: What hatchling is told about the wheel.
        """
        target = chosen_target()
        self.folder = TemporaryDirectory(prefix="vsanimesr-")
        library = Path(self.folder.name, target.library)
        source = Path(self.root, "native", "animesr.c")
        compile_shim(source, library, target, self.metadata.version)
        # The manifest makes VapourSynth log it when the library does not load, not skip it.
        manifest = library.with_name("manifest.vs")
        manifest.write_text(f"[VapourSynth Manifest V1]\n{library.stem}\n", encoding="ascii")
        files = {str(file): f"{PLUGIN_FOLDER}/{file.name}" for file in (library, manifest)}
        build_data["force_include"].update(files)
        build_data["force_include_editable"].update(files)
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{target.tag}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove what was compiled, once the wheel holds it.

        Args:
            version: As for `initialize`.
            build_data: As for `initialize`.
            artifact_path: The wheel.
        """
        self.folder.cleanup()
