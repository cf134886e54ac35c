"""Codecs in memory: every frame back, in order, in its colours, and the same bytes each time."""

import subprocess
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import imageio_ffmpeg
import numpy as np
import pytest
import torch

from vsanimesr.errors import TrainingError
from vsanimesr.training.degradation import codec
from vsanimesr.training.degradation.codec import H264Draw, h264, quantise, recode, restore

FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()


def moving(frames=15, size=64, noise=6.0, seed=0):
    """A disc that crosses a slope, with grain, (t, h, w, 3) uint8."""
    random = np.random.default_rng(seed)
    y, x, t = np.ogrid[:size, :size, :frames]
    disc = (x - 8 - 3 * t) ** 2 + (y - size // 2) ** 2 < (size // 5) ** 2  # (h, w, t)
    red, green, blue = 60 + 2 * y * 64 // size + 120 * disc, 90 + x * 64 // size, 200 - 90 * disc
    clip = np.stack(np.broadcast_arrays(red, green + 0 * disc, blue), -1).transpose(2, 0, 1, 3)
    return np.clip(clip + random.normal(0, noise, clip.shape), 0, 255).astype(np.uint8)


def psnr(a, b):
    return 10 * np.log10(255**2 / np.mean((a.astype(float) - b) ** 2))


def floats(frames):
    return torch.from_numpy(frames).permute(0, 3, 1, 2) / 255


@pytest.mark.parametrize("profile", ["baseline", "main", "high"])
@pytest.mark.parametrize("frames", [1, 2, 15, 40])
def test_every_frame_comes_back_in_order(profile, frames):
    levels = (np.arange(frames) * 89 % 211 + 20).astype(np.uint8)  # neighbours differ much
    clip = np.broadcast_to(levels[:, None, None, None], (frames, 16, 32, 3))
    coded = h264(clip, 23.5, profile)
    assert coded.shape == clip.shape
    assert coded.dtype == np.uint8
    assert abs(coded.mean((1, 2, 3)) - levels).max() < 3


def test_profiles_differ():
    coded = [h264(moving(), 28, profile) for profile in ("baseline", "main", "high")]
    assert not any(np.array_equal(coded[i], coded[i - 1]) for i in range(3))


def test_quality_falls_as_crf_rises():
    clip = moving()
    quality = [psnr(h264(clip, crf, "high"), clip) for crf in (18, 22.5, 27, 31, 35)]
    assert all(a > b + 0.3 for a, b in pairwise(quality)), quality
    assert not np.array_equal(h264(clip, 22.3, "high"), h264(clip, 22.9, "high"))  # not only whole


def panned(seed):
    """A camera over rough ground, with grain, (15, 64, 64, 3) uint8."""
    random = np.random.default_rng(seed)
    ground = random.normal(size=(94, 94, 3)).cumsum(0).cumsum(1)
    ground = 255 * (ground - ground.min()) / np.ptp(ground)
    clip = np.stack([ground[2 * t : 2 * t + 64, t : t + 64] for t in range(15)])
    return np.clip(clip + random.normal(0, 5, clip.shape), 0, 255).astype(np.uint8)


def test_the_same_clip_gives_the_same_bytes():
    # On a CPU with AVX-512, x264 gives several results for each of these where it may use it.
    for seed in range(3):
        clip = panned(seed)
        wanted = h264(clip, 23.3, "high")
        with ThreadPoolExecutor(4) as pool:
            for found in pool.map(h264, [clip] * 20, [23.3] * 20, ["high"] * 20):
                assert np.array_equal(found, wanted)


def piped(clip, crf, profile):
    """As the released code does: two processes a clip, joined by pipes."""
    t, h, w, _ = clip.shape
    quiet = [FFMPEG, "-hide_banner", "-loglevel", "error"]
    raw = ["-f", "rawvideo", "-pix_fmt", "rgb24"]
    encode = ["-r", "25", "-s", f"{w}x{h}", "-i", "pipe:", "-f", "h264", "-vcodec", "libx264"]
    quality = ["-crf", str(crf), "-pix_fmt", "yuv420p", "-profile:v", profile]
    simd = ["-x264-params", f"asm={codec.SIMD}"]
    command = [*quiet, *raw, *encode, *quality, *simd, "pipe:"]
    stream = subprocess.run(command, input=clip.tobytes(), capture_output=True, check=True).stdout
    command = [*quiet, "-f", "h264", "-i", "pipe:", *raw, "pipe:"]
    decoded = subprocess.run(command, input=stream, capture_output=True, check=True).stdout
    return np.frombuffer(decoded, np.uint8).reshape(t, h, w, 3)


def test_the_result_is_that_of_the_released_pipes():
    clip = moving()
    for crf, profile in (18.25, "baseline"), (26.5, "high"):
        ours, theirs = h264(clip, crf, profile), piped(clip, crf, profile)
        # The same bytes with one version of FFmpeg and x264, close to them with another.
        apart = np.square(ours.astype(float) - theirs).mean()
        assert apart < np.square(theirs.astype(float) - clip).mean() / 20


def test_colours_keep_their_places():
    red = np.zeros((3, 32, 32, 3), np.uint8)
    red[..., 0] = 255
    coded = h264(red, 18, "high").astype(float).mean((0, 1, 2))
    assert coded[0] > 245
    assert coded[1:].max() < 10
    for swapped in False, True:
        kept = H264Draw(18, "high", swapped, False)(floats(red)).mean((0, 2, 3))
        assert kept[0] > 0.95
        assert kept[1:].max() < 0.05


def test_by_name_the_codec_takes_red_for_blue():
    clip = moving(noise=25)
    error = {}
    for swapped in False, True:
        coded = H264Draw(27, "high", swapped, False)(floats(clip))
        error[swapped] = (coded - floats(clip)).square().mean((0, 2, 3))
    straight, swapped = error[False], error[True]
    assert straight[2] > straight[0]  # blue weighs least in luma, so loses most
    assert swapped[0] > swapped[2]
    mirrored = h264(clip[..., ::-1], 27, "high")[..., ::-1]
    assert torch.equal(
        H264Draw(27, "high", True, False)(floats(clip)), floats(np.ascontiguousarray(mirrored))
    )


def test_levels_are_rounded_and_by_name_truncated():
    clip = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(1))

    def levels(truncate):
        return restore(quantise(clip, truncate=truncate), clip.device) * 255

    assert abs(levels(truncate=False) - clip * 255).max() <= 0.5 + 1e-4
    assert torch.equal(levels(truncate=True).round(), (clip * 255).floor())
    assert (levels(truncate=True) - clip * 255).mean() == pytest.approx(-0.5, abs=0.03)


def test_quantised_clips_are_clamped_and_laid_out_for_codecs():
    clip = torch.tensor([-0.2, 0.5, 1.3])[None, :, None, None].expand(2, 3, 4, 6)
    frames = quantise(clip)
    assert frames.shape == (2, 4, 6, 3)
    assert frames.dtype == np.uint8
    assert frames[1, 2, 3].tolist() == [0, 128, 255]
    result = restore(frames, clip.device)
    assert result.shape == clip.shape
    assert result.is_contiguous()
    assert result.dtype == torch.float32
    assert result[0, :, 0, 0].tolist() == pytest.approx([0, 128 / 255, 1])


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_no_number_is_refused(value):
    with pytest.raises(TrainingError, match="NaN or infinite"):
        quantise(torch.full((1, 3, 4, 4), value))


@pytest.mark.parametrize("shape", [(0, 16, 16, 3), (2, 15, 16, 3), (2, 16, 15, 3), (2, 0, 16, 3)])
def test_clips_no_codec_takes(shape):
    with pytest.raises(TrainingError, match=f"{shape[0]} frames of {shape[2]}x{shape[1]}, wanted"):
        h264(np.zeros(shape, np.uint8), 20, "high")


@pytest.mark.parametrize(
    ("encoder", "decoder", "options"),
    [
        ("no_such_encoder", "h264", {}),
        ("libx264", "no_such_decoder", {}),
        ("libx264", "h264", {"profile": "no_such_profile"}),
        ("libx264", "mpeg2video", {}),
        ("mpeg2video", "h264", {}),
    ],
)
def test_a_codec_that_fails_says_which_and_why(encoder, decoder, options):
    with pytest.raises(TrainingError, match=f"{encoder}: a clip of 2 frames of 32x32"):
        recode(np.zeros((2, 32, 32, 3), np.uint8), encoder, decoder, options)


def test_a_lost_frame_is_an_error(monkeypatch):
    whole = codec._recoded
    monkeypatch.setattr(codec, "_recoded", lambda *arguments: whole(*arguments)[:-1])
    with pytest.raises(TrainingError, match="3 frames of 32x32 came back as 2 frames"):
        h264(np.zeros((3, 32, 32, 3), np.uint8), 20, "high")
