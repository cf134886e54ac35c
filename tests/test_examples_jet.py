"""The examples with vs-jetpack, each through vspipe, on a tiny clip."""

import subprocess
from pathlib import Path

import av
import numpy as np
import pytest
import vapoursynth as vs
from test_hosts import environment, vspipe

EXAMPLES = Path(__file__).parent.parent / "examples/jet"
WIDTH, HEIGHT, LENGTH, CUT = 96, 64, 12, 5
NEEDS = {
    "scenes": ("scd",),
    "descale": ("descale", "edgemasks"),
    "dvd": ("vivtc", "vszip", "scd"),
    "antialias": ("znedi3", "zsmooth", "scd"),
    "text": (),
}
DEFAULT = ("descale",)  # the others start the same host again, so they are slow
NAMES = [name if name in DEFAULT else pytest.param(name, marks=pytest.mark.slow) for name in NEEDS]

pytest.importorskip("vsanimesr.vs.scaler", exc_type=ImportError)


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """Two scenes with a white box that stands still in the second, as a letter would."""
    path = tmp_path_factory.mktemp("film") / "film.mkv"
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    with av.open(path, "w") as container:
        stream = container.add_stream("ffv1", rate=24)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for n in range(LENGTH):
            picture = np.full((HEIGHT * 3 // 2, WIDTH), 128, np.uint8)
            wave = 90 + 40 * np.sin(0.2 * x + 0.1 * y + 0.1 * n)
            picture[:HEIGHT] = wave if n < CUT else 200 - wave / 2
            if n >= CUT:
                picture[40:50, 20:60] = 235
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "yuv420p")))
        container.mux(stream.encode())
    return path


def run(name, film, model, *words, last=LENGTH - 1):
    """Header words of y4m, and luma of each frame."""
    missing = [plugin for plugin in NEEDS[name] if not hasattr(vs.core, plugin)]
    if missing:
        pytest.skip(f"the plugins {missing} are not there: pip install vapoursynth-{missing[0]}")
    given = [word for pair in words for word in ("-a", pair)]
    done = subprocess.run(
        vspipe(
            *(EXAMPLES / f"{name}.vpy", "-e", str(last), "-a", f"source={film}"),
            *("-a", f"model={model}", *given),
        ),
        capture_output=True,
        timeout=120,
        check=False,
        env=environment(),
    )
    assert done.returncode == 0, done.stderr.decode()
    header, rest = done.stdout.split(b"\n", 1)
    words = header.decode().split()
    size = {word[0]: int(word[1:]) for word in words if word[0] in "WH"}
    deep = "p10" in header.decode()
    pixels = size["W"] * size["H"]
    frame = pixels if "Cmono" in words else pixels * 3 // 2
    step = 6 + frame * (2 if deep else 1)
    assert len(rest) == step * (last + 1)
    kind = np.dtype("<u2") if deep else np.dtype(np.uint8)
    luma = [
        np.frombuffer(rest, kind, pixels, at + 6).reshape(size["H"], size["W"])
        for at in range(0, len(rest), step)
    ]
    return words, luma


def test_all_are_there():
    assert sorted(path.stem for path in EXAMPLES.glob("*.vpy")) == sorted(NEEDS)


@pytest.mark.parametrize("name", NAMES)
def test_an_example_runs(name, film, fixed_model, tmp_path):
    words = {
        "scenes": [f"keyframes={tmp_path / 'film.keyframes'}"],
        "descale": ["native=40"],
    }
    last = 3 if name != "dvd" else 5
    header, luma = run(name, film, fixed_model, *words.get(name, ()), last=last)
    wanted = {
        "scenes": {"W384", "H256", "C420", "F24:1"},
        "descale": {"W96", "H64", "C420p10", "F24:1"},
        "dvd": {"W170", "H128", "C420p10", "F96:5"},
        "antialias": {"W192", "H128", "C420p10", "F24:1"},
        "text": {"W384", "H256", "C420", "F24:1"},
    }[name]
    assert wanted <= set(header)
    assert len({frame.tobytes() for frame in luma}) > 1
    if name == "scenes":
        lines = (tmp_path / "film.keyframes").read_text().split()
        assert lines.count("i") >= 1


@pytest.mark.slow
def test_text_is_not_redrawn(film, fixed_model):
    """In the mask the picture is Lanczos', outside it is the network's."""
    _, found = run("text", film, fixed_model, "mask=1")
    assert not found[CUT - 1].any(), "nothing white stands still there"
    mask = found[CUT + 2]
    assert (mask[4 * 42 : 4 * 48, 4 * 22 : 4 * 58] == 255).all()
    assert not mask[:100].any()
    _, luma = run("text", film, fixed_model)
    clip = vs.core.bs.VideoSource(str(film), cachemode=0)
    plain = clip.resize.Lanczos(4 * WIDTH, 4 * HEIGHT)
    network = clip.animesr.Upscale(model=str(fixed_model))
    n = CUT + 2
    with plain.get_frame(n) as a, network.get_frame(n) as b:
        assert (luma[n][mask == 255] == np.asarray(a[0])[mask == 255]).all()
        assert (luma[n][mask == 0] == np.asarray(b[0])[mask == 0]).all()
