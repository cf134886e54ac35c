"""One small comparison that the tests share."""

import functools
import os
import shutil

import numpy as np
import pytest
import vapoursynth as vs

from vsanimesr.compare.job import compare
from vsanimesr.compare.wish import Wish

SCRIPT = """
import vapoursynth as vs
from clips import source
clip = source(66, 24, 16, cuts=(20, 44), format=vs.YUV420P8)
clip.set_output()
"""
OTHER = """
from runpy import run_path
import vapoursynth as vs
clip = run_path(source)["clip"]  # the script that is compared, by the path it is given
clip.std.BlankClip(length=3).set_output(2)
clip.resize.Point(96, 64).set_output(1)
clip.resize.Bilinear(48, 32).set_output(0)
"""


@pytest.fixture(scope="session")
def scripts(tmp_path_factory):
    """A source of three scenes, and a script that enlarges it by its path."""
    folder = tmp_path_factory.mktemp("scripts")
    (folder / "film.vpy").write_text(SCRIPT)
    (folder / "other.vpy").write_text(OTHER)
    return folder


@pytest.fixture(scope="session")
def wish(scripts, fixed_model):
    """Makes wishes of four kinds of columns."""
    columns = ("bicubic", f"own={fixed_model}", f"exact={scripts}/other.vpy:1")
    return functools.partial(
        Wish,
        sources=[scripts / "film.vpy"],
        columns=(*columns, str(scripts / "other.vpy")),
        options={"device": "cpu", "block": 16, "warmup": 2},
    )


@pytest.fixture(scope="session")
def compared(wish, tmp_path_factory):
    """The folder of a comparison."""
    folder = tmp_path_factory.mktemp("compared")
    compare(wish(folder=folder, frames=(7,), count=20))
    return folder


@pytest.fixture(scope="session")
def browser():
    """Chromium without a window, if this machine has one; it is never fetched."""
    webdriver = pytest.importorskip("selenium.webdriver")
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chrome")
    driver = os.environ.get("CHROMEDRIVER") or shutil.which("chromedriver")
    if not (chromium and driver):
        pytest.skip("no chromium or chromedriver on PATH (Debian: chromium chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    words = "headless=new no-sandbox disable-gpu disable-dev-shm-usage window-size=1000,700"
    for word in (*words.split(), "force-device-scale-factor=1"):
        options.add_argument(f"--{word}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = webdriver.ChromeService(driver)
    chrome = webdriver.Chrome(options=options, service=service)
    yield chrome
    chrome.quit()


@pytest.fixture
def pixels():
    """(h, w, 3) of an RGB24 clip's frame."""

    def read(clip, n):
        with clip.get_frame(n) as frame:
            assert frame.format.id == vs.RGB24
            return np.stack([np.asarray(frame[plane]) for plane in range(3)], -1)

    return read
