"""The clips of benchmarks/tables.py, all drawn here: to train on, to learn operators from, to test.

Three known degradations, each of which makes one kind of video. The paper's basic operators have
none of them. A test clip was small before one of them acted, and was compressed after it.
"""

# pyright: reportMissingImports=none
from collections.abc import Callable
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import learning
import msgspec
import numpy as np
import operators
import torch
import torch.nn.functional as F
from torch import Tensor

from vsanimesr.training import pictures
from vsanimesr.training.degradation.codec import H264Draw
from vsanimesr.training.degradation.degrade import Degrader, Recipe
from vsanimesr.training.degradation.legacy import ChromaBleedDraw, DotCrawlDraw
from vsanimesr.training.networks import stream

VIDEOS = "videos"
"""Folder of the videos that operators are learnt from; each is a folder of pictures."""
FILM_SEED = 500
"""Of the first drawing of those videos: neither trained on (from 0) nor tested on (from 1000)."""
CODEC = H264Draw(23.0, "high", swapped=False, truncated=False)
"""x264's own default, on every test clip and every video."""
LINES = 0.7
"""How much of a pixel comes from the darkest of its neighbours where lines are thickened."""


class Sizes(msgspec.Struct, frozen=True, kw_only=True):
    """How many clips there are, and how large, in pixels of the crisp ones."""

    clips: int
    """To train on, of each cartoon."""
    films: int
    """In each video that an operator is learnt from, of each cartoon."""
    film: tuple[int, int]
    """Width and height."""
    length: int
    """Frames of each of these, of which the first makes no pair."""
    frames: int
    """Of a clip to test on."""


def halo(images: Tensor) -> Tensor:
    """Blurred, sharpened until lines have halos, halved by a cut sinc (benchmarks/operators.py)."""
    return operators.degrade(images)


def tape(images: Tensor) -> Tensor:
    """Halved; colour smeared and late, and left in luma as crawling dots (`degradation.legacy`)."""
    small = F.avg_pool2d(images, 2)
    return ChromaBleedDraw(2.0, 1.5)(DotCrawlDraw(0.3, 0.0)(small)).clamp(0, 1)


def lines(images: Tensor) -> Tensor:
    """Dark lines thickened as by a filter for clearer lines, then halved."""
    dark = -F.max_pool2d(-F.pad(images, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    return F.avg_pool2d(images.lerp(dark, LINES), 2)


KNOWN: dict[str, Callable[[Tensor], Tensor]] = {"halo": halo, "tape": tape, "lines": lines}
"""By name, from (t, 3, 2h, 2w) to (t, 3, h, w) in [0, 1]. Learnable operator k+1 is of number k."""


@cache
def tests(sizes: Sizes) -> dict[str, tuple[Tensor, Tensor]]:
    """Degraded and crisp clips, (t, 3, h, w) and (t, 3, 4h, 4w), by `KIND/CARTOON-SEED`.

    Kind is a known degradation, or `basic`, the paper's basic operators with other seeds. Two clips
    of a cartoon that is not trained on, and one each of two that are.
    """
    found: dict[str, tuple[Tensor, Tensor]] = {}
    basic = Degrader(Recipe(ops="basic"), workers=1)
    for cartoon, wanted in ((learning.OTHER, 2), ("banner", 1), ("starfish", 1)):
        for seed, crisp in islice(learning.crisp_clips(cartoon, sizes.frames), wanted):
            small = F.avg_pool2d(crisp, 2)
            poor = {kind: CODEC(degrade(small)) for kind, degrade in KNOWN.items()}
            poor["basic"] = basic(crisp[None], [learning.SEED + len(found)])[0]
            for kind, clip in poor.items():
                found[f"{kind}/{cartoon}-{seed}"] = (operators.rounded(clip), crisp)
    return found


def write_videos(folder: Path, sizes: Sizes) -> None:
    """Write each known degradation's video, and as `KIND-pairs` what it really was made of.

    The frame `KIND/NAME.png` has its picture of twice the size in `KIND-pairs/hr/NAME.png`: such
    pairs nobody has of a real video.
    """
    if (folder / "done").is_file():
        return
    number = 0
    for cartoon in learning.CARTOONS:
        for seed in range(FILM_SEED, FILM_SEED + sizes.films):
            zoom = learning.ZOOMS[seed % len(learning.ZOOMS)] * learning.TEST_SIZE[0]
            drawn = learning.drawings.render(
                cartoon, sizes.length, sizes.film, zoom / sizes.film[0], seed
            )
            crisp = torch.from_numpy(drawn).permute(0, 3, 1, 2).float() / 255
            small = operators.rounded(F.avg_pool2d(crisp, 2))
            for kind, degrade in KNOWN.items():
                poor = CODEC(degrade(small))
                for i, (frame, source) in enumerate(zip(poor, small, strict=True)):
                    name = f"{number + i:08d}.png"
                    picture = stream.rounded(frame)
                    pictures.write_png(folder / kind / name, picture)
                    if i:
                        pairs = folder / f"{kind}-pairs"
                        pictures.write_png(pairs / "lr" / name, picture)
                        pictures.write_png(pairs / "hr" / name, stream.rounded(source))
            number += sizes.length
    (folder / "done").touch()


def save_outputs(path: Path, outputs: dict[str, np.ndarray]) -> None:
    """Keep (t, h, w, 3) RGB of 8 bits by clip, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        named: dict[str, Any] = {name.replace("/", "|"): x for name, x in outputs.items()}
        np.savez_compressed(file, **named)
    part.replace(path)


def load_outputs(path: Path) -> dict[str, np.ndarray]:
    """What `save_outputs` has kept."""
    with np.load(path) as stored:
        return {name.replace("|", "/"): stored[name] for name in stored.files}
