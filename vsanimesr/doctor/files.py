"""What lies on the disk: weights, and what `vsanimesr upscale` needs."""

from __future__ import annotations

import importlib.util
import subprocess
from dataclasses import replace

from vsanimesr.doctor.check import Check, for_files, output, version
from vsanimesr.errors import EncodeError, WeightsError


def weights() -> list[Check]:
    """The released weights: there and intact?"""
    from vsanimesr import weights as store
    from vsanimesr.options import defaults

    try:
        store.cache()
    except WeightsError as error:
        where = "no folder to keep them in"
        advice = "name a folder in the environment variable VSANIMESR_CACHE"
        return [Check(name="weights", state="warn", found=where, why=str(error), advice=advice)]
    found: list[Check] = []
    for release, path in store.listing():
        name, advice = f"weights {release.name}", f"vsanimesr weights fetch {release.name}"
        if path is None:
            state = "warn" if release.name == defaults()["model"] else "ok"
            absent = "not here; fetched on first use"
            found.append(Check(name=name, state=state, found=absent, advice=advice))
            continue
        try:
            intact = store.digest(store.read(path)) == release.digest
            why = "" if intact else f"not the values of {release.title}"
        except WeightsError as error:
            why = str(error)
        state = "fail" if why else "ok"
        advice = f"{advice} (replaces it)" if why else ""
        found.append(Check(name=name, state=state, found=str(path), why=why, advice=advice))
    return found


def ffmpeg() -> Check:
    """Ffmpeg and its encoders."""
    from vsanimesr.encode.common.ffmpeg import find_ffmpeg

    try:
        path = str(find_ffmpeg())
    except EncodeError as error:
        return for_files("ffmpeg", str(error))
    try:
        version = output(path, "-hide_banner", "-version").split(" Copyright")[0]
        known = output(path, "-hide_banner", "-encoders")
    except (OSError, subprocess.SubprocessError) as error:
        return for_files("ffmpeg", f"{path}: {error}")
    wanted = ("libx265", "libx264")  # SVT-AV1, the third choice, need not be there
    missing = [name for name in wanted if name not in known]
    if missing:
        why = f"{path} has no {', '.join(missing)}"
        found = for_files("ffmpeg", why)
        return replace(found, found=version, advice="install a build of ffmpeg with them")
    return Check(name="ffmpeg", state="ok", found=f"{version} ({path})")


def modules() -> Check:
    """Python packages that `vsanimesr upscale` needs."""
    missing = [name for name in ("av", "tqdm") if importlib.util.find_spec(name) is None]
    if missing:
        return for_files(", ".join(missing))
    return Check(name="av, tqdm", state="ok", found=f"{version('av')}, {version('tqdm')}")
