"""What old media do to a picture: MPEG-2 discs and VHS tapes. Beyond the paper, off by default.

Luma and colour difference are those of BT.601 at full range, on nominal [0, 1]. The tape operators
do not clamp; a codec, noise, or the end of the recipe does.
"""

from collections.abc import Callable
from dataclasses import dataclass

import msgspec
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from vsanimesr.training.degradation import codec
from vsanimesr.training.draws import (
    Range,
    check_probability,
    check_range,
    field_seed,
    happens,
    uniform,
)

SUBCARRIER = 3.579545 / 13.5
"""Cycles of NTSC's colour carrier in a pixel of a digital frame (BT.601 samples at 13.5 MHz)."""
PULLDOWN = (False, False, True, True, False)
"""Which of five frames of telecined film are combed: two of them mix two pictures."""
REACH = 15
"""Taps of the tape's filters on either side; they are negligible beyond."""
_LUMA = (0.299, 0.587, 0.114)


class Mpeg2(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="op",
    tag="mpeg2",
):
    """MPEG-2 as on a disc: YUV 4:2:0 with 8 bits, groups of 12 frames, 2 of them bidirectional."""

    probability: float = 1.0
    quantiser: tuple[int, int] = (3, 12)
    """Least and greatest quantiser scale: 2 looks clean, 31 is the coarsest."""
    interlaced: float = 0.5
    """Probability that frames are coded as two fields, whose rows then do not share errors."""

    def __post_init__(self) -> None:
        check_probability("mpeg2: probability", self.probability)
        check_probability("mpeg2: interlaced", self.interlaced)
        check_range("mpeg2: quantiser", self.quantiser, least=1, most=31)

    def draw(self, random: np.random.Generator, frames: int) -> "Mpeg2Draw | None":
        """What one clip gets; None: nothing."""
        if not happens(random, self.probability):
            return None
        low, high = self.quantiser
        return Mpeg2Draw(int(random.integers(low, high + 1)), happens(random, self.interlaced))


@dataclass(frozen=True)
class Mpeg2Draw:
    """The compression of one clip."""

    quantiser: int
    interlaced: bool

    def prepare(self, clip: Tensor) -> Callable[[], np.ndarray]:
        """Quantise (t, 3, h, w). What is returned does the rest, without torch, on any thread."""
        frames, scale = codec.quantise(clip), str(self.quantiser)
        options = {"qmin": scale, "qmax": scale, "g": "12", "bf": "2"}
        if self.interlaced:
            options["flags"] = "+ildct+ilme"
        return lambda: codec.recode(frames, "mpeg2video", "mpeg2video", options)

    def __call__(self, clip: Tensor) -> Tensor:
        """(t, 3, h, w) in and out; see `codec.quantise` and `codec.recode` for errors."""
        return codec.restore(self.prepare(clip)(), clip.device)


class Comb(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="op",
    tag="comb",
):
    """What deinterlacing left over: every other row shows the next frame, more or less."""

    probability: float = 1.0
    strength: Range = (0.2, 1.0)
    """How much of a combed row comes from the next frame: 1: all, as if never deinterlaced."""
    pulldown: float = 0.5
    """Probability that two frames of five are combed, as in telecined film, instead of all."""

    def __post_init__(self) -> None:
        check_probability("comb: probability", self.probability)
        check_probability("comb: pulldown", self.pulldown)
        check_range("comb: strength", self.strength, most=1)

    def draw(self, random: np.random.Generator, frames: int) -> "CombDraw | None":
        """What one clip gets; None: nothing."""
        if not happens(random, self.probability):
            return None
        strength, parity = uniform(random, self.strength), int(random.integers(2))
        telecined, phase = happens(random, self.pulldown), int(random.integers(len(PULLDOWN)))
        pattern = PULLDOWN if telecined else (True,)
        combed = (pattern[(t + phase) % len(pattern)] for t in range(frames))
        return CombDraw(strength, parity, tuple(combed))


@dataclass(frozen=True)
class CombDraw:
    """The combs of one clip."""

    strength: float
    parity: int
    """First row that may be combed; then every other."""
    frames: tuple[bool, ...]
    """Whether each frame is combed. The last has no next one and stays."""

    def __call__(self, clip: Tensor) -> Tensor:
        """(t, 3, h, w) in and out."""
        combed = torch.tensor(self.frames[:-1], device=clip.device)[:, None, None, None]
        mixed, rows = clip.clone(), slice(self.parity, None, 2)
        own, following = clip[:-1, :, rows], clip[1:, :, rows]
        mixed[:-1, :, rows] = own + (following - own) * (combed * self.strength)
        return mixed


class ChromaBleed(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="op",
    tag="chroma_bleed",
):
    """Colour smeared along the rows and late, as tape with its narrow colour band has it."""

    probability: float = 1.0
    sigma: Range = (1.0, 4.0)
    """Of the smear, in pixels."""
    delay: Range = (0.0, 3.0)
    """How far colour lies to the right of luma, in pixels."""

    def __post_init__(self) -> None:
        check_probability("chroma_bleed: probability", self.probability)
        check_range("chroma_bleed: sigma", self.sigma, least=0.1, most=5)
        check_range("chroma_bleed: delay", self.delay, most=5)

    def draw(self, random: np.random.Generator, frames: int) -> "ChromaBleedDraw | None":
        """What one clip gets; None: nothing."""
        if not happens(random, self.probability):
            return None
        return ChromaBleedDraw(uniform(random, self.sigma), uniform(random, self.delay))


@dataclass(frozen=True)
class ChromaBleedDraw:
    """The smear of one clip, in pixels."""

    sigma: float
    delay: float

    def __call__(self, clip: Tensor) -> Tensor:
        """(t, 3, h, w) in and out. Luma is left alone."""
        tap = np.arange(-REACH, REACH + 1)  # of a correlation: tap -d reads d pixels to the left
        weights = np.exp(-0.5 * ((tap + self.delay) / self.sigma) ** 2)
        luma, blue, red = _split(clip)
        return _join(luma, _along_rows(blue, weights), _along_rows(red, weights))


class DotCrawl(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="op",
    tag="dot_crawl",
):
    """Colour left in luma as the dots of NTSC's carrier, which change sign by row and frame."""

    probability: float = 1.0
    strength: Range = (0.1, 0.5)
    """Share of the carrier that stays in luma; 1: a set without any comb filter."""

    def __post_init__(self) -> None:
        check_probability("dot_crawl: probability", self.probability)
        check_range("dot_crawl: strength", self.strength, most=1)

    def draw(self, random: np.random.Generator, frames: int) -> "DotCrawlDraw | None":
        """What one clip gets; None: nothing."""
        if not happens(random, self.probability):
            return None
        return DotCrawlDraw(uniform(random, self.strength), uniform(random, (0, 2 * np.pi)))


@dataclass(frozen=True)
class DotCrawlDraw:
    """The dots of one clip."""

    strength: float
    phase: float
    """Of the carrier at the first pixel, in radians."""

    def __call__(self, clip: Tensor) -> Tensor:
        """(t, 3, h, w) in and out. Colour difference is left alone."""
        t, _, h, w = clip.shape
        frame = torch.arange(t, device=clip.device)[:, None, None]
        row = torch.arange(h, device=clip.device)[:, None]
        column = torch.arange(w, device=clip.device)
        sign = 1 - 2 * ((row + frame) % 2)  # (t, h, 1)
        angle = 2 * np.pi * SUBCARRIER * column + self.phase  # (w,)
        luma, blue, red = _split(clip)
        carrier = sign * (blue * torch.sin(angle) + red * torch.cos(angle))
        return _join(luma + self.strength * carrier, blue, red)


class Ringing(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="op",
    tag="ringing",
):
    """Luma cut off sharply at a frequency, so that edges have echoes along their row."""

    probability: float = 1.0
    cutoff: Range = (0.5, 0.9)
    """Highest frequency kept, as a share of the highest that pixels can hold."""

    def __post_init__(self) -> None:
        check_probability("ringing: probability", self.probability)
        check_range("ringing: cutoff", self.cutoff, least=0.1, most=1)

    def draw(self, random: np.random.Generator, frames: int) -> "RingingDraw | None":
        """What one clip gets; None: nothing."""
        if not happens(random, self.probability):
            return None
        return RingingDraw(uniform(random, self.cutoff))


@dataclass(frozen=True)
class RingingDraw:
    """The band of one clip's luma."""

    cutoff: float

    def __call__(self, clip: Tensor) -> Tensor:
        """(t, 3, h, w) in and out. Colour difference is left alone."""
        weights = np.sinc(self.cutoff * np.arange(-REACH, REACH + 1))  # cut short, so that it rings
        luma, blue, red = _split(clip)
        return _join(_along_rows(luma, weights), blue, red)


class LineJitter(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="op",
    tag="line_jitter",
):
    """Every row of every frame a little too far to the left or right: a worn tape's timing."""

    probability: float = 1.0
    sigma: Range = (0.1, 0.5)
    """Standard deviation of the offsets, in pixels."""

    def __post_init__(self) -> None:
        check_probability("line_jitter: probability", self.probability)
        check_range("line_jitter: sigma", self.sigma, most=10)

    def draw(self, random: np.random.Generator, frames: int) -> "LineJitterDraw | None":
        """What one clip gets; None: nothing."""
        if not happens(random, self.probability):
            return None
        return LineJitterDraw(uniform(random, self.sigma), field_seed(random))


@dataclass(frozen=True)
class LineJitterDraw:
    """The offsets of one clip."""

    sigma: float
    """In pixels."""
    seed: int

    def offsets(self, frames: int, rows: int) -> Tensor:
        """How far each row moves to the right, in pixels: (frames, rows), on the CPU."""
        random = torch.Generator().manual_seed(self.seed)
        return self.sigma * torch.randn(frames, rows, generator=random)

    def __call__(self, clip: Tensor) -> Tensor:
        """(t, 3, h, w) in and out. Bilinear; beyond the border lies its outermost pixel."""
        t, _, h, w = clip.shape
        source = torch.arange(w) - self.offsets(t, h)[:, None, :, None]  # (t, 1, h, w)
        source = source.clamp(0, w - 1).to(clip.device)
        left = source.long().expand(clip.shape)
        right = (left + 1).clamp_max(w - 1)
        near = clip.gather(3, left)
        return near + (clip.gather(3, right) - near) * (source - left)


def _split(clip: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Luma and the blue and red colour difference, (t, h, w) each, of (t, 3, h, w) RGB."""
    red, green, blue = clip.unbind(1)
    luma = _LUMA[0] * red + _LUMA[1] * green + _LUMA[2] * blue
    return luma, (blue - luma) / (2 - 2 * _LUMA[2]), (red - luma) / (2 - 2 * _LUMA[0])


def _join(luma: Tensor, blue: Tensor, red: Tensor) -> Tensor:
    """The RGB clip of `_split`."""
    r, b = luma + (2 - 2 * _LUMA[0]) * red, luma + (2 - 2 * _LUMA[2]) * blue
    return torch.stack((r, (luma - _LUMA[0] * r - _LUMA[2] * b) / _LUMA[1], b), dim=1)


def _along_rows(plane: Tensor, weights: np.ndarray) -> Tensor:
    """Correlate (t, h, w) with weights, scaled to sum 1; the border's outermost pixel goes on."""
    t, reach = len(plane), len(weights) // 2
    padded = F.pad(plane, (reach, reach), mode="replicate")
    weight = torch.from_numpy(weights / weights.sum()).to(plane).expand(t, 1, 1, -1)
    return F.conv2d(padded[None], weight, groups=t)[0]
