"""`Network.step` (network.py) on ncnn's kernels, band by band.

Every convolution is cut into bands of rows, whose results do not depend on each other: they run
side by side on as many threads as there are, and ncnn's own scratch memory, several times a layer's
input with Winograd's method, is that of a band. A band's rows see the neighbours' rows as they lie
in the whole map, and zeros around the frame, so the result is that of the whole, but for last bits.

Where bands are cut depends on the frame's size only, so the number of threads changes nothing.
Letters: H, W rows and columns of a source frame, P channels packed side by side.
"""

import itertools
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np

from vsanimesr.engines.maps import Map, Rows, zeros
from vsanimesr.engines.ncnn.layers import JOINED, SLOPE, Layers
from vsanimesr.engines.ncnn.maps import around, mat, pack, rows_of
from vsanimesr.engines.workers import Task, Workers
from vsanimesr.models import FEATURES, IMAGE

BAND, LEAST = 8192, 8
"""Pixels of a band, at most, and its rows at least: more cost memory, fewer cost time at edges."""
REACH = 2
"""Of the fusion's two convolutions, in rows."""
SIGHT = 12
"""No band reads further beyond its own rows, in rows of the frame: a quarter's map at fusion."""
FUSED = 2 * (IMAGE + FEATURES)
"""Channels between the two convolutions of the fusion."""

type Band = Callable[[int, int], None]
"""Computes rows start … stop - 1 of a map."""


class BandedStep:
    """A step for frames of one size. One at a time."""

    def __init__(self, layers: Layers, workers: Workers, rows: int, columns: int) -> None:
        """Take memory for what lies between layers."""
        self._layers, self._workers = layers, workers
        self._rows, self._columns = rows, columns
        self._maps = [Map(FEATURES, rows // s, columns // s, pack()) for s in (1, 2, 4)]
        self._inner = [Map(FEATURES, rows // s, columns // s, pack()) for s in (1, 2, 4)]
        self._kept = threading.local()

    def __call__(
        self, window: Sequence[np.ndarray], image: Map, hidden: Map, made: tuple[Map, Map]
    ) -> None:
        """Run the network once.

        Args:
            window: Previous, current and next frame, (3, H + 2, W + 2) each, edges repeated.
            image: Of the last step, folded.
            hidden: Of the last step.
            made: Image and hidden state of this step, to be written.
        """
        self._workers(list(self._tasks(self._stages(window, image, hidden, made))))

    def _stages(
        self, window: Sequence[np.ndarray], image: Map, hidden: Map, made: tuple[Map, Map]
    ) -> Iterator[tuple[Map, Band]]:
        """What is computed one after the other, and the map that is written."""
        s1, s2, s4 = self._maps
        yield s1, partial(self._first, window, image, hidden)
        yield s2, partial(self._convolve, "conv_s2_first.0", s1, s2, 2)
        yield s4, partial(self._convolve, "conv_s4_first.0", s2, s4, 2)

        for block in range(3):
            yield from self._block(1, block)
        yield from self._block(2, 0)

        yield s1, partial(self._raise, s1, [(s2, 2)])
        yield from self._block(1, 3)
        yield from self._block(2, 1)
        yield from self._block(4, 0)

        yield s1, partial(self._raise, s1, [(s2, 2), (s4, 4)])
        yield from self._block(1, 4)
        yield s2, partial(self._raise, s2, [(s4, 2)])
        yield from self._block(2, 2)
        yield from self._block(4, 1)
        yield made[0], partial(self._fuse, window[1], made)

    def _tasks(self, stages: Iterator[tuple[Map, Band]]) -> Iterator[Task]:
        """A band may begin when the stage before is done up to the band below its own."""
        before: list[tuple[int, int]] = []  # rows' end in units of the frame, tasks up to there
        count = 0
        for written, band in stages:
            scale = self._rows // written.rows
            ends: list[tuple[int, int]] = []
            for start, stop in itertools.pairwise(_edges(written)):
                reach = min(stop * scale + SIGHT, self._rows)
                after = next((tasks for end, tasks in before if end >= reach), 0)
                yield Task(after, partial(band, start, stop))
                count += 1
                ends.append((stop * scale, count))
            before = ends

    def _block(self, scale: int, block: int) -> Iterator[tuple[Map, Band]]:
        """A residual block, in place: z + conv(relu(conv(z)))."""
        index = scale // 2
        z, inner = self._maps[index], self._inner[index]
        name = f"body_s{scale}_first.{block}"
        yield inner, partial(self._convolve, f"{name}.conv1", z, inner, 1)
        yield z, partial(self._add_convolved, f"{name}.conv2", inner, z)

    def _scratch(self, name: str, channels: int, rows: int) -> Rows:
        """Memory of this thread with zeros left and right; inside lies what was there before."""
        kept = vars(self._kept)
        if name not in kept:
            most = max(b - a for a, b in itertools.pairwise(_edges(self._maps[0]))) + 2 * REACH
            kept[name] = zeros((channels // pack(), most, self._columns + 2, pack()))
        return kept[name][:, :rows]

    def _first(
        self, window: Sequence[np.ndarray], image: Map, hidden: Map, start: int, stop: int
    ) -> None:
        joined = self._scratch("inputs", JOINED, stop - start + 2)
        group = 0
        for part in (image.bordered, hidden.bordered):
            joined[group : group + len(part)] = part[:, start : stop + 2]
            group += len(part)
        joined[group:] = 0
        top, bottom = max(start - 1, 0), min(stop + 1, self._rows)
        inside = joined[group:, top - start + 1 : bottom - start + 1, 1:-1]
        for number, frame in enumerate(window):
            for colour in range(3):
                channel = 3 * number + colour
                there = inside[channel // pack(), :, :, channel % pack()]
                there[:] = frame[colour, top + 1 : bottom + 1, 1:-1]
        made = self._layers("conv_s1_first.0", mat(joined))
        self._maps[0].inside[:, start:stop] = rows_of(made)

    def _convolve(
        self, name: str, source: Map, target: Map, stride: int, start: int, stop: int
    ) -> None:
        made = self._layers(name, around(source, start * stride, stop * stride))
        target.inside[:, start:stop] = rows_of(made)

    def _add_convolved(self, name: str, source: Map, target: Map, start: int, stop: int) -> None:
        made = self._layers(name, around(source, start, stop))
        target.inside[:, start:stop] += rows_of(made)

    def _raise(self, target: Map, coarse: Sequence[tuple[Map, int]], start: int, stop: int) -> None:
        """Add coarser maps, enlarged."""
        for source, scale in coarse:
            target.inside[:, start:stop] += self._enlarged(source, scale, start, stop)

    def _enlarged(self, source: Map, scale: int, start: int, stop: int) -> Rows:
        """Rows start … stop - 1 of a map enlarged bilinearly."""
        first = max(start // scale - 1, 0)
        last = min(-(-stop // scale) + 1, source.rows)
        inside = source.inside[:, first:last]
        seen = zeros(inside.shape)  # dense, which the inside of a border is not
        seen[:] = inside
        made = self._layers(f"up{scale}", mat(seen))
        return rows_of(made)[:, start - first * scale : stop - first * scale]

    def _fuse(self, frame: np.ndarray, made: tuple[Map, Map], start: int, stop: int) -> None:
        """The last two convolutions, and the enlarged frame: image and hidden state."""
        image, hidden = made
        s1, s2, s4 = self._maps
        groups = FEATURES // pack()
        top, bottom = max(start - REACH, 0), min(stop + REACH, self._rows)
        joined = self._scratch("branches", 3 * FEATURES, stop - start + 2 * REACH)
        above, below = top - start + REACH, bottom - start + REACH
        joined[:, :above] = joined[:, below:] = 0  # outside the frame there is nothing
        inside = joined[:, above:below, 1:-1]
        inside[:groups] = s1.inside[:, top:bottom]
        inside[groups : 2 * groups] = self._enlarged(s2, 2, top, bottom)
        inside[2 * groups :] = self._enlarged(s4, 4, top, bottom)
        between = self._scratch("fused", FUSED, stop - start + 2)
        between[:, :, 1:-1] = rows_of(self._layers("fusion.0", mat(joined)))
        if start == 0:
            between[:, 0] = 0
        if stop == self._rows:
            between[:, -1] = 0
        out = rows_of(self._layers("fusion.2", mat(between)))
        enlarged = rows_of(self._layers("enlarge", mat(frame[:, start : stop + 2, :, None])))
        split = IMAGE // pack()
        np.add(out[:split], enlarged, out=image.inside[:, start:stop])
        np.maximum(out[split:], out[split:] * np.float32(SLOPE), out=hidden.inside[:, start:stop])


def _edges(written: Map) -> list[int]:
    """Where a map's rows are cut into bands, all as equal as can be."""
    _, rows, columns, _ = written.inside.shape
    count = -(-rows // max(BAND // columns, LEAST))
    return [i * rows // count for i in range(count + 1)]
