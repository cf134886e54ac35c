"""`Network.step` (network.py) on the kernels of `native/kernels.c`, band by band.

Every layer is cut into bands of rows, whose results do not depend on each other: they run side by
side on as many threads as there are. Bands of a convolution are whole tiles, and where they are cut
depends on the frame's size only, so the number of threads changes nothing.

The last two convolutions go band by band together: the 224 channels between them are never there
in full. Letters: H, W rows and columns of a source frame.
"""

import itertools
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

import numpy as np

from vsanimesr.engines.maps import Map, zeros
from vsanimesr.engines.native import weights as stored
from vsanimesr.engines.native.library import PACK, Kernels, Layer, placed, scratch, seen, stride
from vsanimesr.engines.workers import Task, Workers
from vsanimesr.models import BLOCKS, FEATURES, IMAGE

SLOPE = 0.1
"""Of every leaky ReLU."""
TILE = 4
BAND, FEWEST = 8192, 4
"""Pixels of a band at most, and bands at least, so that several threads have work."""
FUSED = 16384
"""Pixels of a band of the last two convolutions: each computes two rows for its neighbours'."""
SIGHT = 12
"""No band reads further beyond its own rows, in rows of the frame: a quarter's map at fusion."""
BETWEEN = 2 * (IMAGE + FEATURES)
"""Channels between the last two convolutions."""

type Band = Callable[[int, int], None]
"""Computes rows start … stop - 1 of a map."""
type Stage = tuple[Map, Sequence[int], Band]
"""The map that is written, where it is cut, and what writes it."""


class NativeStep:
    """A step for frames of one size. One at a time."""

    def __init__(
        self,
        weights: Mapping[str, np.ndarray],
        kernels: Kernels,
        workers: Workers,
        rows: int,
        columns: int,
    ) -> None:
        """Prepare the weights and take memory for what lies between layers."""
        self._kernels, self._workers = kernels, workers
        self._rows, self._columns = rows, columns
        self._maps = {s: Map(FEATURES, rows // s, columns // s, PACK) for s in BLOCKS}
        self._inner = {s: Map(FEATURES, rows // s, columns // s, PACK) for s in BLOCKS}
        self._window = Map(PACK, rows, columns, PACK)
        self._kept = threading.local()
        of = partial(stored.parameters, weights)
        self._first = stored.first(weights, "conv_s1_first.0")
        self._fusion = [stored.winograd(*of(f"fusion.{i}")) for i in (0, 2)]
        self._phases = stored.phases()
        self._halves = {
            s: self._layer(
                self._maps[s // 2],
                self._maps[s],
                stored.plain(*of(f"conv_s{s}_first.0")),
                slopes=[SLOPE],
            )
            for s in (2, 4)
        }
        self._blocks: dict[tuple[int, int], tuple[Layer, Layer]] = {}
        for scale, count in BLOCKS.items():
            z, inner = self._maps[scale], self._inner[scale]
            for block in range(count):
                name = f"body_s{scale}_first.{block}"
                convolved = (stored.winograd(*of(f"{name}.conv{i}")) for i in (1, 2))
                self._blocks[scale, block] = (
                    self._layer(z, inner, next(convolved), slopes=[0]),
                    self._layer(inner, z, next(convolved), added=[True]),
                )

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
    ) -> Iterator[Stage]:
        """What is computed one after the other."""
        s1, s2, s4 = self._maps.values()
        yield self._stage(self._window, self._join(window))
        yield self._stage(s1, self._begin(image, hidden))
        yield self._stage(s2, partial(self._kernels.halve, self._halves[2]))
        yield self._stage(s4, partial(self._kernels.halve, self._halves[4]))

        for block in range(3):
            yield from self._block(1, block)
        yield from self._block(2, 0)

        yield self._raised(s2, s1)
        yield from self._block(1, 3)
        yield from self._block(2, 1)
        yield from self._block(4, 0)

        yield self._raised(s2, s1)
        yield self._raised(s4, s1)
        yield from self._block(1, 4)
        yield self._raised(s4, s2)
        yield from self._block(2, 2)
        yield from self._block(4, 1)
        yield made[0], _fused_edges(self._rows, self._columns), self._end(window[1], made)

    def _tasks(self, stages: Iterator[Stage]) -> Iterator[Task]:
        """A band may begin when the stage before is done up to the band below its own."""
        before: list[tuple[int, int]] = []  # rows' end in units of the frame, tasks up to there
        count = 0
        for written, edges, band in stages:
            scale = self._rows // written.rows
            ends: list[tuple[int, int]] = []
            for start, stop in itertools.pairwise(edges):
                reach = min(stop * scale + SIGHT, self._rows)
                after = next((tasks for end, tasks in before if end >= reach), 0)
                yield Task(after, partial(band, start, stop))
                count += 1
                ends.append((stop * scale, count))
            before = ends

    def _stage(self, written: Map, band: Band) -> Stage:
        return written, _edges(*written.inside.shape[1:3]), band

    def _block(self, scale: int, block: int) -> Iterator[Stage]:
        """A residual block, in place: z + conv(relu(conv(z)))."""
        maps = self._inner[scale], self._maps[scale]
        for written, layer in zip(maps, self._blocks[scale, block], strict=True):
            yield self._stage(written, partial(self._convolve, layer))

    def _raised(self, coarse: Map, target: Map) -> Stage:
        """Add a coarser map, enlarged."""
        layer = self._layer(coarse, target, added=[True])
        scale = target.rows // coarse.rows
        return self._stage(target, partial(self._kernels.enlarge, layer, scale=scale))

    def _join(self, window: Sequence[np.ndarray]) -> Band:
        """The three frames as one group of channels."""
        planes = [plane.ctypes.data for frame in window for plane in frame]
        size, strides = (self._rows, self._columns), (self._columns + 2, stride(self._window))
        layer = Layer(planes, placed(self._window), size=size, strides=strides)
        return partial(self._kernels.join, layer)

    def _begin(self, image: Map, hidden: Map) -> Band:
        """The first convolution."""
        inputs = [*seen(image), *seen(hidden), *seen(self._window)]
        layer = self._at_source(inputs, placed(self._maps[1]), self._first, [SLOPE] * 4)
        return partial(self._convolve, layer)

    def _end(self, frame: np.ndarray, made: tuple[Map, Map]) -> Band:
        """The last two convolutions, and the enlarged frame: image and hidden state."""
        planes = [plane.ctypes.data for plane in frame]
        size, strides = (self._rows, self._columns), (self._columns + 2, stride(made[0]))
        enlarged = Layer(
            planes, placed(made[0]), size=size, strides=strides, parameters=self._phases
        )
        return partial(self._fuse, enlarged, [*placed(made[0]), *placed(made[1])])

    def _fuse(self, enlarged: Layer, outputs: list[int], start: int, stop: int) -> None:
        """A band of what comes last; what lies in between is this thread's, with a border."""
        top, bottom = max(start - 1, 0), min(stop + 1, self._rows)
        maps = self._scratch("maps", 2 * FEATURES)
        between = self._scratch("between", BETWEEN)
        # Row r of the frame is row r - start + 2 of both.
        above, below = top + 1 - start, bottom + 2 - start  # of `maps`: what the first one sees
        maps[:, above], maps[:, below] = 0, 0
        first, last = max(top - 1, 0), min(bottom + 1, self._rows)
        groups = FEATURES // PACK
        for number, scale in enumerate((2, 4)):
            part = maps[number * groups :][:groups]
            layer = self._at_source(seen(self._maps[scale]), self._rows_at(part, start))
            layer.input_stride = stride(self._maps[scale])
            self._kernels.enlarge(layer, first, last, scale)
        inputs = [*seen(self._maps[1]), *self._seen_at(maps, start)]
        slopes = [SLOPE] * len(between)
        layer = self._at_source(inputs, self._rows_at(between, start), self._fusion[0], slopes)
        between[:, 1], between[:, stop - start + 2] = 0, 0  # outside the frame there is nothing
        self._convolve(layer, top, bottom)
        self._kernels.unfold(enlarged, start, stop)
        colours, features = IMAGE // PACK, FEATURES // PACK
        layer = self._at_source(
            self._seen_at(between, start),
            outputs,
            self._fusion[1],
            [1] * colours + [SLOPE] * features,
            [True] * colours + [False] * features,
        )
        self._convolve(layer, start, stop)

    def _scratch(self, name: str, channels: int) -> np.ndarray:
        """Memory of this thread: rows of a band and two beyond, zeros left and right."""
        kept = vars(self._kept)
        if name not in kept:
            edges = _fused_edges(self._rows, self._columns)
            most = max(b - a for a, b in itertools.pairwise(edges)) + 4
            kept[name] = zeros((channels // PACK, most, self._columns + 2, PACK))
        return kept[name]

    def _rows_at(self, band: np.ndarray, start: int) -> list[int]:
        """A band's groups as outputs: where row 0 of the frame would lie."""
        return [group.ctypes.data + group[0, 0].nbytes - (start - 2) * group[0].nbytes
                for group in band]  # fmt: skip

    def _seen_at(self, band: np.ndarray, start: int) -> list[int]:
        """A band's groups as inputs: where row -1, column -1 of the frame would lie."""
        return [group.ctypes.data - (start - 1) * group[0].nbytes for group in band]

    def _convolve(self, layer: Layer, start: int, stop: int) -> None:
        kept = vars(self._kept)
        if "tiles" not in kept:
            kept["tiles"] = scratch()
        self._kernels.winograd(layer, start, stop, kept["tiles"])

    def _at_source(
        self,
        inputs: Sequence[int],
        outputs: Sequence[int],
        parameters: stored.Parameters | None = None,
        slopes: Sequence[float] = (),
        added: Sequence[bool] = (),
    ) -> Layer:
        """A layer between maps of the frame's size."""
        size, strides = (self._rows, self._columns), (self._columns + 2, self._columns + 2)
        return Layer(
            inputs,
            outputs,
            size=size,
            strides=strides,
            parameters=parameters,
            slopes=slopes,
            added=added,
        )

    def _layer(
        self,
        source: Map,
        target: Map,
        parameters: stored.Parameters | None = None,
        slopes: Sequence[float] = (),
        added: Sequence[bool] = (),
    ) -> Layer:
        """A layer from map to map; activation and addition are those of each group."""
        count = len(target.inside)
        return Layer(
            seen(source),
            placed(target),
            size=target.inside.shape[1:3],
            strides=(stride(source), stride(target)),
            parameters=parameters,
            slopes=list(slopes) * count,
            added=list(added) * count,
        )


def _edges(rows: int, columns: int) -> list[int]:
    """Where a map's rows are cut into bands of whole tiles."""
    lines = -(-rows // TILE)
    count = max(-(-rows * columns // BAND), min(FEWEST, lines))
    return [min(i * lines // count * TILE, rows) for i in range(count + 1)]


def _fused_edges(rows: int, columns: int) -> list[int]:
    """Where the last stage is cut: a band and a row on each side are whole tiles."""
    count = max(-(-rows * columns // FUSED), min(FEWEST, -(-rows // TILE)))
    size = -(-rows // count) + 2
    size += -size % TILE
    return [*range(0, rows, size - 2), rows]
