"""What goes wrong when a clip's colour is tagged wrongly, as PNG: the pictures in docs/colour.md.

    python examples/colour_faults.py --out docs

Each picture shows the right colours at the left and the wrong ones at the right.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import vapoursynth as vs
from PIL import Image

core: Any = vs.core
FAULTS: dict[str, dict[str, int]] = {
    # BT.601 picture read as BT.709: what an untagged DVD looks like in a player that guesses HD
    "matrix": {"_Matrix": vs.MATRIX_BT709},
    # limited range picture read as full range: no real black or white
    "range": {"_Range": vs.RANGE_FULL},
    # chroma that lies at the left (MPEG-2 and later) taken to lie at the bottom right
    "chroma": {"_ChromaLocation": vs.CHROMA_BOTTOM},
}
CROP = (80, 0, 160, 90)
"""Left, top, width and height of the part of the sample that is shown, in pixels of the source."""
DETAIL = {"chroma": (320, 50, 480, 140)}
"""Box of the enlarged part, in its pixels, that is shown at four times the size."""


def enlarged(clip: vs.VideoNode, n: int, props: dict[str, int]) -> Image.Image:
    """Frame `n`, read as the properties say, enlarged and as an RGB picture."""
    left, top, width, height = CROP
    clip = core.std.SetFrameProps(clip, **props)
    clip = core.std.CropAbs(clip, width, height, left, top)
    clip = core.animesr.Upscale(clip[n : n + 2], format=vs.RGB24)
    with clip.get_frame(0) as frame:
        return Image.fromarray(np.stack([np.asarray(frame[p]) for p in range(3)], axis=-1))


def main() -> None:
    """Write a PNG for each fault."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", type=Path, default=Path(__file__).with_name("sample.mkv"))
    parser.add_argument("--frame", type=int, default=66)
    parser.add_argument("--out", type=Path, default=Path("out"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    source = core.bs.VideoSource(options.source, showprogress=False)
    true: dict[str, int] = {"_Matrix": vs.MATRIX_ST170_M, "_Range": vs.RANGE_LIMITED}
    true |= {"_ChromaLocation": vs.CHROMA_LEFT}
    right = enlarged(source, options.frame, true)
    for name, wrong in FAULTS.items():
        halves = [right, enlarged(source, options.frame, true | wrong)]
        if box := DETAIL.get(name):
            halves = [half.resize(right.size, Image.Resampling.NEAREST, box) for half in halves]
        both = Image.new("RGB", (2 * right.width + 4, right.height), "white")
        for half, column in zip(halves, (0, right.width + 4), strict=True):
            both.paste(half, (column, 0))
        both.save(options.out / f"wrong_{name}.png", optimize=True)


if __name__ == "__main__":
    main()
