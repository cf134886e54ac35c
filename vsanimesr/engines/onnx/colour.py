"""Planes of any format to the network's RGB and back, as ONNX graphs: the sums of torch/colour.py.

A graph belongs to a format and a size. What depends on a frame's colour, the *numbers*, comes in as
small inputs: so one session serves a clip whose colour changes. Filters of all chroma locations are
made equally long, with weights of 0. Everything is computed in float32.

Letters: h, w rows and columns of the frame at hand, H, W the same padded to multiples of 4.
"""

from collections.abc import Callable

import numpy as np
from onnx import ModelProto

from vsanimesr.colour import Affine, Colour, Family, Format, dither_pattern, reading, writing
from vsanimesr.engines.onnx.builder import Builder
from vsanimesr.engines.onnx.planes import AS_THEY_LIE, Crossing
from vsanimesr.engines.protocol import Setup
from vsanimesr.models import IMAGE, SCALE
from vsanimesr.resample import SITES, Filter, enlarging, mirrored, shrinking

ROWS, COLUMNS = 2, 3  # axes of (n, c, h, w)
SINGLE = np.dtype(np.float32)

type Numbers = dict[str, np.ndarray]
type Design = Callable[[int, float], Filter]


def reading_graph(setup: Setup, dtype: np.dtype, crossing: Crossing = AS_THEY_LIE) -> ModelProto:
    """From `plane_0` … (h, w) and the numbers to `image` (1, 3, H, W) of `dtype`.

    The planes are what `crossing` packs. RGB in [0, 1]: what lies outside is clamped; a sample
    that is NaN counts as 0. The padding repeats the edges.
    """
    b, source, height, width = Builder(), setup.source, setup.height, setup.width
    planes = [
        b.reshape(crossing.arriving(b, f"plane_{i}", source, shape), 1, 1, *shape)
        for i, shape in enumerate(source.shapes(height, width))
    ]
    if source.family == Family.YUV:
        shape = (height >> source.sub_h, width >> source.sub_w)
        chroma = b.add("Concat", *planes[1:], axis=0)  # one filter for both
        if source.sub_w:
            chroma = _enlarged(b, chroma, shape, COLUMNS, source.sub_w)
        if source.sub_h:
            chroma = _enlarged(b, chroma, (shape[0], width), ROWS, source.sub_h)
        planes[1:] = [b.reshape(chroma, 1, 2, height, width)]
    image = b.add("Concat", *planes, axis=1)
    if not _bare(source):
        image = _mixed(b, image, 3, source.planes)
    image = b.add("Clip", image, b.scalar(0), b.scalar(1))
    if dtype != SINGLE:
        image = b.cast(image, dtype)
    below, right = setup.rows - height, setup.columns - width
    if below or right:
        pads = b.constant(np.array([0, 0, 0, 0, 0, 0, below, right], np.int64))
        image = b.add("Pad", image, pads, mode="edge")
    b.output(image, "image", dtype, (1, 3, setup.rows, setup.columns))
    return b.model("planes to RGB", "")


def reading_numbers(setup: Setup, colour: Colour) -> Numbers:
    """What `reading_graph` wants besides the planes.

    Raises:
        OptionError: YUV with the matrix of RGB.
    """
    return _numbers(setup.source, colour, reading, enlarging)


def writing_graph(setup: Setup, dtype: np.dtype, crossing: Crossing = AS_THEY_LIE) -> ModelProto:
    """From the folded `image` (1, 48, H, W) of `dtype` and the numbers to `plane_0` … (4h, 4w).

    The planes are for `crossing` to unpack. Integers are rounded (to even, as torch does) and
    clamped, floats are not clamped.
    """
    b, target, height, width = Builder(), setup.target, setup.height, setup.width
    image = b.input("image", dtype, (1, IMAGE, setup.rows, setup.columns))
    if dtype != SINGLE:
        image = b.cast(image, SINGLE)
    image = b.add("DepthToSpace", image, blocksize=SCALE, mode="CRD")
    if (height, width) != (setup.rows, setup.columns):
        image = b.cut(image, (ROWS, COLUMNS), (0, 0), (SCALE * height, SCALE * width))
    height, width = SCALE * height, SCALE * width
    if not _bare(target):
        image = _mixed(b, image, target.planes, 3)
    codes = [b.cut(image, (1,), (i,), (i + 1,)) for i in range(target.planes)]
    if target.sub_w or target.sub_h:
        chroma = b.reshape(b.cut(image, (1,), (1,), (3,)), 2, 1, height, width)
        if target.sub_h:
            chroma = _shrunk(b, chroma, height, ROWS, target.sub_h)
        if target.sub_w:
            chroma = _shrunk(b, chroma, width, COLUMNS, target.sub_w)
        codes[1:] = (b.cut(chroma, (0,), (i,), (i + 1,)) for i in range(2))
    dither = _dithered(setup)
    pattern = b.input("pattern", SINGLE, dither_pattern().shape) if dither else ""
    for i, shape in enumerate(target.shapes(height, width)):
        plane = b.reshape(codes[i], *shape)
        if dither:
            plane = b.add("Add", plane, _tiled(b, pattern, shape))
        crossing.leaving(b, plane, f"plane_{i}", target, shape)
    return b.model("RGB to planes", "")


def writing_numbers(setup: Setup, colour: Colour) -> Numbers:
    """What `writing_graph` wants besides the image.

    Raises:
        OptionError: YUV or GRAY with the matrix of RGB.
    """
    numbers = _numbers(setup.target, colour, writing, shrinking)
    return numbers | {"pattern": dither_pattern().astype(SINGLE)} if _dithered(setup) else numbers


def _dithered(setup: Setup) -> bool:
    return setup.dither and not setup.target.floating


def _numbers(
    of: Format,
    colour: Colour,
    make: Callable[[Format, Colour], Affine],
    design: Design,
) -> Numbers:
    affine = make(of, colour)
    numbers: Numbers = {}
    if not _bare(of):
        numbers = {"matrix": affine.matrix[:, :, None, None], "offset": affine.offset}
    x, y = SITES[colour.chroma]
    if of.sub_w:
        taps = _widened(design, of.sub_w, x).taps
        numbers["along"] = taps.reshape(-1, 1, 1, taps.shape[-1])
    if of.sub_h:
        taps = _widened(design, of.sub_h, y).taps
        numbers["down"] = taps.reshape(-1, 1, taps.shape[-1], 1)
    return {name: array.astype(SINGLE) for name, array in numbers.items()}


def _widened(design: Design, sub: int, site: float) -> Filter:
    """The filter of a site, as long as that of any site needs to be."""
    found = design(1 << sub, site)
    all_sites = [
        design(1 << sub, site) for site in sorted({x for xy in SITES.values() for x in xy})
    ]
    before = max(other.before for other in all_sites)
    after = max(other.after for other in all_sites)
    zeros = ((before - found.before), (after - found.after))
    rest = ((0, 0),) * (found.taps.ndim - 1)
    return Filter(before, after, np.pad(found.taps, (*rest, zeros)))


def _bare(of: Format) -> bool:
    """Whether planes hold nominal R, G, B as they are."""
    return of.family == Family.RGB and of.floating


def _mixed(b: Builder, x: str, outputs: int, inputs: int) -> str:
    """The affine map of the channels."""
    matrix = b.input("matrix", SINGLE, (outputs, inputs, 1, 1))
    return b.add("Conv", x, matrix, b.input("offset", SINGLE, (outputs,)), kernel_shape=[1, 1])


def _enlarged(b: Builder, x: str, shape: tuple[int, int], axis: int, sub: int) -> str:
    """`x` (n, 1, *shape) made denser along an axis."""
    ratio, by = 1 << sub, _widened(enlarging, sub, 0)
    name, kernel = _kernel(axis, by)
    taps = b.input(name, SINGLE, (ratio, 1, *kernel))
    phases = b.add("Conv", _mirrored(b, x, by, shape[axis - ROWS], axis), taps, kernel_shape=kernel)
    order = (0, 2, 1, 3) if axis == ROWS else (0, 2, 3, 1)
    height, width = (
        ratio * n if axis == a else n for a, n in zip((ROWS, COLUMNS), shape, strict=True)
    )
    return b.reshape(b.add("Transpose", phases, perm=order), 2, 1, height, width)


def _shrunk(b: Builder, x: str, length: int, axis: int, sub: int) -> str:
    """`x` (n, 1, h, w), `length` long along an axis, made sparser along it."""
    ratio, by = 1 << sub, _widened(shrinking, sub, 0)
    name, kernel = _kernel(axis, by)
    taps = b.input(name, SINGLE, (1, 1, *kernel))
    strides = [ratio if axis == a else 1 for a in (ROWS, COLUMNS)]
    padded = _mirrored(b, x, by, length, axis)
    return b.add("Conv", padded, taps, kernel_shape=kernel, strides=strides)


def _kernel(axis: int, by: Filter) -> tuple[str, list[int]]:
    reach = by.taps.shape[-1]
    return ("down", [reach, 1]) if axis == ROWS else ("along", [1, reach])


def _mirrored(b: Builder, x: str, by: Filter, length: int, axis: int) -> str:
    """`x` with what the filter wants on both sides."""
    index = mirrored(length, by.before, by.after)
    sides = (index[: by.before], index[by.before + length :])
    before, after = (b.add("Gather", x, b.constant(side), axis=axis) for side in sides)
    return b.add("Concat", before, x, after, axis=axis)


def _tiled(b: Builder, pattern: str, shape: tuple[int, int]) -> str:
    size = len(dither_pattern())
    repeats = b.constant(np.array([-(-length // size) for length in shape], np.int64))
    return b.cut(b.add("Tile", pattern, repeats), (0, 1), (0, 0), shape)
