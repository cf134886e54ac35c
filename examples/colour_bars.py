"""Colour bars through every matrix and range, by this package and by `resize`, as one PNG sheet.

    python examples/colour_bars.py --out docs/colour_bars.png

Each row is a matrix, each half a range. The bars are written as YUV420P8 and read back: left by
`Reader` and `Writer`, in the middle by `resize.Bicubic`, right their difference, 64 times, about
grey; above it the largest difference in code values, of the YUV planes and of the RGB as 8 bit. All
pictures should look alike, but for the last row, which shows what a mistake looks like: what was
written by one matrix and range is read by another.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
import vapoursynth as vs
from PIL import Image, ImageDraw

from vsanimesr.colour import Colour, Family, Format, Matrix
from vsanimesr.engines.torch.colour import Reader, Writer

core: Any = vs.core
Planes = list[np.ndarray[Any, Any]]

YUV420P8 = Format(Family.YUV, 8, sub_w=1, sub_h=1)
CPU = torch.device("cpu")
WIDTH, HEIGHT = 112, 64  # of the bars
GAIN = 64
MARGIN, LINE, GAP = 92, 14, 4  # columns for names, rows of a line of text, pixels between pictures
HEAD = 2 * LINE


def bars() -> np.ndarray[Any, np.dtype[np.float32]]:
    """(3, 64, 112) RGB in the manner of SMPTE EG 1.

    Seven bars at 75 %, a strip of them in reverse, and white, black, full primaries and a ramp.
    """
    picture = np.zeros((3, HEIGHT, WIDTH), np.float32)
    colours = [(g, r, b) for g in (1, 0) for r in (1, 0) for b in (1, 0)][:7]  # by falling luma
    for n, (g, r, b) in enumerate(colours):
        here = slice(n * WIDTH // 7, (n + 1) * WIDTH // 7)
        picture[:, :40, here] = 0.75 * np.array([r, g, b])[:, None, None]
        mirrored = slice(WIDTH - here.stop, WIDTH - here.start)
        if n % 2 == 0 and n < 6:
            picture[:, 40:46, mirrored] = 0.75 * np.array([r, g, b])[:, None, None]
    for n, colour in enumerate([(1, 1, 1), (0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)]):
        picture[:, 46:, n * 11 : (n + 1) * 11] = np.array(colour)[:, None, None]
    picture[:, 46:, 55:] = np.linspace(0, 1, WIDTH - 55)
    return picture


def by_package(rgb: np.ndarray[Any, Any], made: Colour, read: Colour) -> tuple[Planes, Planes]:
    """Planes written as `made`, and RGB read from them as `read`."""
    planes = Writer(YUV420P8, CPU)(torch.from_numpy(rgb)[None], made)
    image = Reader(YUV420P8, CPU, torch.float32)(planes, read)
    return [plane.numpy() for plane in planes], list(image[0].numpy())


def by_resize(rgb: np.ndarray[Any, Any], made: Colour, read: Colour) -> tuple[Planes, Planes]:
    """The same by VapourSynth."""
    blank = core.std.BlankClip(None, WIDTH, HEIGHT, vs.RGBS, length=1, keep=True)

    def draw(n: int, f: vs.VideoFrame) -> vs.VideoFrame:
        frame = f.copy()
        for plane in range(3):
            np.copyto(np.asarray(frame[plane]), rgb[plane])
        return frame

    clip = blank.std.ModifyFrame(blank, draw).resize.Bicubic(
        format=vs.YUV420P8, matrix=made.matrix, range=int(made.full), chromaloc=made.chroma
    )
    marked = clip.std.SetFrameProps(_Matrix=int(read.matrix), _Range=int(read.full))
    return _planes(clip), _planes(marked.resize.Bicubic(format=vs.RGBS))


def _planes(clip: Any) -> Planes:  # noqa: ANN401 - vapoursynth's node
    with clip.get_frame(0) as frame:
        return [np.asarray(frame[plane]).copy() for plane in range(3)]


def largest(ours: Planes, theirs: Planes) -> int:
    """Largest difference of whole numbers."""
    pairs = zip(ours, theirs, strict=True)
    return max(int(np.abs(a.astype(int) - b.astype(int)).max()) for a, b in pairs)


def eight_bit(rgb: Planes) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """(h, w, 3) from nominal RGB."""
    return (np.stack(rgb, axis=-1).clip(0, 1) * 255).round().astype(np.uint8)


def main() -> None:
    """Write the sheet and print its figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("out/colour_bars.png"))
    out: Path = parser.parse_args().out
    rgb = bars()
    rows: list[tuple[str, Matrix, Matrix]] = [(m.name, m, m) for m in Matrix if m != Matrix.RGB]
    rows.append(("a mistake:", Matrix.BT2020_NCL, Matrix.BT709))
    size = MARGIN + 6 * (WIDTH + GAP) + GAP, HEAD + len(rows) * (LINE + HEIGHT + GAP)
    sheet = Image.new("RGB", size, (225, 225, 225))
    pen = ImageDraw.Draw(sheet)
    for half, name in enumerate(("limited", "full")):
        left = MARGIN + half * (3 * (WIDTH + GAP) + GAP)
        pen.text((left, 1), f"{name} range", "black")
        for n, title in enumerate(("Reader, Writer", "resize.Bicubic", f"difference x{GAIN}")):
            pen.text((left + n * (WIDTH + GAP), 1 + LINE), title, "black")
    for row, (name, made, read) in enumerate(rows):
        top = HEAD + row * (LINE + HEIGHT + GAP)
        lines = name if made == read else f"{name}\n{made.name}\nread as\n{read.name},\nother range"
        pen.text((2, top + LINE), lines, "black")
        for half, full in enumerate((False, True)):
            other = full if made == read else not full
            ours = by_package(rgb, Colour(made, full), Colour(read, other))
            right = Colour(made, full)
            theirs = by_resize(rgb, right, right)
            codes = largest(ours[0], theirs[0])
            pictures = eight_bit(ours[1]), eight_bit(theirs[1])
            shown = largest([pictures[0]], [pictures[1]])
            difference = GAIN * 255 * (np.stack(ours[1], -1) - np.stack(theirs[1], -1).clip(0, 1))
            grey = (127.5 + difference).clip(0, 255).astype(np.uint8)
            left = MARGIN + half * (3 * (WIDTH + GAP) + GAP)
            for n, tile in enumerate((*pictures, grey)):
                sheet.paste(Image.fromarray(tile), (left + n * (WIDTH + GAP), top + LINE))
            text = f"YUV {codes}, RGB {shown}"
            pen.text((left + 2 * (WIDTH + GAP), top + 1), text, "black")
            print(f"{name:12} {made.name:11} {'full' if full else 'limited':8} {text}")
    out.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(out, optimize=True)


if __name__ == "__main__":
    main()
