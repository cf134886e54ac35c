"""A comparison's files, and what is refused."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import vapoursynth as vs
from clips import source
from PIL import Image

from vsanimesr.cli import main
from vsanimesr.compare import job, natural
from vsanimesr.compare.choose import KINDS
from vsanimesr.compare.job import compare
from vsanimesr.compare.look import rgb
from vsanimesr.compare.measures import psnr, ssim
from vsanimesr.compare.render import clock, folder_name
from vsanimesr.errors import CompareError

COLUMNS = ["1 bicubic", "2 own", "3 exact", "4 other"]


@pytest.fixture
def film():
    return source(66, 24, 16, cuts=(20, 44), format=vs.YUV420P8)


def choice(folder):
    return json.loads((folder / "frames.json").read_text())


def png(path):
    with Image.open(path) as image:
        assert image.format == "PNG"
        return np.asarray(image)


def test_a_folder_a_column_and_a_file_a_frame(compared):
    (clip,) = choice(compared)["clips"]
    frames = [one["frame"] for one in clip["frames"]]
    folder = compared / "pictures/1 film"
    assert sorted(path.name for path in folder.iterdir() if path.is_dir()) == COLUMNS
    for name in COLUMNS:
        found = sorted(path.name for path in (folder / name).iterdir())
        assert found == [f"{n:04}.png" for n in frames]
    assert len(frames) == 20
    assert {one["why"] for one in clip["frames"]} >= {"named", *KINDS}
    assert [one["frame"] for one in clip["frames"] if one["why"] == "named"] == [7]
    assert {20, 44} & set(frames)


def test_pictures_are_the_frames(compared, film, fixed_model, pixels):
    clips = {
        "1 bicubic": film.resize.Bicubic(96, 64),
        "2 own": film.animesr.Upscale(model=str(fixed_model), device="cpu", block=16, warmup=2),
        "3 exact": film.resize.Point(96, 64),
        "4 other": film.resize.Bilinear(48, 32).resize.Bicubic(96, 64),
    }
    n = choice(compared)["clips"][0]["frames"][-1]["frame"]
    for name, clip in clips.items():
        expected = pixels(clip.resize.Bicubic(format=vs.RGB24), n)
        assert (png(compared / f"pictures/1 film/{name}/{n:04}.png") == expected).all(), name


def test_strips_are_rows_of_the_frames(compared, film, pixels):
    strip = choice(compared)["clips"][0]["strip"]
    assert strip["length"] == 60
    clip = film.resize.Point(96, 64).resize.Bicubic(format=vs.RGB24)
    for row in strip["rows"]:
        found = png(compared / f"strips/1 film/3 exact, row {row:04}.png")
        assert found.shape == (60, 96, 3)
        for i in (0, 59):
            assert (found[i] == pixels(clip, strip["first"] + i)[4 * row + 2]).all()


def test_names_for_slow_pics(compared):
    folder = compared / "pictures/1 film"
    content = json.loads((folder / "slowpics.json").read_text())
    clip = choice(compared)["clips"][0]
    assert len(content["comparisons"]) == 20
    last, n = content["comparisons"][-1], clip["frames"][-1]["frame"]
    assert last["name"] == f"{clock(n / 24)} / {n}"
    assert [image["name"] for image in last["images"]] == ["bicubic", "own", "exact", "other"]
    assert all((folder / image["file"]).is_file() for image in last["images"])


def test_the_measures(compared):
    (clip,) = json.loads((compared / "measures.json").read_text())
    by = {column["label"]: column for column in clip["columns"]}
    exact = by["exact"]["means"]
    assert exact["faithful"] > 42, "points averaged again are the source, but for its chroma"
    assert abs(exact["brightness"]) < 0.5
    assert by["bicubic"]["means"]["detail"] < exact["detail"]
    assert all(len(column["frames"]) == 20 for column in by.values())
    assert all(column["means"]["boiling"] > 0 for column in by.values())


def test_the_same_choice_again_with_other_columns(compared, wish, tmp_path):
    again = wish(
        folder=tmp_path, columns=("point", "lanczos"), repeat=compared / "frames.json", seed=5
    )
    compare(again)
    assert choice(tmp_path)["clips"] == choice(compared)["clips"]


def test_originals_are_measured_against(scripts, tmp_path, capsys):
    words = ["--columns", "point", "bicubic", "--originals", str(scripts / "large.vpy")]
    (scripts / "large.vpy").write_text(
        "import vapoursynth as vs\nfrom clips import source\n"
        "clip = source(66, 24, 16, cuts=(20, 44), format=vs.YUV420P8)\n"
        "clip.resize.Point(96, 64).set_output()\n"
    )
    film = str(scripts / "film.vpy")
    assert main(["compare", film, "--out", str(tmp_path), "--count", "3", *words]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'comparison.html'}\n"
    (clip,) = json.loads((tmp_path / "measures.json").read_text())
    labels = [column["label"] for column in clip["columns"]]
    assert labels == ["point", "bicubic", "original"]
    point, bicubic, _ = (column["means"] for column in clip["columns"])
    assert point["ssimulacra2"] > 99 > bicubic["ssimulacra2"]
    assert bicubic["psnr"] < 60
    assert point["psnr"] is None, "infinite"
    assert point["ssim"] == 1 > bicubic["ssim"] > 0.5
    assert "\N{INFINITY}" in (tmp_path / "comparison.html").read_text()


def test_two_sources_on_one_page(scripts, tmp_path):
    film = str(scripts / "film.vpy")
    words = ["--columns", "point", "--count", "2", "--rows", "1"]
    assert main(["compare", film, film, "--out", str(tmp_path), *words]) == 0
    names = sorted(path.name for path in (tmp_path / "pictures").iterdir())
    assert names == ["1 film", "2 film"]
    assert len(choice(tmp_path)["clips"]) == 2


def test_untagged_video_is_read_by_its_size(pixels):
    clip = vs.core.std.BlankClip(None, 64, 48, vs.YUV420P8, length=1, color=[80, 100, 200])
    tagged = clip.std.SetFrameProps(_Matrix=vs.MATRIX_ST170_M).resize.Bicubic(format=vs.RGB24)
    assert (pixels(rgb(clip), 0) == pixels(tagged, 0)).all()
    other = clip.std.SetFrameProps(_Matrix=vs.MATRIX_BT709)
    wanted = pixels(other.resize.Bicubic(format=vs.RGB24), 0)
    assert (pixels(rgb(other), 0) == wanted).all(), "a frame that says it is believed"
    assert pixels(rgb(clip.resize.Bicubic(format=vs.GRAY16)), 0).shape == (48, 64, 3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sources": ["none.mkv"]}, "none.mkv is not there, wanted a video file or a script"),
        ({"columns": ["nonsense"]}, "column nonsense is no scaler that works here .*bicubic"),
        ({"columns": ["point", "point"]}, "two columns are called point; name one"),
        ({"columns": ["{}/other.vpy:2"]}, "other.vpy:2 gives 3 frames, film.vpy has 66"),
        ({"columns": ["{}/other.vpy:7"]}, "other.vpy sets no video as output 7"),
        ({"columns": ["{}/broken.vpy"]}, "broken.vpy fails: ZeroDivisionError"),
        ({"columns": ["gone.vpy"]}, "gone.vpy is not there"),
        ({"columns": ["{}/text.pth"]}, "text.pth"),
        ({"columns": []}, "no columns, wanted at least one"),
        ({"frames": [66]}, "frame 66 was named, the clip has frames 0 to 65"),
        ({"count": 0}, "count=0, rows=3, wanted: 1 or more"),
        ({"originals": ["a", "b"]}, "2 originals for 1 sources, wanted: one for each"),
        ({"originals": ["{}/film.vpy"]}, "film.vpy is 24x16 of 66 frames, wanted 96x64 of 66"),
        ({"repeat": "{}/film.vpy"}, "film.vpy is no choice of frames"),
        ({"repeat": "{}/gone.json"}, "cannot read the choice of frames .*gone.json: No such file"),
        ({"repeat": "{}/other.json"}, "made from x.mkv of 9 frames and does not fit film.vpy"),
        ({"repeat": "{}/new.json"}, "is of format 2, wanted 1"),
        ({"columns": ["point"], "options": {"scale": 400}}, "too much for one page; wanted: at"),
    ],
)
def test_what_cannot_be_compared(wish, scripts, tmp_path, change, message):
    (scripts / "broken.vpy").write_text("1 / 0\n")
    (scripts / "text.pth").write_text("no weights\n")
    clip = {"source": "x.mkv", "length": 9, "frames": [{"frame": 1, "why": "dark"}]}
    clip["strip"] = {"first": 0, "length": 9, "rows": [1]}
    (scripts / "other.json").write_text(json.dumps({"format": 1, "seed": 0, "clips": [clip]}))
    (scripts / "new.json").write_text('{"format": 2}')

    filled = {}
    for name, value in change.items():
        kind = Path if name in ("sources", "originals", "repeat") else str
        if isinstance(value, str):
            filled[name] = kind(value.format(scripts))
        elif isinstance(value, list) and name != "frames":
            filled[name] = [kind(one.format(scripts)) for one in value]
        else:
            filled[name] = value
    with pytest.raises(CompareError, match=rf"^compare: .*{message}"):
        compare(wish(folder=tmp_path / "out", **filled))
    assert not (tmp_path / "out/comparison.html").exists()


def test_an_earlier_comparison_is_not_replaced(compared, wish):
    with pytest.raises(CompareError, match="exists; name another folder, or give --overwrite"):
        compare(wish(folder=compared))


def test_names_of_folders():
    assert folder_name(3, 'a/b:"c"') == "3 a_b__c_"
    assert folder_name(1, "dots. . ") == "1 dots"
    assert folder_name(2, "..") == "2"
    assert len(folder_name(1, "x" * 300)) < 70


def test_clock():
    assert clock(0) == "0:00:00.000"
    assert clock(3661.9996) == "1:01:02.000"


def test_psnr_of_a_known_error():
    a = np.zeros((4, 4), np.uint8)
    assert psnr(a, a + 1) == pytest.approx(48.1308, abs=1e-4)


def test_ssim_is_that_of_the_trainer():
    """Which is scikit-image's."""
    import torch

    from vsanimesr.training.measures import fidelity

    random = np.random.default_rng(1)
    a = random.uniform(0, 255, (40, 61)).astype(np.float32)
    b = np.clip(a + random.normal(0, 20, a.shape), 0, 255).astype(np.float32)
    ours, tensors = ssim(a, b), [torch.from_numpy(x)[None, None].double() / 255 for x in (a, b)]
    assert ours == pytest.approx(float(fidelity.ssim(*tensors)), abs=1e-9)
    assert 0.5 < float(fidelity.ssim(*tensors)) < 0.99
    assert ssim(a[:10], b[:10]) is None


def test_niqe_is_a_column_where_it_is_asked_for(wish, tmp_path, monkeypatch):
    monkeypatch.setattr(job, "niqe", lambda: lambda picture: float(picture.shape[0]))
    compare(wish(folder=tmp_path, columns=("point",), count=2, niqe=True))
    (clip,) = json.loads((tmp_path / "measures.json").read_text())
    assert clip["columns"][0]["means"]["niqe"] == 64
    assert "NIQE" in (tmp_path / "comparison.html").read_text()


def test_niqe_without_its_parts(wish, tmp_path, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *a: None if name == "pyiqa" else find(name, *a)
    )
    with pytest.raises(CompareError, match="--niqe needs pyiqa, which is missing"):
        compare(wish(folder=tmp_path, niqe=True))


@pytest.mark.slow
def test_niqe_of_pyiqa():
    pytest.importorskip("pyiqa")
    random = np.random.default_rng(0)
    noise = random.integers(0, 256, (200, 200, 3), np.uint8)
    smooth = np.repeat(np.repeat(noise[:10, :10], 20, 0), 20, 1)
    measure = natural.niqe()
    found = measure(noise)
    assert found is not None
    assert found > 5
    assert measure(noise) != measure(smooth)
    assert measure(noise[:90]) is None
