"""Feature maps as ncnn's kernels read them, in memory that is ours.

Letters: H, W rows and columns of a map; P channels that lie side by side (`pack`).
"""

from functools import cache
from typing import Any

import ncnn
import numpy as np

from vsanimesr.engines.maps import SINGLE, Map, Rows

runtime: Any = ncnn
"""The module, whose names no type checker finds."""

type Mat = Any
"""A tensor of ncnn."""


def around(source: Map, start: int, stop: int) -> Mat:
    """Rows start … stop - 1 and what a convolution sees around them, where they lie."""
    return mat(source.bordered[:, start : stop + 2])


def mat(rows: Rows) -> Mat:
    """A net's view of (channels / P, rows, columns, P), where each row is dense.

    It keeps no reference: the array must outlive it.
    """
    groups, height, width, packed = rows.shape
    view = runtime.Mat(rows[0, 0, 0].reshape(1, 1, packed))
    view.w, view.h, view.c = width, height, groups
    view.elempack, view.elemsize = packed, packed * SINGLE.itemsize
    view.cstep = rows.strides[0] // view.elemsize
    return view


def rows_of(made: Mat) -> Rows:
    """What a net made, where it lies: the Mat must outlive it."""
    packed, shape = made.elempack, (made.c, made.h, made.w, made.elempack)
    if packed != pack():
        raise RuntimeError(f"ncnn packs {packed} channels here and {pack()} there")
    made.w, made.cstep = made.w * packed, made.cstep * packed  # ncnn's buffer knows no packing
    made.elempack, made.elemsize = 1, SINGLE.itemsize
    return np.asarray(made).reshape(shape)


@cache
def pack() -> int:
    """Channels that ncnn packs on this processor: 16 with AVX512, 8 with AVX, else 4."""
    net = runtime.Net()
    options = net.opt
    options.num_threads = 1
    options.use_vulkan_compute = False
    options.use_fp16_storage = options.use_fp16_packed = options.use_fp16_arithmetic = False
    net.opt = options
    text = "7767517\n2 2\nInput x 0 1 x\nInterp y 1 1 x y 0=2 1=2.0 2=2.0\n"
    net.load_param_mem(text)
    extractor = net.create_extractor()
    array = np.zeros((16, 1, 1), SINGLE)
    extractor.input("x", runtime.Mat(array))
    _, made = extractor.extract("y", 1)
    return int(made.elempack)
