"""How an encode scales: chunks on workers, simulated. Makes the tables of docs/scale.md.

    python benchmarks/scale.py
    python benchmarks/scale.py --step 0.0105 --start 20   # other times, such as of a GPU

Serial are: the scenes' pass, what the command does for each chunk (taking it over the network,
hashing, fsync), and the join. Everything else is shared out, first come, first served.
"""

import argparse
import heapq
import math
import random
from dataclasses import dataclass, replace

from vsanimesr.encode.workers.news import LEAST, SLOW

WARMUP, BLOCK = 12, 120


@dataclass(frozen=True, kw_only=True)
class Times:
    """Seconds, unless said otherwise."""

    frames: int = 34_560
    """Of an episode: 24 minutes at 24000/1001."""
    scene: int = 96
    """Frames of a scene on average."""
    step: float
    """One frame through the slower of engine and encoder."""
    scenes: float
    """One frame in the pass that finds scenes."""
    start: float
    """Until a worker has loaded everything and shown that it makes the same bytes."""
    tail: float
    """The end of a chunk: the encoder's last frames, decoding it again."""
    kept: float
    """What the command does for one chunk, without the network."""
    size: float
    """Bytes of an encoded frame."""
    network: float
    """Bytes a second into the command's machine."""
    join: float
    """One frame in the join."""
    deaths: float = 0.0
    """Of a worker, an hour."""
    slower: float = 1.0
    """So many times as long one of the workers takes."""
    helped: bool = True
    """Whether chunks that take far longer than others are tried by an idle worker, too."""


def cuts(times: Times, least: int, seed: int = 7) -> list[tuple[int, bool]]:
    """Chunks as `vsanimesr.encode.chunks.cut` makes them: frames, and whether a warm-up is run."""
    from vsanimesr.encode.chunks import cut

    draw, scenes, at = random.Random(seed), [], 0
    while (at := at + 1 + int(draw.expovariate(1 / times.scene))) < times.frames:
        scenes.append(at)
    known = {0, *scenes}
    return [(len(one), one.start not in known) for one in cut(times.frames, scenes, BLOCK, least)]


def episode(times: Times, workers: int, least: int, seed: int = 11) -> tuple[float, float]:
    """Seconds from the command's start to the result, and those that were lost with workers."""
    draw = random.Random(seed)
    begun = times.scenes * times.frames
    free = [(begun + times.start, n) for n in range(workers)]
    heapq.heapify(free)
    arrivals: list[tuple[float, int]] = []
    late: list[tuple[float, float, float, int]] = []  # begun, usual and own time, frames
    lost = 0.0
    todo = cuts(times, least)[::-1]
    while todo:
        frames, warmed = todo.pop()
        now, worker = heapq.heappop(free)
        usual = times.step * (frames + WARMUP * warmed)
        takes = usual * (times.slower if worker == 0 else 1)
        dies = draw.expovariate(times.deaths / 3600) if times.deaths else takes + 1
        if dies < takes:
            lost += dies + times.start
            heapq.heappush(free, (now + dies + times.start, worker))
            todo.append((frames, warmed))
            continue
        # The end of one chunk runs beside the beginning of the worker's next.
        heapq.heappush(free, (now + takes, worker))
        if takes > usual:
            late.append((now, usual, takes, frames))
        else:
            arrivals.append((now + takes + times.tail, frames))
    idle = min((when for when, worker in free if worker), default=math.inf)
    for now, usual, takes, frames in late:  # as in vsanimesr.encode.workers.news
        helped = max(idle, now + max(LEAST, SLOW * usual)) + usual if times.helped else math.inf
        arrivals.append((min(now + takes, helped) + times.tail, frames))
    done = begun
    for arrival, frames in sorted(arrivals):
        done = max(done, arrival) + times.kept + frames * times.size / times.network
    return done + times.join * times.frames, lost


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    measured = {
        **{"step": 0.24, "scenes": 0.00027, "start": 6.0, "tail": 1.8, "kept": 0.045},
        **{"size": 14_400.0, "network": 100e6, "join": 0.00026},
    }
    for name, value in measured.items():
        parser.add_argument(f"--{name}", type=float, default=value)
    times = Times(**vars(parser.parse_args()))
    alone = episode(times, 1, 240)[0]
    print(f"one worker: {alone / 60:.1f} min\n")
    print("| workers | chunks of 120 | 240 | 480 | 960 |\n|---|---|---|---|---|")
    for workers in (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1000):
        cells = []
        for least in (120, 240, 480, 960):
            seconds, _ = episode(times, workers, least)
            cells.append(f"{seconds:.0f} s ({alone / seconds / workers:.0%})")
        print(f"| {workers} | {' | '.join(cells)} |")
    print("\n| deaths a worker and hour | lost of all work, chunks of 120 | 240 | 960 |")
    print("|---|---|---|---|")
    for deaths in (0.1, 1, 10):
        cells = []
        for least in (120, 240, 960):
            lost = sum(
                episode(replace(times, deaths=deaths), 32, least, seed)[1] for seed in range(20)
            )
            cells.append(f"{lost / 20 / (times.step * times.frames):.2%}")
        print(f"| {deaths} | {' | '.join(cells)} |")
    print("\n| workers, one ten times slower | alone | helped out | all alike |\n|---|---|---|---|")
    for workers in (4, 8, 32, 128):
        slow = replace(times, slower=10.0)
        ways = (replace(slow, helped=False), slow, times)
        cells = [f"{episode(way, workers, 240)[0]:.0f} s" for way in ways]
        print(f"| {workers} | {' | '.join(cells)} |")
    print("\n| workers | 10,000 episodes, one at a time | as many at a time as fill them |")
    print("|---|---|---|")
    for workers in (1, 10, 100, 1000):
        one = episode(times, workers, 240)[0] * 10_000
        each = max(1, min(workers, 10))
        shared = episode(times, each, 240)[0] * 10_000 / (workers / each)
        print(f"| {workers} | {one / 86400:.0f} days | {shared / 86400:.1f} days |")


if __name__ == "__main__":
    main()
