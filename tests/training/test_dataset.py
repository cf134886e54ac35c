"""The dataset builder: what it measures, chooses and stores, and that it goes on where it was."""

import argparse
import json
import math
import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from itertools import islice, pairwise
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from training import drawings
from vsanimesr.errors import OptionError, TrainingError
from vsanimesr.training import config, pictures
from vsanimesr.training.clips import ClipStore
from vsanimesr.training.dataset import (
    analysis,
    build,
    command,
    frames,
    motion,
    quality,
    report,
    select,
)
from vsanimesr.training.dataset.analysis import Analysis
from vsanimesr.training.dataset.frames import Source
from vsanimesr.training.dataset.recipe import Clip, DatasetRecipe, Motion, Quality, Shots, Sources
from vsanimesr.training.dataset.shots import CutFinder

SIZE = (160, 96)
needs_pyiqa = pytest.mark.skipif(find_spec("pyiqa") is None, reason="pyiqa is not installed")
RECIPE = DatasetRecipe(
    sources=Sources(height=96),
    quality=Quality(method="sharpness", every=5),
    clip=Clip(frames=20, stride=4, transitions=0, test=0),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Videos, one for each thing that can become of one."""
    folder = tmp_path_factory.mktemp("videos")
    bacon = drawings.render("bacon", 40, SIZE)
    banner = drawings.render("banner", 40, SIZE, seed=1)
    starfish = drawings.render("starfish", 40, SIZE, seed=2)
    still = np.repeat(starfish[:1], 30, axis=0)
    drawings.film(folder / "cuts.mkv", [bacon, still, banner, starfish])
    drawings.film(folder / "short.mkv", [bacon[:16], banner[:16]])
    drawings.film(folder / "still.mkv", [still])
    drawings.film(folder / "small.mkv", [bacon[:, :64, :64]])
    (folder / "pictures").mkdir()
    for number, picture in enumerate(banner[:24]):
        pictures.write_png(folder / "pictures" / f"{number:04d}.png", picture)
    (folder / "broken.mkv").write_bytes((folder / "cuts.mkv").read_bytes()[:300])
    return folder


@pytest.fixture(scope="module")
def built(folder, tmp_path_factory):
    """The folder of a dataset, and the outcome of each video."""
    out = tmp_path_factory.mktemp("datasets") / "small <one>"
    return out, {one.name: one for one in run(folder, out)}


def run(folder, out, recipe=RECIPE, jobs=1, tell=lambda outcome: None):
    return build.build(frames.videos([folder]), out, recipe, jobs=jobs, tell=tell)


def content(out):
    """Everything that a build leaves, but for where and when."""
    store = ClipStore(out)
    return {name: (store.meta(name), store.read(name).tobytes()) for name in store.names()}


def measured(motions, cuts=(), flat=(), qualities=None):
    count = len(motions)
    return Analysis(
        path="x.mkv",
        source=Source(width=64, height=64, rate=24, bitrate=0, size=1, modified=1),
        recipe="",
        cuts=list(cuts),
        motion=list(motions),
        peak=[10 * one for one in motions],
        flat=[1.0 if n in flat else 0.1 for n in range(count)],
        quality=list(qualities or [50.0] * count),
    )


# What a build makes


def test_what_becomes_of_each_video(built):
    _, outcomes = built
    assert {name: one.status for name, one in outcomes.items()} == {
        "broken": "failed",
        "cuts": "made",
        "pictures": "made",
        "short": "none",
        "small": "none",
        "still": "none",
    }
    assert "broken.mkv" in outcomes["broken"].detail
    assert outcomes["short"].detail == (
        "2 good shots, with at most 16 frames on end of which none is flat; wanted 20"
    )
    assert outcomes["small"].detail == "64 rows, wanted 96"
    assert outcomes["still"].detail.startswith("nothing moves: 0")


def test_clips_are_the_frames_of_the_videos(folder, built):
    store = ClipStore(built[0])
    assert store.names() == ["cuts", "pictures"]
    for name, path in (("cuts", folder / "cuts.mkv"), ("pictures", folder / "pictures")):
        first = store.meta(name)["first"]
        wanted = list(islice(pictures.read(path), first, first + 20))
        assert np.array_equal(store.read(name), np.stack(wanted))
    first = store.meta("cuts")["first"]
    assert any(a <= first and first + 20 <= b for a, b in ((0, 40), (70, 110), (110, 150)))


def test_cuts_are_found_and_the_last_shot_is_kept(built):
    found = analysis.load((built[0] / "videos" / "cuts.json").read_bytes(), "cuts")
    assert found.cuts == [40, 70, 110]
    assert len(found.motion) == len(found.quality) == 150
    moving = [shot.motion >= 0.2 for shot in select.shots(found)]
    assert moving == [True, False, True, True]


def test_a_second_build_decodes_nothing(folder, built, monkeypatch):
    before = content(built[0])

    def refuse(*_):
        raise AssertionError("decoded again")

    monkeypatch.setattr(frames, "read", refuse)
    outcomes = {one.name: one.status for one in run(folder, built[0])}
    assert (outcomes["cuts"], outcomes["pictures"]) == ("kept", "kept")
    assert content(built[0]) == before


def test_the_same_videos_make_the_same_dataset(folder, built, tmp_path):
    chosen = {"cuts": folder / "cuts.mkv", "pictures": folder / "pictures"}
    build.build(chosen, tmp_path, RECIPE, jobs=1, tell=lambda outcome: None)
    assert content(tmp_path) == content(built[0])


def test_an_interrupted_build_goes_on(folder, tmp_path):
    (tmp_path / "clips" / ".cuts-unfinished").mkdir(parents=True)

    def stop(outcome):
        if outcome.status == "made":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(folder, tmp_path, tell=stop)
    assert [path.name for path in (tmp_path / "clips").iterdir()] == ["cuts"]
    statuses = {one.name: one.status for one in run(folder, tmp_path)}
    assert (statuses["cuts"], statuses["pictures"]) == ("kept", "made")


def test_another_choice_needs_no_new_measurements(folder, built, tmp_path, monkeypatch):
    out = tmp_path / "copy"
    shutil.copytree(built[0], out)
    monkeypatch.setattr(analysis, "analyse", None)
    longer = msgspec.structs.replace(RECIPE, clip=Clip(frames=24, transitions=1, test=1))
    statuses = {one.name: one.status for one in run(folder, out, longer)}
    assert (statuses["cuts"], statuses["pictures"]) == ("made", "made")
    store = ClipStore(out)
    assert store.names("test") == ["cuts", "pictures", "short"]  # across its cut, now
    assert store.frames("cuts") == 24
    assert store.meta("cuts")["cuts"] == [110 - store.meta("cuts")["first"]]  # of two that move
    tall = msgspec.structs.replace(longer, sources=Sources(height=97))
    assert {one.status for one in run(folder, out, tall)} == {"none", "failed"}
    assert ClipStore(out).names() == []


@pytest.mark.parametrize("change", ["source", "recipe"])
def test_what_has_changed_is_measured_anew(folder, tmp_path, change):
    video = {"v": shutil.copy(folder / "short.mkv", tmp_path / "v.mkv")}
    recipe = msgspec.structs.replace(RECIPE, clip=Clip(frames=10))
    assert build.build(video, tmp_path / "o", recipe, jobs=1, tell=print)[0].status == "made"
    file = tmp_path / "o" / "videos" / "v.json"
    old = file.read_bytes()
    if change == "source":
        os.utime(video["v"], ns=(1, 1))
    else:
        recipe = msgspec.structs.replace(recipe, motion=Motion(width=80))
    build.build(video, tmp_path / "o", recipe, jobs=1, tell=print)
    assert file.read_bytes() != old


@pytest.mark.parametrize("harm", ["meta", "frames"])
def test_a_damaged_clip_is_made_anew(folder, tmp_path, harm):
    shutil.copytree(folder / "pictures", tmp_path / "in" / "pictures")
    store, clip = ClipStore(tmp_path / "out"), tmp_path / "out" / "clips" / "pictures"
    assert [one.status for one in run(tmp_path / "in", tmp_path / "out")] == ["made"]
    if harm == "meta":
        (clip / "meta.json").write_text("{")
    else:
        (clip / "frames.b2nd").unlink()
    with pytest.raises(TrainingError, match="remove the folder and build again"):
        ClipStore(tmp_path / "out").read("pictures")
    assert [one.status for one in run(tmp_path / "in", tmp_path / "out")] == ["made"]
    assert len(store.read("pictures")) == 20


def test_damaged_measurements_are_named(folder, built, tmp_path):
    out = tmp_path / "copy"
    shutil.copytree(built[0], out)
    (out / "videos" / "cuts.json").write_text("{")
    outcomes = {one.name: one for one in run(folder, out)}
    assert "cuts.json: damaged" in outcomes["cuts"].detail
    assert outcomes["pictures"].status == "kept"


@pytest.mark.slow
def test_processes_make_the_same_dataset(folder, built, tmp_path):
    told = []
    outcomes = run(folder, tmp_path, jobs=2, tell=told.append)
    assert outcomes == list(built[1].values())
    assert sorted(one.name for one in told) == [one.name for one in outcomes]
    assert content(tmp_path) == content(built[0])


KILLED = """
import os, signal, sys
from pathlib import Path
from vsanimesr.training.dataset import build, frames
from training.test_dataset import RECIPE
def kill(outcome):
    if outcome.status == "made":
        os.kill(os.getpid(), signal.SIGKILL)
if __name__ == "__main__":
    folder, out = map(Path, sys.argv[1:])
    build.build(frames.videos([folder]), out, RECIPE, jobs=2, tell=kill)
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="no SIGKILL")
def test_a_killed_build_leaves_no_process_and_goes_on(folder, built, tmp_path):
    script = tmp_path / "build.py"
    script.write_text(KILLED)
    done = subprocess.run(
        [sys.executable, script, folder, tmp_path / "out"],
        stdout=subprocess.PIPE,  # its end comes when the last process that has it has ended
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        timeout=120,
        check=False,
    )
    assert done.returncode == -9
    assert {one.status for one in run(folder, tmp_path / "out")} >= {"kept"}
    assert content(tmp_path / "out") == content(built[0])


# Choosing


@settings(deadline=None)
@given(st.data())
def test_a_clip_lies_within_a_shot_that_moves(data):
    count = data.draw(st.integers(40, 120))
    cuts = sorted(data.draw(st.sets(st.integers(1, count - 1), max_size=4)))
    speeds = data.draw(st.lists(st.sampled_from([0.0, 1.0, 3.0]), min_size=5, max_size=5))
    flat = data.draw(st.sets(st.integers(0, count - 1), max_size=2))
    borders = [0, *cuts, count]
    motions = [
        speed for (a, b), speed in zip(pairwise(borders), speeds, strict=False) for _ in range(a, b)
    ]
    # What crosses a cut moves wildly, and must not count.
    motions = [99.0 if n in cuts else value for n, value in enumerate(motions)]
    video = measured(motions, cuts, flat)
    clip = Clip(frames=12, stride=5)
    chosen = select.choose(video, clip, Motion(), Quality(discard=0), transition=False)
    spans = [
        (speed, first)
        for (a, b), speed in zip(pairwise(borders), speeds, strict=False)
        if speed and b - a > 1
        for first in range(a, b - 11)
        if not flat & {*range(first, first + 12)}
    ]
    if isinstance(chosen, str):
        assert not spans
    else:
        assert chosen.motion == max(speed for speed, _ in spans)
        assert (chosen.motion, chosen.first) in spans
        assert chosen.cuts == []
        assert chosen.score == pytest.approx(10 * chosen.motion / 150 + 50)


def test_the_score_weighs_motion_and_quality():
    video = measured([1.0] * 30 + [4.0] * 30, [30], qualities=[50.5] * 30 + [50.0] * 30)

    def choose(**weights):
        return select.choose(
            video, Clip(frames=30, **weights), Motion(), Quality(discard=0), transition=False
        ).first

    assert choose() == 0  # 10 / 150 + 50.5 against 40 / 150 + 50
    assert choose(motion=1 / 30) == 30
    assert choose(quality=0.0) == 30


def test_the_worst_shots_are_discarded():
    video = measured([1.0] * 60, [20, 40], qualities=[10.0] * 20 + [None] * 20 + [20.0] * 20)

    def choose(**bounds):
        return select.choose(
            video,
            Clip(frames=20, quality=0, motion=0),
            Motion(),
            Quality(**bounds),
            transition=False,
        )

    assert choose(discard=0).first == 0
    assert choose(discard=0.5).first == 20
    assert choose(discard=0, least=15).first == 40
    assert choose(discard=0, least=30) == "no shot of 3 has a score of 30"


def test_a_transition_lies_between_two_good_shots():
    video = measured([1.0] * 30 + [0.0] * 30 + [1.0] * 60, [30, 60, 90])

    def choose(video):
        return select.choose(video, Clip(frames=20), Motion(), Quality(discard=0), transition=True)

    found = choose(video)
    assert found.first < 90 < found.first + 20
    assert found.cuts == [90 - found.first]
    assert choose(measured([1.0] * 30)).cuts == []  # has none: as any other


def test_draws_are_by_seed_and_name_alone():
    names = [f"video {n}" for n in range(4000)]
    test = [select.drawn(0, "test", name, 30 / 583) for name in names]
    assert abs(np.mean(test) - 30 / 583) < 0.014  # four standard deviations
    assert test == [select.drawn(0, "test", name, 30 / 583) for name in names]
    assert test != [select.drawn(1, "test", name, 30 / 583) for name in names]
    assert test != [select.drawn(0, "transition", name, 30 / 583) for name in names]
    # More videos to test: those that were stay.
    assert all(select.drawn(0, "test", n, 0.1) for n, was in zip(names, test, strict=True) if was)


# Measuring


@pytest.mark.parametrize("detector", ["content", "adaptive"])
def test_cuts_of_both_detectors(detector):
    finder = CutFinder(Shots(detector=detector))
    for name, count in (("bacon", 30), ("starfish", 20)):
        for picture in drawings.render(name, count, (96, 64), seed=4):
            finder.see(picture)
    assert finder.cuts() == [30]


def moved(step, count=4, width=320):
    wide = cv2.GaussianBlur(
        np.random.default_rng(0).integers(0, 256, (128, width + 64, 3), np.uint8), (0, 0), 3
    )
    wide = cv2.normalize(wide, None, 0, 255, cv2.NORM_MINMAX)
    return [wide[:, 32 - step * n : 32 - step * n + width] for n in range(count)]


@pytest.mark.parametrize("width", [320, 160])
def test_motion_is_in_pixels_of_the_video(width):
    meter = motion.Speedometer(motion.load("dis"), width)
    first, *_, (mean, most) = [meter.see(picture) for picture in moved(3)]
    assert first == (0, 0)
    assert mean == pytest.approx(3, rel=0.1)
    assert 2.7 < most < 9


@pytest.mark.slow
def test_raft_takes_weights_from_a_file(tmp_path):
    optical_flow = pytest.importorskip("torchvision.models.optical_flow")
    torch.manual_seed(0)
    torch.save(optical_flow.raft_small().state_dict(), tmp_path / "small.pth")
    flow = motion.load("raft", tmp_path / "small.pth")
    one, two = moved(3, 2, width=140)
    result = flow(one, two)
    assert result.shape == (128, 140, 2)
    assert np.isfinite(result).all()
    (tmp_path / "bad.pth").write_bytes(b"no weights")
    with pytest.raises(TrainingError, match=r"bad\.pth: not torchvision's weights"):
        motion.load("raft", tmp_path / "bad.pth")


@needs_pyiqa
def test_weights_that_are_not_there_are_named(tmp_path):
    with pytest.raises(TrainingError, match=r"no weights of RAFT at .*none\.pth; put .*raft_large"):
        motion.load("raft", tmp_path / "none.pth")
    with pytest.raises(TrainingError, match=r"no weights of HyperIQA at .*HyperIQA-resnet50"):
        quality.load("hyperiqa", tmp_path / "none.pth")


def test_without_pyiqa_its_measures_say_so(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(TrainingError, match=r"'niqe' needs pyiqa, .*animesr\[iqa\]"):
        quality.load("niqe")


def test_sharpness_and_flatness():
    picture = drawings.render("bacon", 1, SIZE)[0]
    soft = cv2.GaussianBlur(picture, (0, 0), 2)
    assert quality.sharpness(picture) > 2 * quality.sharpness(soft) > 0
    half = np.zeros((4, 4, 3), np.uint8)
    half[:2] = 255
    assert quality.flatness(half) == 0.5
    assert quality.flatness(half[:2]) == 1


@needs_pyiqa
def test_niqe_is_turned_round_and_knows_when_to_be_silent(monkeypatch):
    def judge(images):
        if images.max() == 0:
            return torch.linalg.svdvals(images[0, 0] / 0)  # raises as NIQE does there
        return images.mean((1, 2, 3))

    monkeypatch.setattr("vsanimesr.training.measures.pristine.niqe", lambda: judge)
    measure = quality.load("niqe")
    assert measure(np.full((8, 8, 3), 51, np.uint8)) == pytest.approx(-0.2)
    assert math.isnan(measure(np.zeros((8, 8, 3), np.uint8)))


def test_jpeg_frames_are_as_many_and_nearly_the_same(folder):
    direct = list(frames.read(folder / "short.mkv", "direct"))
    through = list(frames.read(folder / "short.mkv", "jpeg"))
    assert len(through) == len(direct) == 32
    for a, b in zip(direct, through, strict=True):
        assert not np.array_equal(a, b)
        assert np.abs(a.astype(int) - b).mean() < 2  # the film's chroma is at half resolution, too


# Sources, recipe, command, report


def test_sources(folder, tmp_path):
    found = frames.videos([folder, folder / "cuts.mkv"])
    assert [*found] == ["broken", "cuts", "pictures", "short", "small", "still"]
    with pytest.raises(TrainingError, match="none: no such file, or a folder without videos"):
        frames.videos([tmp_path / "none"])
    (tmp_path / "cuts.mp4").touch()
    with pytest.raises(TrainingError, match="would both make the clip cuts; rename one"):
        frames.videos([folder, tmp_path])
    probed = frames.probe(folder / "cuts.mkv")
    assert (probed.width, probed.height, probed.rate) == (160, 96, 24)
    assert probed.bitrate > 0
    low = msgspec.structs.replace(RECIPE, sources=Sources(height=96, bitrate=10**6))
    path = folder / "cuts.mkv"
    refused = build.build({"cuts": path}, tmp_path, low, jobs=1, tell=print)[0]
    assert re.fullmatch(r"\d+ kbit/s, wanted 1000000", refused.detail)


def test_what_a_folder_holds_besides(folder, tmp_path):
    for name in ("cover.jpg", "film.srt", "notes.txt"):
        (tmp_path / name).write_text("nothing")
    with pytest.raises(TrainingError, match="a folder without videos"):
        frames.videos([tmp_path])
    (tmp_path / "Film.MKV").touch()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "Film.mkv").touch()
    assert [*frames.videos([tmp_path], tmp_path / "out")] == ["Film"]
    assert [*frames.videos([tmp_path / "notes.txt"])] == ["notes"]


def test_damage_is_told(folder, tmp_path):
    whole = (folder / "cuts.mkv").read_bytes()
    (tmp_path / "short.mkv").write_bytes(whole[: len(whole) // 2])
    third = len(whole) // 3
    rubbish = bytes(n * 37 % 251 for n in range(third))
    (tmp_path / "torn.mkv").write_bytes(whole[:third] + rubbish + whole[2 * third :])
    assert frames.doubt(folder / "cuts.mkv", 150) == ""
    assert frames.doubt(folder / "cuts.mkv", 100) == "damaged: 100 of 150 frames could be decoded"
    outcomes = {one.name: one for one in run(tmp_path, tmp_path / "out")}
    assert re.search(r"cut short: ends after \d\.\d of 6\.\d sec", outcomes["short"].detail)
    assert re.match("damaged|cut short", outcomes["torn"].detail)


def test_one_frame_is_too_few():
    found = select.choose(
        measured([0.0]), RECIPE.clip, RECIPE.motion, RECIPE.quality, transition=False
    )
    assert found == "1 frames, wanted 20"


def test_rows_that_are_padded(tmp_path):
    """PyAV's pictures of such widths have gaps between rows."""
    clip = np.random.default_rng(0).integers(0, 256, (3, 46, 86, 3), np.uint8)
    path = drawings.film(tmp_path / "film.mkv", [clip])
    read = list(pictures.read(path))
    assert all(one.flags.c_contiguous for one in read)
    ClipStore(tmp_path / "store").write("film", read, "train", {})
    assert np.array_equal(ClipStore(tmp_path / "store").read("film"), np.stack(read))


def test_the_recipe_on_file_is_the_default():
    recipe = config.load(Path(__file__).parents[2] / "training/dataset.toml", DatasetRecipe)
    clip = msgspec.structs.replace(recipe.clip, motion=1 / 150, test=30 / 583)
    assert recipe.clip.motion == pytest.approx(1 / 150, rel=1e-5)
    assert recipe.clip.test == pytest.approx(30 / 583, rel=1e-3)
    assert msgspec.structs.replace(recipe, clip=clip) == DatasetRecipe()


@pytest.mark.parametrize(
    ("tables", "said"),
    [
        ({"motion": Motion(method="raft")}, r"motion\.file: None for 'raft'"),
        ({"motion": Motion(file=Path("x"))}, r"motion\.file: x for 'dis', wanted none"),
        ({"quality": Quality(method="hyperiqa")}, r"quality\.file: None for 'hyperiqa'"),
        ({"quality": Quality(every=101)}, r"quality\.every: 101, wanted 100 or less"),
    ],
)
def test_recipes_that_contradict_themselves(tables, said):
    with pytest.raises(OptionError, match=said):
        DatasetRecipe(**tables)


def call(*words):
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return command.run(parser.parse_args([str(word) for word in words]))


def test_the_command(folder, tmp_path, caplog):
    caplog.set_level("INFO", "vsanimesr")
    (tmp_path / "r.toml").write_text(
        '[sources]\nheight = 96\n[quality]\nmethod = "sharpness"\nevery = 5\n[clip]\nframes = 20\n'
    )
    options = ("--recipe", tmp_path / "r.toml", "--jobs", 1)
    out = tmp_path / "out"
    assert call("build", folder / "pictures", out, *options) == 0
    assert call("build", folder / "pictures", folder / "broken.mkv", out, *options) == 1
    assert "0 clips made, 1 kept, 0 videos without one, 1 failed" in caplog.text
    assert "broken: failed: " in caplog.text
    caplog.clear()
    assert call("inspect", out, "--verify") == 0
    assert "160x96      20 frames" in caplog.text
    assert "DAMAGED" not in caplog.text
    file = out / "clips" / "pictures" / "frames.b2nd"
    file.write_bytes(file.read_bytes()[:-1])
    assert call("inspect", out, "--verify") == 1
    assert "20 frames  DAMAGED" in caplog.text
    with pytest.raises(TrainingError, match="--jobs 0, wanted 1 or more"):
        call("build", folder, out, "--jobs", 0)
    with pytest.raises(TrainingError, match="no clips there"):
        call("inspect", tmp_path / "nowhere")


def test_the_report_shows_clips_and_what_has_none(built):
    html = report.write(built[0]).read_text()
    assert "<title>Dataset small &lt;one&gt;</title>" in html
    assert "Clips: 2, to train 2, to test 0" in html
    for name in ("cuts", "pictures"):
        assert f"<figcaption><b>{name}</b>" in html
    assert html.count("data:image/jpeg;base64,") == 6
    assert html.count("data:image/png;base64,") == 1
    rows = re.findall(r'<tr class="(\w+)"><td>(\w+)</td>', html)
    assert rows == [("failed", "broken"), ("none", "short"), ("none", "small"), ("none", "still")]
    assert "2 good shots, with at most 16 frames on end" in html
    assert not re.search(r'(src|href)="(?!data:)', html)  # all in one file
    record = json.loads((built[0] / "build.json").read_text())
    assert record["recipe"]["clip"]["frames"] == 20


def test_a_store_that_was_not_built_has_a_report_too(tmp_path):
    ClipStore(tmp_path).write("x", [np.zeros((32, 32, 3), np.uint8)] * 3, "test", {})
    html = report.write(tmp_path).read_text()
    assert "to train 0, to test 1" in html
    assert "<b>x</b>" in html
