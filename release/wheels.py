"""Build the sdist and, out of it, the wheels of all platforms; check every one.

    python -m release.wheels dist

Any machine builds for all of them. Wants `uv pip install --group release`. Ends with status 1 and
says what is wrong with which file, if anything is.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path, PurePosixPath

from hatch_build import PLUGIN_FOLDER, TARGETS, Target
from release import library

ROOT = Path(__file__).parent.parent
EXPORTS = frozenset(
    {"VapourSynthPluginInit2", "animesr_bind", "animesr_close", "animesr_free"}
    | {"animesr_get_frame", "animesr_version"}
    | {f"animesr_ahead_{name}" for name in ("ask", "free", "new", "pending")}
    | {f"animesr_{name}" for name in ("winograd", "halve", "enlarge", "join", "unfold")}
)
"""What the plugin's library lets others call: VapourSynth the first, `vs/plugin.py` the rest, and
`engines/native/library.py` the kernels."""
SYSTEM = {
    "linux-gnu": ("libc.so.", "libdl.so.", "ld-linux-aarch64.so."),
    "linux-musl": ("libc.so",),
    "windows": ("KERNEL32.dll", "api-ms-win-crt-"),
    "macos": ("/usr/lib/libSystem.",),
}
"""How the libraries begin that every system of a kind has."""
OLDEST_GLIBC = (2, 17)  # of manylinux_2_17 (PEP 600)


def build(kind: str, folder: Path, *, root: Path = ROOT, target: str = "") -> Path:
    """Build an sdist or a wheel.

    Args:
        kind: `sdist` or `wheel`.
        folder: Where it goes.
        root: The sources.
        target: Key of `hatch_build.TARGETS`; empty: this machine.

    Raises:
        RuntimeError: It cannot be built; with what the builder printed.
    """
    before = set(folder.glob("*"))
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", str(folder.resolve())],
        cwd=root,
        env=os.environ | {"VSANIMESR_TARGET": target},
        capture_output=True,
        text=True,
        check=False,
    )
    made = set(folder.glob("*")) - before
    if done.returncode or len(made) != 1:
        raise RuntimeError(f"building the {kind} {target} failed:\n{done.stdout}{done.stderr}")
    return made.pop()


def faults(wheel: Path, target: Target, root: Path = ROOT) -> list[str]:
    """What is wrong with a wheel, a line each.

    Args:
        wheel: The file.
        target: The platform it is for.
        root: The sources it was built from.
    """
    found: list[str] = []
    if not wheel.name.endswith(f"-py3-none-{target.tag}.whl"):
        found.append(f"the name does not end in {target.tag}")
    with zipfile.ZipFile(wheel) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    plugin = {f"{PLUGIN_FOLDER}/{target.library}", f"{PLUGIN_FOLDER}/manifest.vs"}
    package = {
        path.relative_to(root).as_posix()
        for path in (root / "vsanimesr").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    held = {name for name in files if ".dist-info/" not in name}
    found += [f"{name} is missing" for name in sorted((plugin | package) - held)]
    found += [f"{name} does not belong there" for name in sorted(held - plugin - package)]
    manifest = files.get(f"{PLUGIN_FOLDER}/manifest.vs", b"").decode().splitlines()
    if manifest != ["[VapourSynth Manifest V1]", PurePosixPath(target.library).stem]:
        found.append(f"the manifest reads {manifest}")
    for name, data in files.items():
        if str(root).encode() in data or str(Path.home()).encode() + b"/" in data:
            found.append(f"{name} holds a path of the machine that built it")
    return found + library_faults(files.get(f"{PLUGIN_FOLDER}/{target.library}", b""), target)


def library_faults(data: bytes, target: Target) -> list[str]:
    """What is wrong with the plugin's library, a line each.

    It exports its entry points and no more, and needs nothing but the system: no Python.

    Args:
        data: The file's content.
        target: The platform it is for.
    """
    try:
        held = library.read(data)
    except ValueError as error:
        return [f"{target.library}: {error}"]
    kind = next(kind for kind in SYSTEM if kind in target.zig)
    foreign = sorted(name for name in held.needed if not name.startswith(SYSTEM[kind]))
    found: list[str] = []
    if held.machine != target.zig.partition("-")[0]:
        found.append(f"{target.library} is for {held.machine}")
    if held.exports != EXPORTS:
        found.append(f"{target.library} exports {', '.join(sorted(held.exports)) or 'nothing'}")
    if foreign or not held.needed:
        found.append(f"{target.library} needs {', '.join(foreign) or 'nothing'}")
    if held.glibc > OLDEST_GLIBC:
        found.append(f"{target.library} needs glibc {'.'.join(map(str, held.glibc))}")
    if "macos" in target.zig and held.name != f"@rpath/{target.library}":
        found.append(f"{target.library} is called {held.name}")
    if target.zig.startswith("aarch64-macos") and not held.signed:  # it would not be loaded
        found.append(f"{target.library} has no signature")
    return found


def tool_faults(files: list[Path]) -> list[str]:
    """What the checks of others say of the files."""
    wheels = [str(file) for file in files if file.suffix == ".whl"]
    # W009, W010: a second folder, without modules: plugins lie in VapourSynth's own.
    ignored = ["--no-config", "--ignore", "W009,W010"]
    tools = {
        "twine": ["check", "--strict", *map(str, files)],
        "check_wheel_contents": [*ignored, *wheels],
    }
    found: list[str] = []
    for tool, arguments in tools.items():
        command = [sys.executable, "-m", tool, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            found.append(f"{tool}: {(done.stdout + done.stderr).strip()}")
    return found


def main() -> int:
    """Build and check everything; print a line a file."""
    parser = argparse.ArgumentParser(description="Build and check the sdist and all wheels.")
    parser.add_argument("folder", type=Path, help="where they go; must be empty or not there")
    folder: Path = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        print(f"wheels: {folder} is not empty; give a new folder", file=sys.stderr)
        return 1
    sdist = build("sdist", folder)
    made, wrong = [sdist], 0
    with tempfile.TemporaryDirectory(prefix="vsanimesr-") as place:
        with tarfile.open(sdist) as archive:
            archive.extractall(place, filter="data")
        (root,) = Path(place).iterdir()
        for key, target in TARGETS.items():
            wheel = build("wheel", folder, root=root, target=key)
            made.append(wheel)
            for fault in faults(wheel, target, root):
                print(f"{wheel.name}: {fault}", file=sys.stderr)
                wrong += 1
    for fault in tool_faults(made):
        print(fault, file=sys.stderr)
        wrong += 1
    for path in made:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        print(f"{digest}  {path.name}  {path.stat().st_size} bytes")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
