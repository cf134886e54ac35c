import importlib.util
import os
import sys
from collections.abc import Generator
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from vsanimesr import weights
from vsanimesr.errors import WeightsError
from vsanimesr.models import RELEASES, parameter_shapes

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # as `engines.load`, before a test loads torch
if "PYTEST_XDIST_WORKER" in os.environ:
    # The tests take the cores between them; those about threads say how many they want.
    os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_configure(config: pytest.Config) -> None:
    """Python's bytecode is kept even where it is not to lie beside the sources.

    Without it each of the many processes that tests start compiles torch's two thousand modules
    anew, which is half of what its import takes.
    """
    if sys.dont_write_bytecode and hasattr(config, "cache"):
        kept = config.rootpath / ".pytest_cache" / "bytecode"
        sys.dont_write_bytecode, sys.pycache_prefix = False, str(kept)
        os.environ["PYTHONPYCACHEPREFIX"] = str(kept)
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


@pytest.fixture(autouse=True)
def _main_has_no_false_file() -> None:
    """A process that a test spawns would look for a file that execnet or vs-jetpack names."""
    main = sys.modules["__main__"]
    if not Path(getattr(main, "__file__", None) or "").is_file():
        vars(main).pop("__file__", None)


@pytest.fixture(scope="session", autouse=True)
def _pinned_ffmpeg(tmp_path_factory: pytest.TempPathFactory) -> Generator[None]:
    """The ffmpeg of imageio-ffmpeg comes first on PATH: another may be old, or lack encoders."""
    if os.name != "posix" or importlib.util.find_spec("imageio_ffmpeg") is None:
        yield
        return
    import imageio_ffmpeg

    folder = tmp_path_factory.mktemp("bin")
    (folder / "ffmpeg").symlink_to(imageio_ffmpeg.get_ffmpeg_exe())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", str(folder), prepend=os.pathsep)
        yield


@pytest.fixture(scope="session")
def released() -> dict[str, Path]:
    """Files of the authors' weights by name, fetched into the user's cache on first use."""
    try:
        return {name: weights.fetch(name) for name in RELEASES}
    except WeightsError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def fixed_weights() -> dict[str, np.ndarray]:
    """Weights that are the same everywhere, need no download, and make every layer count.

    Kernels are scaled by their fan-in, so that signals neither die nor grow, not even over hundreds
    of recurrent steps.
    """
    random = np.random.default_rng(2022)

    def draw(name: str, shape: tuple[int, ...]) -> np.ndarray:
        values = random.standard_normal(shape, np.float32)
        if name.endswith(".bias"):
            return 0.05 * values
        gain = 0.5 if "body" in name or "fusion.2" in name else 1.0
        return np.float32(gain / np.sqrt(np.prod(shape[1:]))) * values

    return {name: draw(name, shape) for name, shape in parameter_shapes().items()}


@pytest.fixture(scope="session")
def fixed_model(
    fixed_weights: dict[str, np.ndarray], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """`fixed_weights` as a file, as `model=` takes it."""
    path = tmp_path_factory.mktemp("weights") / "fixed.safetensors"
    save_file(fixed_weights, path)
    return path
