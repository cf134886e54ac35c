"""What a check finds, and what all checks share."""

from __future__ import annotations

import importlib.metadata
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from vsanimesr.errors import brief

if TYPE_CHECKING:
    from collections.abc import Callable


ABSENT = "absent (optional)"
REINSTALL = "pip install --force-reinstall --no-deps vapoursynth-animesr"
ENCODE = "pip install 'vapoursynth-animesr[encode]'"


@dataclass(frozen=True, kw_only=True)
class Check:
    """One finding."""

    name: str
    """What was looked at."""
    state: Literal["ok", "warn", "fail"]
    """`warn`: something is slower or missing, yet `core.animesr.Upscale` works."""
    found: str
    """What is there."""
    why: str = ""
    """Why that matters, or the cause in the words of who complained."""
    advice: str = ""
    """What to do."""


def tried(
    name: str, look: Callable[[], Check | list[Check]], state: Literal["warn", "fail"] = "warn"
) -> list[Check]:
    """What a check finds; that it failed itself is a finding, too, and no end of the others."""
    try:
        found = look()
    except Exception as error:  # noqa: BLE001 (whatever a damaged installation raises)
        why = brief(f"{type(error).__name__}: {error}", 300)
        advice = "unforeseen: install it again, and report it if that does not help"
        return [Check(name=name, state=state, found="cannot be checked", why=why, advice=advice)]
    return found if isinstance(found, list) else [found]


def for_files(name: str, why: str = "`vsanimesr upscale` needs it; scripts do not") -> Check:
    """Something that only the command needs is not there."""
    return Check(name=name, state="warn", found="absent", why=why, advice=ENCODE)


def unusable(name: str, error: Exception, advice: str) -> Check:
    """Something is there and raises an error."""
    why = brief(f"{type(error).__name__}: {error}", 300)
    return Check(name=name, state="warn", found="unusable", why=why, advice=advice)


def output(*command: str) -> str:
    """What a command prints, within a minute."""
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        errors="replace",
        check=True,
        stdin=subprocess.DEVNULL,
        timeout=60,
    ).stdout


def installed(distribution: str) -> bool:
    """Whether pip knows it."""
    try:
        importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def version(distribution: str) -> str:
    """Of a distribution that is there."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:  # built by hand, not by pip
        return "there"
