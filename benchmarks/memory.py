"""Peak memory of a step by formula and by measurement, and what strips cost in time.

    python benchmarks/memory.py [--sizes 640x360 1280x720] [--strips 1 2 4 8] [--device cpu]
                                [--backend torch]

Each row is a process of its own: upload, two steps and one write of YUV420P8. On a CPU the peak is
the process's largest resident size less that before the engine ran; on a GPU it is torch's
`max_memory_allocated`. The formula is `vsanimesr.strips.Budget`, of torch; others have no strips.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

MB = 2**20


def measure(backend: str, width: int, height: int, count: int, device: str, precision: str) -> None:
    """Print what one process needs, as JSON."""
    import numpy as np

    from vsanimesr import engines, weights
    from vsanimesr.colour import Colour, Family, Format, Matrix

    yuv = Format(Family.YUV, 8, sub_w=1, sub_h=1)
    colour = Colour(Matrix.BT709, full=False)
    engine = engines.load(
        backend,
        weights.load("v2"),
        engines.Setup(
            width=width,
            height=height,
            source=yuv,
            target=yuv,
            device=device,
            precision=precision,
        ),
        strips=count,
    )
    shapes = [(height, width), *[(height // 2, width // 2)] * 2]
    random = np.random.default_rng(0)
    planes = [random.integers(16, 235, shape, np.uint8) for shape in shapes]
    out = [np.zeros((4 * h, 4 * w), np.uint8) for h, w in shapes]  # touched, so counted before
    before = _peak(device)
    source = engine.upload(planes, colour)
    state = engine.step(source, source, source, None)
    _wait(device)
    times: list[float] = []
    for _ in range(3):
        begin = time.perf_counter()
        state = engine.step(source, source, source, state)
        _wait(device)
        times.append(time.perf_counter() - begin)
    stepped = _peak(device)
    engine.write(state, out, colour)
    budget = getattr(engine, "budget", None)
    print(
        json.dumps(
            {
                "size": f"{width}x{height}",
                "strips": count,
                "precision": engine.description.rsplit(", ", 1)[1],
                "formula": budget.peak(count) / MB if budget else float("nan"),
                "states": 2 * engine.state_bytes / MB,
                "step": (stepped - before) / MB,
                "with write": (_peak(device) - before) / MB,
                "ms": 1e3 * min(times),
            }
        )
    )


def _wait(device: str) -> None:
    if device != "cpu":
        import torch

        torch.cuda.synchronize()


def _peak(device: str) -> int:
    if device != "cpu":
        import torch

        return torch.cuda.max_memory_allocated()
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", nargs="+", default=["640x360", "1280x720"])
    parser.add_argument("--strips", nargs="+", type=int, default=[1, 2, 4, 8])
    parser.add_argument("--precisions", nargs="+", default=["fp32", "bf16"])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--backend", default="torch")
    parser.add_argument("--one", nargs=3)
    options = parser.parse_args()
    if options.one:
        size, count, precision = options.one
        width, height = map(int, size.split("x"))
        return measure(options.backend, width, height, int(count), options.device, precision)
    print(
        "| frame | precision | strips | formula, MB | step, MB | step and write, MB | ms, ratio |"
    )
    print("|---|---|---|---|---|---|---|")
    for size in options.sizes:
        for precision in options.precisions:
            whole = 0.0
            for count in options.strips:
                command = [sys.executable, str(Path(__file__)), "--device", options.device]
                command += ["--backend", options.backend, "--one"]
                done = subprocess.run(
                    [*command, size, str(count), precision], capture_output=True, text=True
                )
                if done.returncode:
                    print(f"| {size} | {precision} | {count} | {done.stderr.splitlines()[-1]} |")
                    continue
                row = json.loads(done.stdout)
                whole = whole or row["ms"]
                print(
                    f"| {size} | {precision} | {count} | {row['formula'] + row['states']:.0f} "
                    f"| {row['step']:.0f} | {row['with write']:.0f} "
                    f"| {row['ms']:.0f}, {row['ms'] / whole:.2f} |"
                )
    return None


if __name__ == "__main__":
    main()
