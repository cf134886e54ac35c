"""Same bytes for a frame, whatever was asked for before, by whom, in which order."""

import hashlib
import os
import random
import subprocess
import sys
import sysconfig
import textwrap
from pathlib import Path

import numpy as np
import pytest
import torch
import vapoursynth as vs
from clips import digest, digests, source

from vsanimesr.engines.torch.transfer import HostTransfer
from vsanimesr.network import Network, image_of

LENGTH = 100
SIZE = {"width": 16, "height": 12}  # small: nothing here depends on it
OPTIONS = {"block": 32, "warmup": 4, "device": "cpu", "backend": "native"}
EVERYWHERE = {
    "native": {"precision": "fp32"},
    "torch": {"backend": "torch", "precision": "fp32"},
    "torch bf16": {"backend": "torch", "precision": "bf16"},
}
"""What every order is tried with; by default with the quickest, for order is the node's."""
VARIANTS = {
    **EVERYWHERE,
    "onnx": {"backend": "onnx", "precision": "fp32"},
    "onnx fp16": {"backend": "onnx", "precision": "fp16"},
    "openvino": {"backend": "openvino", "precision": "fp32"},
    "ncnn": {"backend": "ncnn", "precision": "fp32"},
    "openvino auto": {"backend": "openvino", "precision": "auto"},
    "strips": {"backend": "torch", "strips": 3},
    "torch fp16": {"backend": "torch", "precision": "fp16"},
    "dithered": {"format": vs.YUV420P8, "dither": 1},
}
ORDERS = {
    "linear": list(range(LENGTH)),
    "reversed": list(range(LENGTH))[::-1],
    "random": random.Random(3).sample(range(LENGTH), LENGTH),
    "every 7th": list(range(0, LENGTH, 7)),
}


def upscaled(model, uneven=0.0, **options):
    clip = source(LENGTH, **SIZE, uneven=uneven)
    return clip.animesr.Upscale(model=str(model), **OPTIONS | options)


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(options, id=name, marks=[pytest.mark.slow] if "torch" in name else [])
        for name, options in EVERYWHERE.items()
    ],
)
def engine(request):
    """Options that choose it."""
    return request.param


@pytest.fixture(scope="module")
def linear(fixed_model, engine):
    return digests(upscaled(fixed_model, **engine), ORDERS["linear"])


@pytest.fixture
def threads():
    before = vs.core.num_threads
    yield lambda count: setattr(vs.core, "num_threads", count)
    vs.core.num_threads = before


def test_frames_differ(linear):
    assert len(set(linear.values())) == LENGTH


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("cache", [0, 1024])
def test_one_at_a_time(fixed_model, engine, linear, order, cache):
    if cache == 0 and len(ORDERS[order]) == LENGTH and order != "linear":
        frames = ORDERS[order][::9]  # without a cache each costs a whole run
    else:
        frames = ORDERS[order]
    found = digests(upscaled(fixed_model, cache=cache, **engine), frames)
    assert found == {n: linear[n] for n in frames}


@pytest.mark.parametrize("count", [1, 2, 4, 16])
@pytest.mark.parametrize("order", ["linear", "random"])
def test_sixteen_in_flight(fixed_model, engine, linear, threads, count, order):
    threads(count)
    clip = upscaled(fixed_model, uneven=0.02, **engine)
    assert digests(clip, ORDERS[order], in_flight=16) == linear


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_engine_precision_and_option(fixed_model, threads, variant):
    threads(4)
    clip = upscaled(fixed_model, uneven=0.02, **VARIANTS[variant])
    straight = digests(clip, range(60))
    clip = upscaled(fixed_model, uneven=0.02, **VARIANTS[variant])
    order = random.Random(5).sample(range(60), 60)
    assert digests(clip, order, in_flight=16) == straight
    assert len(set(straight.values())) == 60


def test_a_node_whose_frames_are_written_side_by_side(fixed_model, monkeypatch):
    """As on a GPU: `fmParallel`, and the lock is given back before a frame is written."""
    frames = [n for n in ORDERS["random"] if n < 50]
    straight = digests(upscaled(fixed_model, **EVERYWHERE["torch"]), sorted(frames))
    monkeypatch.setattr(HostTransfer, "overlaps", True)
    clip = upscaled(fixed_model, uneven=0.02, **EVERYWHERE["torch"])
    assert digests(clip, frames, in_flight=16) == straight


def test_the_test_catches_a_closure(fixed_model, threads):
    """State kept in a `std.ModifyFrame` closure, as is usual, fails the very same test."""
    threads(4)
    tensors = _tensors(fixed_model)

    def closure(uneven):
        network = Network.from_weights(tensors).eval()
        clip = source(LENGTH, **SIZE, uneven=uneven)
        shifted = [clip[0] + clip[:-1], clip, clip[1:] + clip[-1]]
        held = {"image": torch.zeros(1, 48, 12, 16), "state": torch.zeros(1, 64, 12, 16)}

        def step(n, f):
            window = torch.from_numpy(np.stack([np.asarray(p) for g in f[1:] for p in g]))[None]
            with torch.inference_mode():
                held["image"], held["state"] = network.step(window, held["image"], held["state"])
                image = image_of(held["image"])[0].numpy()
            out = f[0].copy()
            for plane in range(3):
                np.copyto(np.asarray(out[plane]), image[plane])
            return out

        large = clip.std.BlankClip(width=64, height=48, keep=True)
        return large.std.ModifyFrame([large, *shifted], step)

    straight = digests(closure(0), ORDERS["linear"])
    assert digests(closure(0.2), ORDERS["linear"], in_flight=16) != straight
    assert digests(closure(0), ORDERS["every 7th"]) != {n: straight[n] for n in range(0, 100, 7)}


DRAWINGS = 34


def on_threes(noise=0):
    """A clip of 8 bit, and it with each frame three times, held ones `noise` code values off."""
    clip = source(DRAWINGS, **SIZE, cuts=range(13, DRAWINGS, 13), format=vs.YUV420P8)
    slow = vs.core.std.Interleave([clip] * 3)

    def hold(n, f):
        frame = f.copy()
        if n % 3:
            frame.props["_SceneChangePrev"] = 0
            for plane in range(3):
                np.asarray(frame[plane])[:] += np.uint8(noise)
        if n % 3 != 2:
            frame.props["_SceneChangeNext"] = 0
        return frame

    return clip, slow.std.ModifyFrame(slow, hold)


def repeating(clip, model, **options):
    options = OPTIONS | {"dedup": 0, "model": str(model), "precision": "fp32"} | options
    return clip.animesr.Upscale(**options)


@pytest.fixture(scope="module")
def straight(fixed_model):
    return digests(repeating(on_threes()[1], fixed_model), range(3 * DRAWINGS))


@pytest.mark.parametrize("cache", [0, 1024])
@pytest.mark.parametrize("order", ["reversed", "random"])
def test_held_frames_one_at_a_time(fixed_model, straight, order, cache):
    frames = ORDERS[order][:: 1 if cache else 9]
    clip = repeating(on_threes()[1], fixed_model, cache=cache)
    assert digests(clip, frames) == {n: straight[n] for n in frames}


def test_held_frames_with_sixteen_in_flight(fixed_model, straight, threads):
    threads(4)
    clip = repeating(on_threes()[1], fixed_model)
    assert digests(clip, ORDERS["random"], in_flight=16) == {n: straight[n] for n in range(LENGTH)}


def test_held_frames_repeat(straight):
    block = OPTIONS["block"]
    again = [n for n in straight if n % 3 and n % block]
    assert all(straight[n] == straight[n - 1] for n in again)
    assert len(set(straight.values())) == DRAWINGS + sum(
        s % 3 > 0 for s in range(block, 102, block)
    )


def test_a_clip_on_threes_is_the_clip_on_ones(fixed_model):
    once, thrice = (repeating(clip, fixed_model, block=0) for clip in on_threes())
    drawings = digests(once, range(DRAWINGS))
    assert digests(thrice, range(3 * DRAWINGS)) == {
        n: drawings[n // 3] for n in range(3 * DRAWINGS)
    }


def test_noise_is_no_motion(fixed_model, straight):
    noisy = repeating(on_threes(noise=1)[1], fixed_model, dedup=1)
    assert digests(noisy, range(3 * DRAWINGS)) == straight
    deaf = repeating(on_threes(noise=1)[1], fixed_model, dedup=0.9)
    assert digests(deaf, range(6)) != {n: straight[n] for n in range(6)}


def test_where_no_frame_is_held_nothing_changes(fixed_model):
    clip = source(60, **SIZE)
    frames = range(25, 60)
    assert digests(repeating(clip, fixed_model), frames) == digests(
        repeating(clip, fixed_model, dedup=-1), frames
    )


SCRIPT = """
import sys
sys.path.insert(0, {tests!r})
import vapoursynth as vs
from clips import source
clip = source({length}, **{size}, uneven=0.01)
clip.animesr.Upscale(model={model!r}, {options}).set_output()
"""


@pytest.fixture
def script(tmp_path, fixed_model, engine):
    path = tmp_path / "upscale.vpy"
    path.write_text(
        textwrap.dedent(SCRIPT).format(
            tests=str(Path(__file__).parent),
            length=LENGTH,
            size=SIZE,
            model=str(fixed_model),
            options=", ".join(f"{k}={v!r}" for k, v in (OPTIONS | engine).items()),
        )
    )
    return path


def vspipe(script, *arguments, out):
    """Run vspipe as a shell with the environment active would."""
    folder = sysconfig.get_path("scripts")
    environment = os.environ | {"PATH": folder + os.pathsep + os.environ["PATH"]}
    return subprocess.run(
        [Path(folder) / "vspipe", *arguments, script, out],
        capture_output=True,
        text=True,
        env=environment,
        timeout=300,
        check=False,
    )


@pytest.mark.parametrize(
    ("arguments", "frames"),
    [
        (("-r", "1"), range(LENGTH)),
        (("-r", "16"), range(LENGTH)),
        (("-s", "50", "-e", "80"), range(50, 81)),
    ],
    ids=["one at a time", "sixteen", "from the middle"],
)
def test_vspipe(script, linear, tmp_path, arguments, frames):
    out = tmp_path / "frames.raw"
    done = vspipe(script, *arguments, out=out)
    assert done.returncode == 0, done.stderr
    data = out.read_bytes()
    size = len(data) // len(frames)
    assert size == 64 * 48 * 3 * 4
    found = [
        # vspipe writes RGB planes as G, B, R
        _digest_gbr(data[i * size : (i + 1) * size])
        for i in range(len(frames))
    ]
    assert found == [linear[n] for n in frames]


def _digest_gbr(data):
    third = len(data) // 3
    g, b, r = (data[i * third : (i + 1) * third] for i in range(3))
    return hashlib.sha256(r + g + b).hexdigest()


def test_a_second_process(script, linear):
    code = (
        f"import runpy; runpy.run_path({str(script)!r})\n"
        "import vapoursynth as vs; from clips import digest\n"
        "clip = vs.get_output(0).clip\n"
        "for n in (99, 3, 64, 65): print(n, digest(clip.get_frame(n)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parent)},
    )
    assert done.returncode == 0, done.stderr
    found = dict(line.split() for line in done.stdout.splitlines())
    assert found == {str(n): linear[n] for n in (99, 3, 64, 65)}


def test_a_part_of_the_clip_is_not_the_clip(fixed_model, engine, linear):
    """Cutting the source moves the blocks: honest, and the reason to cut the output instead."""
    clip = source(LENGTH, **SIZE)[40:]
    out = clip.animesr.Upscale(model=str(fixed_model), **OPTIONS | engine)
    with out.get_frame(20) as frame:
        assert digest(frame) != linear[60]


def _tensors(path):
    from vsanimesr import weights

    return weights.load(str(path))
