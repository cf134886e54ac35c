"""The input-rescaling strategy: pairs of any size, where they lie, which factor is chosen."""

import argparse
import base64
import re
from pathlib import Path

import av
import cv2
import msgspec
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from training import drawings
from vsanimesr.errors import TrainingError
from vsanimesr.network import Network
from vsanimesr.training import pictures
from vsanimesr.training.networks import stream
from vsanimesr.training.rescale import artifacts, command, contact, pairs, resolution, strategy


def bicubic(frames):
    """A model that only enlarges."""
    for frame in frames:
        yield F.interpolate(frame[None], scale_factor=4, mode="bicubic", align_corners=False)[0]


def blob(height, width, x, y, sigma):
    """A bright spot whose centre lies at (x, y), measured from the outer corner in pixels."""
    rows, columns = np.mgrid[:height, :width] + 0.5
    spot = np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (2 * sigma**2))
    return np.repeat((20 + 200 * spot).round().astype(np.uint8)[..., None], 3, axis=2)


def centre(picture):
    weight = picture[..., 1].astype(np.float64) - 20
    weight[weight < 8] = 0
    rows, columns = np.mgrid[: weight.shape[0], : weight.shape[1]] + 0.5
    return (weight * columns).sum() / weight.sum(), (weight * rows).sum() / weight.sum()


def drawing(height, width):
    """Flat shapes with outlines."""
    random = np.random.default_rng(1)
    picture = np.full((height, width, 3), 225, np.uint8)
    for _ in range(6):
        middle = (int(random.integers(width)) * 8, int(random.integers(height)) * 8)
        radius = int(random.integers(6, 20)) * 8
        fill = tuple(int(level) for level in random.integers(60, 220, 3))
        cv2.circle(picture, middle, radius, fill, -1, cv2.LINE_AA, 3)
        cv2.circle(picture, middle, radius, (20, 20, 20), 8, cv2.LINE_AA, 3)
    return picture


def spoilt(height, width):
    """A drawing enlarged twice, with noise about its edges that shrinking by half takes away."""
    picture = cv2.resize(
        drawing(height // 2, width // 2), (width, height), interpolation=cv2.INTER_CUBIC
    )
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    edges = cv2.morphologyEx(grey, cv2.MORPH_GRADIENT, np.ones((3, 3))) > 40
    about = cv2.dilate(edges.astype(np.uint8), np.ones((9, 9)))
    rows, columns = np.mgrid[:height, :width]
    noise = 18 * (2 * ((rows + columns) % 2) - 1) * about
    return np.clip(picture + noise[..., None].astype(np.float32), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("height", [270, 360, 540, 1080])
@pytest.mark.parametrize("factor", strategy.FACTORS)
def test_a_pseudo_hr_has_twice_the_size_of_its_frame(height, factor):
    frame = np.zeros((height, 23, 3), np.uint8)
    (image,) = strategy.pseudo_hr([frame], factor, bicubic)
    assert image.shape == (2 * height, 46, 3)
    assert image.dtype == np.uint8


@pytest.mark.parametrize("factor", [0.1, 0.5, 0.7])
def test_the_network_takes_every_size_too(factor, fixed_weights):
    frames = np.random.default_rng(3).integers(0, 256, (2, 54, 34, 3), np.uint8)
    images = list(strategy.pseudo_hr(list(frames), factor, stream.recurrent(fixed_weights)))
    assert [image.shape for image in images] == [(108, 68, 3)] * 2


@pytest.mark.parametrize("resample", list(strategy.RESAMPLE))
@pytest.mark.parametrize("factor", strategy.FACTORS)
@pytest.mark.parametrize(("height", "width"), [(90, 121), (135, 96)])
def test_nothing_moves(factor, resample, height, width):
    """What lies at (x, y) of the frame lies at (2x, 2y); half a pixel of shift would be 1 here."""
    x, y = 0.37 * width, 0.58 * height
    frame = blob(height, width, x, y, sigma=9)
    (image,) = strategy.pseudo_hr([frame], factor, bicubic, resample)
    assert centre(image) == pytest.approx((2 * x, 2 * y), abs=0.2)


def test_a_stream_is_the_clip_and_padding_is_replication(fixed_weights):
    clip = torch.rand(5, 3, 12, 16, generator=torch.manual_seed(1))
    network = Network.from_weights(fixed_weights)
    with torch.inference_mode():
        wanted = network(clip[None])[0]
        padded = F.pad(clip[:, :, :11, :13], (0, 3, 0, 1), mode="replicate")
        cropped = network(padded[None])[0, :, :, :44, :52]
    upscale = stream.recurrent(fixed_weights)
    torch.testing.assert_close(torch.stack(list(upscale(clip))), wanted)
    torch.testing.assert_close(torch.stack(list(upscale(clip[:, :, :11, :13]))), cropped)
    assert list(upscale([])) == []


@pytest.mark.parametrize(("name", "sigma"), [("starfish", 0), ("dalek", 0), ("dalek", 3)])
@pytest.mark.parametrize("factor", [0.3, 0.5, 0.7])
def test_the_factor_is_how_large_it_was_drawn(name, sigma, factor):
    """Not always: benchmarks/rescale_judged.py counts."""
    (drawn,) = drawings.render(name, 1, size=(448, 320))
    small = cv2.resize(drawn, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    picture = cv2.resize(small, (448, 320), interpolation=cv2.INTER_LINEAR)
    noise = np.random.default_rng(1).normal(0, sigma, picture.shape)
    frame = np.clip(picture + noise + 0.5, 0, 255).astype(np.uint8)
    assert resolution.native([frame]) == pytest.approx(factor, abs=0.151)


def test_artefacts_about_edges_have_more_about_them():
    probe = strategy.Probe(0, [spoilt(240, 320)])
    _, ranked, native = strategy.compare([probe], bicubic, patches=6)
    by_factor = {one.factor: one for one in ranked}
    assert by_factor[0.5].halo < 0.5 * by_factor[1.0].halo
    assert by_factor[0.1].kept < 0.8 < by_factor[0.5].kept
    assert ranked[0].factor == pytest.approx(native, abs=0.051)
    assert ranked[-1].factor == 0.1


def test_a_drawing_without_artefacts_is_not_shrunk_away():
    probe = strategy.Probe(0, [drawing(240, 320)])
    _, ranked, _ = strategy.compare([probe], bicubic, patches=6)
    assert ranked[0].factor >= 0.9


@pytest.mark.parametrize("size", [(4, 4), (30, 46), (200, 200), (1, 1)])
def test_where_there_is_nothing_to_tell_by_it_is_the_whole_size(size):
    assert resolution.native([np.full((*size, 3), 90, np.uint8)]) == 1.0


def test_ranks_are_by_distance_and_the_larger_first():
    made = [
        artifacts.Statistics(factor=one, halo=0, strength=0, kept=0) for one in strategy.FACTORS
    ]
    order = [one.factor for one in artifacts.rank(made, 0.55)]
    assert order[:4] == [0.6, 0.5, 0.7, 0.4]


def test_patches_are_where_the_edges_are():
    picture = np.full((96, 96, 3), 200, np.uint8)
    picture[40:48, 70:90] = 10
    texture = np.random.default_rng(5).integers(150, 250, (32, 32, 3), np.uint8)
    picture[64:, :32] = texture  # more gradient in all, but nothing flat beside it
    assert artifacts.edge_patches(picture, 32, 1) == [(64, 32)]
    assert len(artifacts.edge_patches(picture, 32, 50)) == 9
    assert artifacts.edge_patches(picture[:20, :20], 32, 2) == [(0, 0)]


def test_the_sheet_has_every_picture_in_the_order_of_the_rank(tmp_path):
    probe = strategy.Probe(7, [spoilt(64, 96)])
    trials, ranked, native = strategy.compare([probe], bicubic, [0.3, 0.5, 1.0], patches=2)
    facts = {"native": native, "video": "<clip>", "model": "m"}
    contact.write(tmp_path / "contact.html", trials, ranked, **facts)
    assert f"drawn at {native:g} of its size" in " ".join(
        (tmp_path / "contact.html").read_text().split()
    )
    html = (tmp_path / "contact.html").read_text()
    assert "&lt;clip&gt;" in html
    assert not re.search(r"(src|href)=\"(?!data:)", html)  # nothing outside the file
    shown = [
        cv2.imdecode(np.frombuffer(base64.b64decode(png), np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
        for png in re.findall(r"base64,([^\"]+)", html)
    ]
    wanted = [
        picture
        for trial in trials
        for picture in (trial.source, *(trial.enlarged[one.factor] for one in ranked))
    ]
    assert len(wanted) == 2 * 4
    for a, b in zip(shown, wanted, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.fixture
def video(tmp_path):
    folder = tmp_path / "video"
    folder.mkdir()
    for number in range(10):
        frame = np.roll(spoilt(30, 46), number, axis=1)
        cv2.imwrite(str(folder / f"{number:03d}.png"), frame[..., ::-1])
    return folder


def record(**changes):
    facts = {"video": "video", "width": 46, "height": 30, "frames": 10, "model": "m"}
    facts |= {"factor": 0.7, "resample": "area", "length": 3, "clips": [0, 3, 7]} | changes
    return pairs.Record(settings=pairs.Settings(**facts), why="test", statistics=[])


def content(folder):
    return {path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*.png"))}


def test_pairs_are_the_frames_and_their_pseudo_hr(video, tmp_path):
    assert list(pairs.write(tmp_path / "out", video, record(), bicubic)) == [0, 2, 4, 6]
    frames = list(pictures.read(video))
    names = [f"{number:08d}.png" for number in (1, 2, 4, 5, 8, 9)]
    for side in ("lr", "hr"):
        assert sorted(p.name for p in (tmp_path / "out" / side).iterdir()) == names
    lr, hr = ([*pictures.read(tmp_path / "out" / side)] for side in ("lr", "hr"))
    np.testing.assert_array_equal(lr, [frames[n] for n in (1, 2, 4, 5, 8, 9)])
    np.testing.assert_array_equal(
        hr[:2], [*strategy.pseudo_hr(frames[:3], 0.7, bicubic, "area")][1:]
    )
    assert hr[0].shape == (60, 92, 3)


def test_a_broken_off_run_goes_on(video, tmp_path):
    *_, total = pairs.write(tmp_path / "whole", video, record(), bicubic)
    first = pairs.write(tmp_path / "broken", video, record(), bicubic)
    assert [next(first), next(first)] == [0, 2]
    first.close()
    (tmp_path / "broken/hr/00000002.png").unlink()  # as if killed in between
    next(pairs.write(tmp_path / "broken", video, record(clips=[0, 3, 7]), bicubic))
    seen = []

    def counting(frames):
        for image in bicubic(frames):
            seen.append(image)
            yield image

    assert list(pairs.write(tmp_path / "broken", video, record(), counting)) == [0, 2, 4, total]
    assert len(seen) == 9
    seen.clear()
    assert list(pairs.write(tmp_path / "broken", video, record(), counting)) == [total]
    assert not seen
    assert content(tmp_path / "broken") == content(tmp_path / "whole")


def test_a_folder_never_mixes_two_ways(video, tmp_path):
    list(pairs.write(tmp_path, video, record(), bicubic))
    with pytest.raises(TrainingError, match=r"factor=0\.7, not 0\.5.*another folder"):
        next(pairs.write(tmp_path, video, record(factor=0.5), bicubic))
    (tmp_path / "rescale.json").write_text("{")
    with pytest.raises(TrainingError, match=r"rescale\.json: damaged"):
        next(pairs.write(tmp_path, video, record(), bicubic))


def test_clips_are_spread_and_never_overlap():
    assert pairs.spread(100, 4, 10) == [0, 30, 60, 90]
    assert pairs.spread(25, 200, 11) == [0, 14]
    assert pairs.spread(11, 200, 11) == [0]
    with pytest.raises(TrainingError, match="10 frames, wanted 11 or more"):
        pairs.spread(10, 1, 11)


def call(*words):
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    command.run(parser.parse_args([str(word) for word in words]))


def test_the_command_draws_the_sheet_then_makes_pairs(video, tmp_path, fixed_model):
    out = tmp_path / "out"
    common = [video, out, "--model", fixed_model, "--probes", 1, "--patches", 1, "--clips", 2]
    common += ["--length", 3]
    call(*common, "--factors", 0.5, 1.0)
    assert (out / "contact.html").is_file()
    assert not (out / "rescale.json").exists()  # a person is to choose
    call(*common, "--factors", 0.5, 1.0, "--auto")
    found = msgspec.json.decode((out / "rescale.json").read_bytes(), type=pairs.Record)
    assert found.settings.factor == found.statistics[0].factor
    assert "the part of its size that the video was drawn at" in found.why
    assert len(content(out)) == 2 * 2 * 2
    other = [video, tmp_path / "other", *common[2:]]
    call(*other, "--factors", 0.5, 1.0)
    call(*other, "--factors", 0.25, "--auto")  # other candidates are tried anew
    record = msgspec.json.decode((tmp_path / "other/rescale.json").read_bytes(), type=pairs.Record)
    assert [one.factor for one in record.statistics] == [record.settings.factor] == [0.25]
    with pytest.raises(TrainingError, match="holds pairs made otherwise"):
        call(*common, "--factor", 0.3)
    call(*common[:1], tmp_path / "hand", *common[2:], "--factor", 0.3)
    found = msgspec.json.decode((tmp_path / "hand/rescale.json").read_bytes(), type=pairs.Record)
    assert (found.settings.factor, found.why) == (0.3, "chosen by hand")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--factor", "1.5"], r"factor 1\.5, wanted above 0 and at most 1"),
        (["--factors", "0.5", "0"], r"factor 0\.0"),
        (["--length", "0"], "--length 0, wanted 1 or more"),
        (["--device", "gpu"], "--device gpu, wanted cpu, cuda or cuda:N"),
        (["--device", "cuda:99"], "--device cuda:99: torch finds .* CUDA devices"),
    ],
)
def test_arguments_are_checked_first(words, message, fixed_model):
    with pytest.raises(TrainingError, match=message):
        call("none.mkv", "none", "--model", fixed_model, *words)


def test_a_file_where_the_folder_should_be(video, tmp_path, fixed_model):
    (tmp_path / "out").touch()
    with pytest.raises(TrainingError, match="out: no folder that can be written to"):
        call(video, tmp_path / "out", "--model", fixed_model)


@pytest.mark.parametrize(("height", "matrix"), [(64, (0.299, 0.114)), (720, (0.2126, 0.0722))])
def test_an_untagged_video_has_the_matrix_of_its_size(height, matrix, tmp_path):
    kr, kb = matrix
    path = tmp_path / "video.mkv"
    with av.open(str(path), "w") as container:
        made = container.add_stream("ffv1", rate=5)
        made.width, made.height, made.pix_fmt = 64, height, "yuv444p"
        planes = np.broadcast_to(np.array([90, 110, 190], np.uint8)[:, None, None], (3, height, 64))
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(planes), format="yuv444p")
        container.mux(made.encode(frame))
        container.mux(made.encode())
    (picture,) = pictures.read(path)
    y, u, v = (90 - 16) / 219, (110 - 128) / 224, (190 - 128) / 224  # H.273, 8.3
    red, blue = y + 2 * (1 - kr) * v, y + 2 * (1 - kb) * u
    green = (y - kr * red - kb * blue) / (1 - kr - kb)
    assert picture[5, 5] == pytest.approx([255 * c for c in (red, green, blue)], abs=2)


def test_what_cannot_be_read_says_so(tmp_path):
    with pytest.raises(TrainingError, match=r"none\.mkv: cannot be decoded"):
        list(pictures.read(Path("none.mkv")))
    with pytest.raises(TrainingError, match="holds no pictures"):
        list(pictures.read(tmp_path))
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((4, 6, 3), np.uint8))
    cv2.imwrite(str(tmp_path / "b.png"), np.zeros((5, 6, 3), np.uint8))
    with pytest.raises(TrainingError, match="picture 1 is 6x5, those before are 6x4"):
        list(pictures.read(tmp_path))
    (tmp_path / "b.png").write_bytes(b"no image")
    with pytest.raises(TrainingError, match=r"b\.png: not an image"):
        list(pictures.read(tmp_path))


def test_damage_in_the_middle_is_counted_or_ends_it(tmp_path, caplog):
    film = drawings.film(tmp_path / "film.mp4", [drawings.render("dalek", 40, size=(128, 96))])
    whole = film.read_bytes()
    assert len(list(pictures.read(film))) == 40
    assert not caplog.text
    middle = (len(whole) + whole.index(b"mdat")) // 2
    film.write_bytes(whole[:middle] + bytes(300) + whole[middle + 300 :])
    assert len(list(pictures.read(film))) == 40
    assert "film.mp4: damaged: 40 of 40 frames could be decoded, 1 of them in part" in caplog.text
    film.write_bytes(whole[:middle] + bytes(2000) + whole[middle + 2000 :])
    with pytest.raises(TrainingError, match=r"film\.mp4: cannot be decoded"):
        list(pictures.read(film))
