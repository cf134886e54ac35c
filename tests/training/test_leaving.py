"""Ctrl-C and SIGTERM at any moment of a command: one line, no trace, nothing left behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pytest

from training import drawings
from vsanimesr.training import checkpoint
from vsanimesr.training.pictures import write_png

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals")

RECIPE = """
sources = { height = 64 }
shots = { shortest = 3 }
quality = { method = "sharpness", every = 4 }
clip = { frames = 16 }
"""


@pytest.fixture(scope="module")
def films(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("films")
    for name in ("starfish", "dalek"):
        drawings.film(folder / f"{name}.mp4", [drawings.render(name, 40, size=(128, 96))])
    (folder / "recipe.toml").write_text(RECIPE)
    return folder


def left(
    command: list[str],
    number: int,
    *,
    seconds: float | None,
    group: bool,
    sign: Callable[[], bool] = lambda: True,
) -> tuple[int, str]:
    """Send a signal after so many seconds, or once a worker and a sign are there.

    Returns:
        The status and what was said.
    """
    with subprocess.Popen(
        [sys.executable, "-m", "vsanimesr.training", *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as child:
        process = psutil.Process(child.pid)
        end = time.monotonic() + (120 if seconds is None else seconds)
        while time.monotonic() < end and child.poll() is None:
            workers = [one for one in process.children() if "spawn_main" in str(one.cmdline())]
            if seconds is None and workers and sign():
                break
            time.sleep(0.02)
        workers = process.children(recursive=True) if child.poll() is None else []
        (os.killpg if group else os.kill)(child.pid, number)
        said = child.communicate(timeout=60)[0]
        _, alive = psutil.wait_procs(workers, timeout=20)
        assert not alive
        return child.returncode, said


def check(number: int, status: int, said: str) -> None:
    assert status == 128 + number, said
    assert "Traceback" not in said, said
    assert sum("interrupted" in line for line in said.splitlines()) == 1, said


@pytest.mark.parametrize(
    ("number", "group"), [(signal.SIGINT, True), (signal.SIGTERM, False)], ids=["Ctrl-C", "TERM"]
)
def test_while_workers_of_a_build_start(films, tmp_path, number, group) -> None:
    build = ["dataset", "build", str(films), str(tmp_path), "--jobs", "2"]
    build += ["--recipe", str(films / "recipe.toml")]
    check(number, *left(build, number, seconds=None, group=group))
    assert not list(tmp_path.glob("clips/.*"))


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("begun", [False, True])
def test_readers_of_a_training_wait_for_its_checkpoint(tmp_path, number, begun) -> None:
    """Sent to the whole group, as a job manager does."""
    pictures = tmp_path / "pairs"
    for name, side in (("lr", 32), ("hr", 64)):
        write_png(pictures / name / "0.png", np.full((side, side, 3), 90, np.uint8))
    (tmp_path / "lbo.toml").write_text(
        f'trains = "lbo"\ndata = {{ roots = ["{pictures}"], patch = 32, workers = 2 }}\n'
        "optimizer = { lr = 1e-4 }\ntrain = { iterations = 100000, batch = 1, log_every = 1 }\n"
    )
    train = ["train", str(tmp_path / "lbo.toml"), str(tmp_path / "out")]
    journal = tmp_path / "out/journal.jsonl"

    def sign() -> bool:
        return not begun or (journal.is_file() and '"step"' in journal.read_text())

    check(number, *left(train, number, seconds=None, group=True, sign=sign))
    assert not begun or checkpoint.stored(tmp_path / "out")


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("name", ["dataset", "rescale", "evaluate", "export", "train"])
def test_at_many_moments(films, tmp_path, number, name, fixed_model) -> None:
    film = str(films / "dalek.mp4")
    (tmp_path / "pairs/lr").mkdir(parents=True)
    (tmp_path / "lbo.toml").write_text(
        f'trains = "lbo"\ndata = {{ roots = ["{tmp_path / "pairs"}"], patch = 32, workers = 2 }}\n'
        "optimizer = { lr = 1e-4 }\ntrain = { iterations = 100000, batch = 1 }\n"
    )
    commands = {
        "dataset": ["build", str(films), str(tmp_path / "out"), "--jobs", "2"],
        "rescale": [film, str(tmp_path / "out"), "--model", str(fixed_model)],
        "evaluate": [film, "--networks", "bicubic", "--out", str(tmp_path / "out")],
        "export": [str(fixed_model), str(tmp_path / "out.safetensors")],
        "train": [str(tmp_path / "lbo.toml"), str(tmp_path / "out")],
    }
    done = 0
    for moment in range(12):
        command = [name, *commands[name]]
        status, said = left(command, number, seconds=1 + 0.7 * moment, group=False)
        if status not in (0, 1):  # it may have come to its end before
            check(number, status, said)
            done += 1
        assert "Traceback" not in said, said
    assert done
