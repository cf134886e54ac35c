"""How fast samples come to a trainer, and what storing clips one way or another costs.

    python benchmarks/data_path.py --out docs live2d_gt.mkv

First part: clips of 15 frames and 256x256 with their degraded counterparts, out of stored frames.

- this project: `ClipStore`, `PatchDataset`, `Degrader` with the operators `basic`, H.264 included;
- the same with `data.degrade_on = "device"`, the device being this CPU: workers only read, and one
  thread of the trainer degrades, but for H.264, which it leaves to others;
- baseline: what the released code does in its first stage. A sample decodes 15 whole PNG frames
  with OpenCV, makes float32 of them, crops; blurs with a 21x21 kernel, adds noise to each frame,
  shrinks to 1/4 with OpenCV; and goes through two FFmpeg processes and their pipes.

All have the same frames, the same loader, as many worker processes and as large batches, and take
turns. The clock runs from the first batch on, so that starting processes does not count. Then a
trainer that is busy for `--step` seconds an iteration shows how long it waits.

Second part: CPU time of 15 crops of 256x256 and bytes on disk, for several forms of 48 frames.
"""

import argparse
import datetime
import os
import platform
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import av
import blosc2
import cv2
import imageio_ffmpeg
import numpy as np
import torch
from torch.utils.data import Dataset, default_collate

from vsanimesr.training import pictures
from vsanimesr.training.clips import ClipStore
from vsanimesr.training.degradation.degrade import Degrader, Recipe
from vsanimesr.training.train.on_device import CrispSamples, OnDevice, ahead
from vsanimesr.training.train.patches import PatchDataset
from vsanimesr.training.train.samples import ClipSamples, Numbers, Sample, load

FRAMES, PATCH = 15, 256
STORED = 48
SQUARE = 128

BY_HAND = "## On the trainer's device"
"""Heading from which on the document is not this program's: that stays as it is."""

type Job = tuple[Sequence[int], int, int]
"""Frames, left column and top row of a crop."""


class Baseline(Dataset[Sample]):
    """Samples as the released code makes them."""

    def __init__(self, folder: Path, seed: int = 0) -> None:
        self.files = sorted(folder.glob("*.png"))
        self.seed = seed

    def __getitem__(self, number: int) -> Sample:
        cv2.setNumThreads(1)  # of several workers each has its core
        random = np.random.default_rng([self.seed, number])
        interval = int(random.integers(1, 4))
        first = int(random.integers(len(self.files) - (FRAMES - 1) * interval))
        files = [self.files[first + interval * k] for k in range(FRAMES)]
        if random.random() < 0.5:
            files.reverse()
        whole = [_floats(path) for path in files]
        height, width = whole[0].shape[:2]
        y, x = (int(random.integers(side - PATCH + 1)) for side in (height, width))
        patches = [frame[y : y + PATCH, x : x + PATCH] for frame in whole]
        for axis in (0, 1):
            if random.random() < 0.5:
                patches = [np.flip(patch, axis) for patch in patches]
        if random.random() < 0.5:
            patches = [patch.transpose(1, 0, 2) for patch in patches]
        patches = [np.ascontiguousarray(patch) for patch in patches]
        return Sample(_tensor(_degraded(patches, random)), _tensor(patches))


def _floats(path: Path) -> np.ndarray:
    data = np.frombuffer(path.read_bytes(), np.uint8)
    bgr = cv2.imdecode(data, cv2.IMREAD_COLOR)
    assert bgr is not None
    return bgr.astype(np.float32) / np.float32(255)


def _tensor(frames: Sequence[np.ndarray]) -> torch.Tensor:
    rgb = np.stack(frames)[..., ::-1].transpose(0, 3, 1, 2)
    return torch.from_numpy(np.ascontiguousarray(rgb, np.float32))


def _degraded(patches: list[np.ndarray], random: np.random.Generator) -> list[np.ndarray]:
    kernel = _kernel(random)
    mode = (cv2.INTER_AREA, cv2.INTER_LINEAR, cv2.INTER_CUBIC)[int(random.integers(3))]
    small: list[np.ndarray] = []
    for patch in patches:
        blurred = cv2.filter2D(patch, -1, kernel, borderType=cv2.BORDER_REFLECT_101)
        channels = 1 if random.random() < 0.5 else 3
        noise = random.standard_normal((PATCH, PATCH, channels)) * random.uniform(0, 10) / 255
        noisy = np.clip(blurred + noise, 0, 1).astype(np.float32)
        small.append(np.asarray(cv2.resize(noisy, (PATCH // 4, PATCH // 4), interpolation=mode)))
    levels = (np.clip(np.stack(small), 0, 1) * 255).astype(np.uint8)
    coded = _through_ffmpeg(levels, random)
    return [frame.astype(np.float32) / np.float32(255) for frame in coded]


def _kernel(random: np.random.Generator) -> np.ndarray:
    """A Gaussian of 21x21, along and across a line of any direction."""
    along, across = (
        random.uniform(0.2, 4, 2) if random.random() < 0.3 else [random.uniform(0.2, 4)] * 2
    )
    angle = random.uniform(-np.pi, np.pi)
    y, x = np.mgrid[-10:11, -10:11]
    u, v = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    bell = np.exp(-0.5 * ((u / along) ** 2 + (v / across) ** 2))
    return bell / bell.sum()


def _through_ffmpeg(frames: np.ndarray, random: np.random.Generator) -> np.ndarray:
    ffmpeg = [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-loglevel", "error"]
    raw = ["-f", "rawvideo", "-pix_fmt", "rgb24"]
    size = ["-r", "25", "-s", f"{frames.shape[2]}x{frames.shape[1]}"]
    profile = ("baseline", "main", "high")[int(random.choice(3, p=(0.1, 0.2, 0.7)))]
    codec = ["-vcodec", "libx264", "-crf", f"{random.uniform(18, 35)}", "-profile:v", profile]
    encode = [
        *ffmpeg,
        *raw,
        *size,
        "-i",
        "pipe:",
        "-f",
        "h264",
        "-pix_fmt",
        "yuv420p",
        *codec,
        "pipe:",
    ]
    stream = subprocess.run(encode, input=frames.tobytes(), capture_output=True, check=True).stdout
    decode = [*ffmpeg, "-f", "h264", "-i", "pipe:", *raw, "pipe:"]
    decoded = subprocess.run(decode, input=stream, capture_output=True, check=True).stdout
    return np.frombuffer(decoded, np.uint8).reshape(frames.shape)


class Side(NamedTuple):
    """One way to come to samples."""

    samples: Dataset[Any]
    prepare: Callable[[Any], Sample] | None = None
    """What the trainer's process does with a batch of them."""


def ours(store: ClipStore) -> tuple[Side, Side]:
    """Samples as this project's trainer has them: degraded by workers, or by itself."""
    patches, recipe = PatchDataset(store, frames=FRAMES, patch=PATCH), Recipe(ops="basic")
    return (
        Side(ClipSamples(patches, Degrader(recipe, workers=1), seed=0)),
        Side(CrispSamples(patches, seed=0), OnDevice(Degrader(recipe), torch.device("cpu"))),
    )


def rate(
    side: Side, *, batch: int, workers: int, iterations: int, step: float
) -> tuple[float, float]:
    """Iterations a second, and the share of the time that a trainer waits.

    Args:
        side: To load from.
        batch: Of an iteration.
        workers: Processes.
        iterations: To time; as many as workers have read ahead are done before.
        step: Seconds that the trainer is busy with a batch.
    """
    first = 2 * workers  # as torch's loader
    numbers = Numbers(0, first + iterations, batch=batch, process=0, processes=1)
    loader = load(side.samples, numbers, workers=workers, pin=False)
    if side.prepare:
        loader = ahead(loader, side.prepare)
    for _ in islice(loader, first):
        time.sleep(step)
    begin, waited = time.perf_counter(), 0.0
    for _ in range(iterations):
        asked = time.perf_counter()
        next(loader)
        waited += time.perf_counter() - asked
        time.sleep(step)
    took = time.perf_counter() - begin
    return iterations / took, waited / took


def cpu(side: Side, count: int) -> float:
    """CPU seconds of a sample, those of the processes it starts included."""

    def make(number: int) -> None:
        sample = side.samples[number]
        if side.prepare:
            side.prepare(default_collate([sample]))

    make(0)
    begin = os.times()
    for number in range(1, count + 1):
        make(number)
    return sum(b - a for a, b in zip(begin[:4], os.times()[:4], strict=True)) / count


def paths(folder: Path, frames: np.ndarray, args: argparse.Namespace) -> list[str]:
    """The first part's lines."""
    store = ClipStore(folder / "store")
    store.write("clip", frames, "train", {})
    _pngs(folder / "png", frames)
    workers, device = ours(store)
    sides = {
        "baseline": Side(Baseline(folder / "png")),
        "this project": workers,
        'this project, `degrade_on = "device"`': device,
    }
    each = {name: cpu(side, 6) for name, side in sides.items()}
    fast: dict[str, list[float]] = {name: [] for name in sides}
    waits: dict[str, list[float]] = {name: [] for name in sides}
    options = {"batch": args.batch, "workers": args.workers, "iterations": args.iterations}
    for _ in range(args.rounds):
        for name, side in sides.items():
            fast[name].append(rate(side, **options, step=0)[0])
            waits[name].append(rate(side, **options, step=args.step)[1])
            print(f"{name}: {fast[name][-1]:.3f} iterations/s, {waits[name][-1]:.0%} waiting")
    lines = [
        f"{args.workers} workers, batches of {args.batch}; mean of {args.rounds} rounds of "
        f"{args.iterations} iterations each, in brackets the rounds. Waiting: the share of a "
        f"trainer's time, if an iteration keeps it busy for {args.step:g} s.",
        "",
        "| | CPU s a sample | samples/s | iterations/s | waiting |",
        "|---|---|---|---|---|",
    ]
    for name in sides:
        mean = float(np.mean(fast[name]))
        rounds = ", ".join(f"{value:.3f}" for value in fast[name])
        lines.append(
            f"| {name} | {each[name]:.3f} | {mean * args.batch:.2f} | {mean:.3f} ({rounds}) "
            f"| {np.mean(waits[name]):.0%} |"
        )
    ratios = [b / a for a, b in zip(fast["baseline"], fast["this project"], strict=True)]
    lines += [
        "",
        f"Ratio of iterations/s: {np.mean(ratios):.1f} "
        f"({', '.join(f'{one:.1f}' for one in ratios)}); of CPU time: "
        f"{each['baseline'] / each['this project']:.1f}.",
    ]
    return lines


def _pngs(folder: Path, frames: np.ndarray) -> None:
    folder.mkdir()
    for number, frame in enumerate(frames):
        cv2.imwrite(str(folder / f"{number:08d}.png"), frame[..., ::-1])


def _square(path: Path, number: int, y: int, x: int) -> Path:
    return path / f"{number}_{y}_{x}.png"


def _raw(path: Path) -> Callable[[Job], np.ndarray]:
    def read(job: Job) -> np.ndarray:
        indices, x, y = job
        frames = np.load(path, mmap_mode="r")
        return np.stack([frames[i, y : y + PATCH, x : x + PATCH] for i in indices])

    return read


def _whole(folder: Path) -> Callable[[Job], np.ndarray]:
    def read(job: Job) -> np.ndarray:
        indices, x, y = job
        frames = [_rgb(folder / f"{i:08d}.png") for i in indices]
        return np.stack([frame[y : y + PATCH, x : x + PATCH] for frame in frames])

    return read


def _squares(folder: Path) -> Callable[[Job], np.ndarray]:
    def read(job: Job) -> np.ndarray:
        indices, x, y = job
        result = np.empty((len(indices), PATCH, PATCH, 3), np.uint8)
        for place, i in enumerate(indices):
            for top in range(y // SQUARE * SQUARE, y + PATCH, SQUARE):
                for left in range(x // SQUARE * SQUARE, x + PATCH, SQUARE):
                    square = _rgb(_square(folder, i, top, left))
                    y0, x0 = max(top, y), max(left, x)
                    y1, x1 = min(top + SQUARE, y + PATCH), min(left + SQUARE, x + PATCH)
                    part = square[y0 - top : y1 - top, x0 - left : x1 - left]
                    result[place, y0 - y : y1 - y, x0 - x : x1 - x] = part
        return result

    return read


def _blosc(path: Path) -> Callable[[Job], np.ndarray]:
    def read(job: Job) -> np.ndarray:
        indices, x, y = job
        frames: Any = blosc2.open(str(path), mode="r")  # may be of many kinds
        return np.stack([frames[i, y : y + PATCH, x : x + PATCH] for i in indices])

    return read


def _video(path: Path) -> Callable[[Job], np.ndarray]:
    def read(job: Job) -> np.ndarray:
        indices, x, y = job
        found: dict[int, np.ndarray] = {}
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            stream.thread_count = 1
            assert stream.time_base
            container.seek(int(indices[0] / 24 / stream.time_base), stream=stream)
            for frame in container.decode(stream):
                assert frame.time is not None
                number = round(frame.time * 24)
                if number in indices:
                    rgb = frame.to_ndarray(format="rgb24")
                    found[number] = rgb[y : y + PATCH, x : x + PATCH]
                if number >= indices[-1]:
                    break
        return np.stack([found[i] for i in indices])

    return read


def _rgb(path: Path) -> np.ndarray:
    bgr = cv2.imread(str(path))
    assert bgr is not None
    return bgr[..., ::-1]


def _write_squares(folder: Path, frames: np.ndarray) -> None:
    folder.mkdir()
    for i, frame in enumerate(frames):
        for y in range(0, frame.shape[0], SQUARE):
            for x in range(0, frame.shape[1], SQUARE):
                square = frame[y : y + SQUARE, x : x + SQUARE, ::-1]
                cv2.imwrite(str(_square(folder, i, y, x)), square)


def _write_blosc(path: Path, frames: np.ndarray, codec: blosc2.Codec, level: int) -> None:
    square = (1, SQUARE, SQUARE, 3)
    stored: Any = frames  # blosc2 takes it for no array
    blosc2.asarray(
        stored,
        chunks=square,
        blocks=square,
        urlpath=str(path),
        mode="w",
        cparams=blosc2.CParams(
            codec=codec,
            clevel=level,
            typesize=3,
            filters=[blosc2.Filter.SHUFFLE],
            nthreads=1,
        ),
    )


def _write_video(path: Path, frames: np.ndarray) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=24)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt, stream.options = "bgr0", {"level": "3", "slices": "4", "g": "1"}
        for frame in frames:
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24").reformat(format="bgr0")
            container.mux(stream.encode(picture))
        container.mux(stream.encode())


def forms(folder: Path, frames: np.ndarray) -> list[str]:
    """The second part's lines."""
    np.save(folder / "raw.npy", frames)
    _pngs(folder / "whole", frames)
    _write_squares(folder / "squares", frames)
    _write_video(folder / "ffv1.mkv", frames)
    readers: dict[str, tuple[Path, Callable[[Job], np.ndarray]]] = {
        "raw, npy": (folder / "raw.npy", _raw(folder / "raw.npy")),
        "PNG": (folder / "whole", _whole(folder / "whole")),
        f"PNG, squares of {SQUARE}": (folder / "squares", _squares(folder / "squares")),
        "FFV1, every frame a key frame": (folder / "ffv1.mkv", _video(folder / "ffv1.mkv")),
    }
    for codec, level in (
        (blosc2.Codec.ZSTD, 1),
        (blosc2.Codec.ZSTD, 5),
        (blosc2.Codec.LZ4, 5),
    ):
        path = folder / f"{codec.name}{level}.b2nd"
        _write_blosc(path, frames, codec, level)
        title = f"Blosc2 {codec.name.lower()} {level}, squares of {SQUARE}"
        readers[title] = (path, _blosc(path))
    random = np.random.default_rng(0)
    height, width = frames.shape[1:3]
    jobs: list[Job] = []
    for _ in range(12):
        interval = int(random.integers(1, 4))
        first = int(random.integers(len(frames) - (FRAMES - 1) * interval))
        x, y = int(random.integers(width - PATCH)), int(random.integers(height - PATCH))
        jobs.append(([first + interval * k for k in range(FRAMES)], x, y))
    wanted = [_raw(folder / "raw.npy")(job) for job in jobs]
    lines = [
        f"{len(frames)} frames of {width}x{height}; CPU time on one thread, the less of two rounds "
        f"over {len(jobs)} samples; all give the same bytes.",
        "",
        "| form | ms a sample | MB |",
        "|---|---|---|",
    ]
    for title, (path, read) in readers.items():
        took: list[float] = []
        for _ in range(2):
            begin = time.process_time()
            got = [read(job) for job in jobs]
            took.append((time.process_time() - begin) / len(jobs) * 1000)
            assert all(np.array_equal(a, b) for a, b in zip(got, wanted, strict=True)), title
        lines.append(f"| {title} | {min(took):.1f} | {_bytes(path) / 1e6:.1f} |")
        print(lines[-1])
    return lines


def _bytes(path: Path) -> int:
    return sum(one.stat().st_size for one in (path.iterdir() if path.is_dir() else [path]))


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("video", type=Path, help="crisp, with 48 frames or more, best of 1280x720")
    parser.add_argument("--out", type=Path, required=True, help="folder of data_path.md")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--batch", type=int, default=4, help="default: the paper's of a GPU")
    parser.add_argument("--iterations", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--step",
        type=float,
        default=0.74,
        help="seconds (default: of the GAN stage, 14.8 TFLOP at 20 TFLOP/s)",
    )
    parser.add_argument("--scratch", type=Path, help="where frames are stored meanwhile")
    args = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    blosc2.set_nthreads(1)
    busy = os.getloadavg()[0]
    frames = np.stack(list(islice(pictures.read(args.video), 100)))
    with tempfile.TemporaryDirectory(dir=args.scratch) as scratch:
        stored = forms(Path(scratch), frames[:STORED])
        made = paths(Path(scratch), frames, args)
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    ).stdout.strip()
    path = args.out / "data_path.md"
    _, heading, rest = path.read_text().partition(BY_HAND) if path.exists() else ("", "", "")
    text = f"""\
# The data path

Made by `python benchmarks/data_path.py --out docs --workers {args.workers} --batch {args.batch}
--rounds {args.rounds} --iterations {args.iterations} {args.video.name}`, {datetime.date.today()},
{platform.machine()} {platform.system()}, {_processor()}, {os.cpu_count()} cores, load average
{busy:.1f} before and {os.getloadavg()[0]:.1f} after, commit {commit}.

## Samples

{chr(10).join(made)}

The baseline does what the released code does: 15 whole PNG frames decoded with OpenCV, filters in
NumPy and OpenCV, two FFmpeg processes a sample. It is written after the code's description, and
runs on the same frames, with the same loader.

## Forms of storage

{chr(10).join(stored)}

Clips are stored as Blosc2 zstd 1 (`vsanimesr/training/squares.py`): reading a sample costs a small
part of degrading it, in less space than raw frames take; more compression would save little.

{heading}{rest}"""
    args.out.mkdir(parents=True, exist_ok=True)
    path.write_text(text.rstrip() + "\n")


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(": ")[1] for line in lines if line.startswith("model name")), "unknown")


if __name__ == "__main__":
    main()
