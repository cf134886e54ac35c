"""Video codecs in memory: encode a clip, decode it again, lose what the codec loses."""

import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, cast

import av
import msgspec
import numpy as np
import torch
from av.error import FFmpegError
from av.video.codeccontext import VideoCodecContext
from torch import Tensor

from vsanimesr.errors import TrainingError
from vsanimesr.training.draws import (
    Range,
    check_probability,
    check_range,
    check_weights,
    choose,
    happens,
    uniform,
)

RATE = 25
"""Frames a second, as in the released code; x264 weighs quality by a frame's duration."""


SIMD = "sse2fast,ssse3,sse4.2"
"""Instructions x264 may use on x86. With AVX-512 it gives the same small clip other bytes from call
to call, even on one thread (seen with build 165 at 64x64, where `mbtree` is on); with less than
SSSE3, other bytes than with more."""


class Profiles(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Weights of the H.264 profiles."""

    baseline: float = 0.1
    main: float = 0.2
    high: float = 0.7

    def __post_init__(self) -> None:
        check_weights("h264: profiles", self)


class H264(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="op",
    tag="h264",
):
    """H.264 by x264, YUV 4:2:0 with 8 bits, everything but quality and profile at its default."""

    probability: float = 1.0
    crf: Range = (18.0, 35.0)
    """Constant rate factor."""
    profiles: Profiles = Profiles()
    channels: Literal["rgb", "bgr"] = "rgb"
    """`bgr`: red and blue change places on the way in and out, as in the released code, where the
    codec takes one for the other."""
    levels: Literal["round", "truncate"] = "round"
    """How floats become 8 bits. `truncate`: half a step darker, as in the released code."""

    def __post_init__(self) -> None:
        check_probability("h264: probability", self.probability)
        check_range("h264: crf", self.crf, most=51)

    def draw(self, random: np.random.Generator, frames: int) -> "H264Draw | None":
        """What one clip gets; None: nothing."""
        if not happens(random, self.probability):
            return None
        crf, profile = uniform(random, self.crf), choose(random, self.profiles)
        return H264Draw(crf, profile, self.channels == "bgr", self.levels == "truncate")


@dataclass(frozen=True)
class H264Draw:
    """The compression of one clip."""

    crf: float
    profile: str
    swapped: bool
    """Whether the codec takes red for blue."""
    truncated: bool
    """Whether floats are rounded down."""

    def prepare(self, clip: Tensor) -> Callable[[], np.ndarray]:
        """Quantise (t, 3, h, w). What is returned does the rest, without torch, on any thread."""
        frames = quantise(clip, truncate=self.truncated)
        if not self.swapped:
            return lambda: h264(frames, self.crf, self.profile)
        return lambda: h264(frames[..., ::-1], self.crf, self.profile)[..., ::-1]

    def __call__(self, clip: Tensor) -> Tensor:
        """(t, 3, h, w) in and out; see `quantise` and `h264` for errors."""
        return restore(self.prepare(clip)(), clip.device)


def h264(frames: np.ndarray, crf: float, profile: str) -> np.ndarray:
    """Compress and decode a clip.

    The same clip gives the same bytes: encoder and decoder run on the calling thread. They leave
    Python to other threads meanwhile.

    Args:
        frames: (t, h, w, 3) RGB, 8 bits; h and w even.
        crf: Constant rate factor, 0 to 51.
        profile: `baseline`, `main` or `high`.

    Returns:
        As many frames, in the same order and format.

    Raises:
        TrainingError: The codec refuses the clip, or does not give every frame back.
    """
    options = {"preset": "medium", "crf": f"{crf:.6f}", "profile": profile}
    if platform.machine().lower() in ("x86_64", "amd64"):
        options["x264-params"] = f"asm={SIMD}"
    return recode(frames, "libx264", "h264", options)


def recode(
    frames: np.ndarray, encoder: str, decoder: str, options: Mapping[str, str]
) -> np.ndarray:
    """Encode frames as YUV 4:2:0 and decode them, on the calling thread.

    Colours are converted as FFmpeg does by default: BT.601, limited range, bicubic chroma.

    Args:
        frames: (t, h, w, 3) RGB, 8 bits; h and w even.
        encoder: FFmpeg's name.
        decoder: FFmpeg's name.
        options: Of the encoder, by FFmpeg's names.

    Returns:
        As many frames, in the same order and format.

    Raises:
        TrainingError: The codec refuses the clip, or does not give every frame back.
    """
    t, h, w, _ = frames.shape
    clip = f"{encoder}: a clip of {t} frames of {w}x{h}"
    if t < 1 or min(h, w) < 2 or h % 2 or w % 2:
        raise TrainingError(f"{clip}, wanted one frame or more, of even width and height")
    try:
        decoded = _recoded(frames, encoder, decoder, options)
    except (FFmpegError, ValueError) as error:  # ValueError: no such codec or option
        raise TrainingError(f"{clip} with {dict(options)}: {error}") from error
    if len(decoded) != t or any((f.height, f.width) != (h, w) for f in decoded):
        sizes = sorted({f"{f.width}x{f.height}" for f in decoded})
        raise TrainingError(f"{clip} came back as {len(decoded)} frames of {sizes}")
    return np.stack(
        [frame.reformat(format="rgb24", interpolation="BICUBIC").to_ndarray() for frame in decoded]
    )


def quantise(clip: Tensor, *, truncate: bool = False) -> np.ndarray:
    """Make 8 bits of a clip of floats.

    Args:
        clip: (t, 3, h, w) RGB; what lies outside [0, 1] is clamped.
        truncate: Round down instead of to the nearest of the 256 levels.

    Returns:
        (t, h, w, 3).

    Raises:
        TrainingError: A value is not finite.
    """
    if not clip.isfinite().all():
        raise TrainingError("a clip with NaN or infinite values, wanted a picture to encode")
    levels = clip.clamp(0, 1) * 255
    levels = levels.floor() if truncate else levels.round()
    return levels.to(torch.uint8).permute(0, 2, 3, 1).contiguous().cpu().numpy()


def restore(frames: np.ndarray, device: torch.device) -> Tensor:
    """The float32 clip (t, 3, h, w) in [0, 1] of (t, h, w, 3) with 8 bits."""
    clip = torch.from_numpy(np.ascontiguousarray(frames)).to(device)
    return clip.permute(0, 3, 1, 2).contiguous() / 255


def _recoded(
    frames: np.ndarray, encoder: str, decoder: str, options: Mapping[str, str]
) -> list[av.VideoFrame]:
    writer = cast(VideoCodecContext, av.CodecContext.create(encoder, "w"))
    writer.height, writer.width = frames.shape[1:3]
    writer.pix_fmt = "yuv420p"
    writer.framerate, writer.time_base = Fraction(RATE), Fraction(1, RATE)
    writer.options = dict(options)
    reader = cast(VideoCodecContext, av.CodecContext.create(decoder, "r"))
    writer.thread_count = reader.thread_count = 1
    pictures = [*(_picture(frame, t) for t, frame in enumerate(frames)), None]
    packets = [packet for picture in pictures for packet in writer.encode(picture)]
    # None asks for what encoder and decoder still hold.
    return [frame for packet in [*packets, None] for frame in reader.decode(packet)]


def _picture(rgb: np.ndarray, t: int) -> av.VideoFrame:
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")
    frame = frame.reformat(format="yuv420p", interpolation="BICUBIC")
    frame.pts = t
    return frame
