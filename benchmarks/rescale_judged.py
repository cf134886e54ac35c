r"""How often `rescale --auto` finds the factor of clips whose right factor is known.

    python benchmarks/rescale_judged.py FOLDER --lottie DIR --clipart DIR [--live2d FILE]
    python benchmarks/rescale_judged.py FOLDER --table            # what is in FOLDER/judged.jsonl

A crisp drawing of 640x480 is reduced by a factor with a known kernel, enlarged back with the same
kernel, and degraded as old video is: the factor is then the right one by construction. Every clip
is judged with every factor and kernel, and with the degradations in turn. Results are appended line
by line, so that a run that was stopped goes on; `--set tuning` does the same with clips that share
no drawing with the judged ones: what `resolution.py` is made of was chosen on them. `--set second`
has 20 clips that nobody had seen: the judged cartoons at other moments, other clipart.

Drawings, of which nothing is kept: Lottie cartoons (npm `lottie-web@5.13.0`, `test/animations`,
MIT; pip `rlottie-python==1.3.8`), openclipart (Debian `openclipart-svg`, public domain; pip
`resvg-py`), and Live2D characters (`live2d_gt.mkv` of benchmarks/make_clips.py; never pass it on).
"""

# pyright: reportMissingImports=none
import argparse
import json
import random
import time
import zlib
from collections.abc import Iterator, Sequence
from itertools import islice, product
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from vsanimesr.training import pictures
from vsanimesr.training.degradation import codec
from vsanimesr.training.pictures import Picture
from vsanimesr.training.rescale import artifacts, resolution, strategy

SIZE = (640, 480)
FRAMES = 4
FACTORS = tuple(step / 10 for step in range(2, 11))
KERNELS = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
"""Pillow's: with a low-pass where they reduce; bicubic has a = -0.5, lanczos three lobes."""
LOTTIE: dict[str, tuple[str, ...]] = {
    "tuning": ("adrock",),
    "judged": (
        *("bacon", "banner", "bm_ronda", "bodymovin", "dalek", "monster", "navidad", "starfish"),
    ),
}
LOTTIE["second"] = LOTTIE["judged"]
MOMENT = {"tuning": 1 / 2, "judged": 1 / 2, "second": 1 / 4}
"""Part of a cartoon that is over at the first frame."""
CLIPART: dict[str, tuple[str, ...]] = {
    "tuning": ("food", "people", "recreation", "education"),
    "judged": (
        *("animals", "buildings", "computer", "containers", "electronics", "geography"),
        *("office", "plants", "tools", "transportation"),
    ),
}
CLIPART["second"] = (*CLIPART["judged"], "special", "unsorted")
LIVE2D = {"tuning": (), "judged": ((20, "shizuku"), (100, "haru")), "second": ()}
"""First frame, and whom it shows."""


def drawings(options: argparse.Namespace) -> Iterator[tuple[str, list[Picture]]]:
    """Name and crisp frames (480, 640, 3) of every clip of a set."""
    for name in LOTTIE[options.set]:
        yield f"lottie {name}", lottie(options.lottie / f"{name}.json", MOMENT[options.set])
    for folder in CLIPART[options.set]:
        seed = f"{folder} second" if options.set == "second" else folder
        yield f"clipart {folder}", clipart(options.clipart / folder, seed)
    for first, name in LIVE2D[options.set] if options.live2d else ():
        stream = islice(pictures.read(options.live2d), first, first + FRAMES)
        yield f"live2d {name}", [frame[120:600, 320:960] for frame in stream]


def lottie(path: Path, moment: float) -> list[Picture]:
    """A part of a cartoon, drawn large, where most edges are."""
    from rlottie_python.rlottie_wrapper import LottieAnimation

    cartoon = LottieAnimation.from_data(path.read_text())
    width, height = (2 * side for side in SIZE)
    total = cartoon.lottie_animation_get_totalframe()
    draws = (
        cartoon.lottie_animation_render(frame_num=n, width=width, height=height)
        for n in (int(total * moment) + i for i in range(FRAMES))
    )
    bgra = [np.frombuffer(raw, np.uint8).reshape(height, width, 4) for raw in draws]
    x, y = _busiest(cv2.Laplacian(bgra[-1][..., :3], cv2.CV_32F, ksize=1).max(axis=2) > 8)
    return [_over_paint(one[y : y + SIZE[1], x : x + SIZE[0]], path.stem) for one in bgra]


def clipart(folder: Path, seed: str) -> list[Picture]:
    """Drawings beside and over one another, moving to the right."""
    import resvg_py

    rng = random.Random(seed)
    files = sorted(folder.rglob("*.svg"))
    sheet = np.zeros((SIZE[1], SIZE[0] + 64, 4), np.uint8)
    count = 0
    while count < 9:
        path = rng.choice(files)
        try:
            png = bytes(resvg_py.svg_to_bytes(svg_path=str(path), width=rng.randint(200, 340)))
        except (ValueError, RuntimeError):
            continue
        drawn = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_UNCHANGED)
        if drawn is None or drawn.shape[0] > 500 or np.ptp(drawn[..., :3], axis=2).max() < 60:
            continue  # silhouettes
        x = (count % 3) * 210 + rng.randint(-20, 40)
        y = (count // 3) * 150 + rng.randint(-30, 20)
        _put(sheet, drawn, x, y)
        count += 1
    return [_over_paint(sheet[:, 2 * i : 2 * i + SIZE[0]], folder.name) for i in range(FRAMES)]


def _put(sheet: np.ndarray, drawn: np.ndarray, x: int, y: int) -> None:
    """Draw over what is there; alpha is made one with the colours first."""
    left, top = max(0, -x), max(0, -y)
    x, y = max(0, x), max(0, y)
    drawn = drawn[top:, left:][: sheet.shape[0] - y, : sheet.shape[1] - x]
    place = sheet[y : y + drawn.shape[0], x : x + drawn.shape[1]]
    cover = drawn[..., 3:] / 255
    drawn = np.concatenate((drawn[..., :3] * cover, drawn[..., 3:]), axis=2)
    place[:] = (drawn + place * (1 - cover) + 0.5).astype(np.uint8)


def _busiest(there: np.ndarray) -> tuple[int, int]:
    """Corner of the part of this size that has most of it."""
    means = cv2.boxFilter(there.astype(np.float32), -1, SIZE, anchor=(0, 0))
    inside = means[: there.shape[0] - SIZE[1] + 1, : there.shape[1] - SIZE[0] + 1]
    y, x = np.unravel_index(np.argmax(inside), inside.shape)
    return int(x), int(y)


def _over_paint(bgra: np.ndarray, name: str) -> Picture:
    """Before a soft gradient."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    top, bottom = rng.uniform(90, 230, (2, 3))
    slope = np.linspace(0, 1, SIZE[1])[:, None, None]
    paint = top + (bottom - top) * slope
    whole = bgra[..., 2::-1] + (1 - bgra[..., 3:] / 255) * paint
    return np.clip(whole + 0.5, 0, 255).astype(np.uint8)


def rescaled(frames: Sequence[Picture], factor: float, kernel: str) -> list[Picture]:
    """Reduced, and enlarged back."""
    if factor == 1:
        return list(frames)
    filter_ = KERNELS[kernel]
    small = (round(factor * SIZE[0]), round(factor * SIZE[1]))
    each = (Image.fromarray(np.ascontiguousarray(f)).resize(small, filter_) for f in frames)
    return [np.asarray(one.resize(SIZE, filter_)) for one in each]


def _jpeg(frames: list[Picture], quality: int) -> list[Picture]:
    options = [cv2.IMWRITE_JPEG_QUALITY, quality]
    coded = (cv2.imencode(".jpg", frame[..., ::-1], options)[1] for frame in frames)
    decoded = (cv2.imdecode(one, cv2.IMREAD_COLOR) for one in coded)
    return [np.asarray(one, np.uint8)[..., ::-1] for one in decoded]


def _x264(frames: list[Picture], crf: float) -> list[Picture]:
    return list(codec.h264(np.stack(frames), crf, "high"))


def _noise(frames: list[Picture], sigma: float) -> list[Picture]:
    rng = np.random.default_rng(0)
    noisy = (frame + sigma * rng.standard_normal(frame.shape) for frame in frames)
    return [np.clip(one + 0.5, 0, 255).astype(np.uint8) for one in noisy]


def degraded(frames: list[Picture], how: str) -> list[Picture]:
    """As one of `DEGRADATIONS` says."""
    match how:
        case "none":
            return frames
        case "jpeg 40":
            return _jpeg(frames, 40)
        case "x264 23":
            return _x264(frames, 23)
        case "x264 30":
            return _x264(frames, 30)
        case _:
            return _x264(_noise(frames, 5), 26)


DEGRADATIONS = ("none", "jpeg 40", "x264 23", "x264 30", "noise 5, x264 26")


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--lottie", type=Path)
    parser.add_argument("--clipart", type=Path)
    parser.add_argument("--live2d", type=Path)
    parser.add_argument("--set", choices=tuple(CLIPART), default="judged")
    parser.add_argument(
        "--every", type=int, default=1, help="of a clip's 25 cases only every so many (default: 1)"
    )
    parser.add_argument("--table", action="store_true", help="only print what is there")
    options = parser.parse_args()
    file = options.folder / f"{options.set}.jsonl"
    if not options.table:
        judge(file, options)
    table([json.loads(line) for line in file.read_text().splitlines()])


def judge(file: Path, options: argparse.Namespace) -> None:
    """Append what is not there yet."""
    file.parent.mkdir(parents=True, exist_ok=True)
    lines = file.read_text().splitlines() if file.is_file() else []
    done = {tuple(json.loads(line)[key] for key in KEYS) for line in lines}
    pairs = [pair for pair in product(FACTORS, KERNELS) if pair[0] < 1 or pair[1] == "bicubic"]
    with file.open("a") as out:
        for number, (name, frames) in enumerate(drawings(options)):
            for place, (factor, kernel) in enumerate(pairs):
                if (place - number) % options.every:
                    continue
                how = DEGRADATIONS[(number + place) % len(DEGRADATIONS)]
                if (name, factor, kernel, how) in done:
                    continue
                clip = degraded(rescaled(frames, factor, kernel), how)
                begin = time.perf_counter()
                native = resolution.native([clip[-1]])
                seconds = time.perf_counter() - begin
                found = artifacts.rank(CANDIDATES, native)[0].factor
                row = dict(zip(KEYS, (name, factor, kernel, how), strict=True))
                row |= {"native": native, "found": found, "seconds": seconds}
                out.write(json.dumps(row) + "\n")
                out.flush()


CANDIDATES = [
    artifacts.Statistics(factor=one, halo=0, strength=0, kept=0) for one in strategy.FACTORS
]
"""What `--auto` chooses from; it looks at nothing else of them."""
KEYS = ("clip", "factor", "kernel", "degradation")


def table(rows: Sequence[dict[str, Any]]) -> None:
    """How often right, within a step, and how wrong otherwise, by each way to group."""
    print("| by | cases | exact | within 0.1 | mean error | worst |\n|---|---|---|---|---|---|")
    for key in ("all", "degradation", "kernel", "factor", "clip"):
        groups: dict[object, list[float]] = {}
        for row in rows:
            groups.setdefault(row.get(key, "all"), []).append(row["found"] - row["factor"])
        for name, errors in groups.items():
            off = np.abs(errors)
            print(
                f"| {key if name == 'all' else f'{key} {name}'} | {len(off)} "
                f"| {np.mean(off < 0.05):.0%} | {np.mean(off < 0.15):.0%} "
                f"| {np.mean(errors):+.2f} | {off.max():.1f} |"
            )


if __name__ == "__main__":
    main()
