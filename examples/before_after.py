"""Before and after, side by side, as PNG: the pictures in the README.

    python examples/before_after.py --frames 30 66 --out docs

Left: the sample enlarged four times by bicubic interpolation. Right: `core.animesr.Upscale`.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import vapoursynth as vs
from PIL import Image

core: Any = vs.core
CROP = 340  # columns and rows of each half


def picture(frame: vs.VideoFrame) -> Image.Image:
    """An RGB24 frame as an image."""
    return Image.fromarray(np.stack([np.asarray(frame[plane]) for plane in range(3)], axis=-1))


def main() -> None:
    """Write a PNG for each frame."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", type=Path, default=Path(__file__).with_name("sample.mkv"))
    parser.add_argument("--frames", type=int, nargs="+", default=[30, 66])
    parser.add_argument("--left", type=int, default=560, help="first column of the crop")
    parser.add_argument("--top", type=int, default=20, help="first row of the crop")
    parser.add_argument("--out", type=Path, default=Path("out"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    source = core.scd.Detect(core.bs.VideoSource(options.source, showprogress=False))
    size = {"width": source.width * 4, "height": source.height * 4}
    before = source.resize.Bicubic(**size, format=vs.RGB24)
    after = source.animesr.Upscale().resize.Bicubic(format=vs.RGB24)
    for n in options.frames:
        both = Image.new("RGB", (2 * CROP + 4, CROP), "white")
        box = (options.left, options.top, options.left + CROP, options.top + CROP)
        for column, clip in ((0, before), (CROP + 4, after)):
            with clip.get_frame(n) as frame:
                both.paste(picture(frame).crop(box), (column, 0))
        both.save(options.out / f"before_after_{n}.png", optimize=True)


if __name__ == "__main__":
    main()
