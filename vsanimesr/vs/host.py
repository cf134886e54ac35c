"""Python objects as VapourSynth filters: the callbacks, the gate before them, frames as arrays.

VapourSynth calls the native shim; the shim calls `_get_frame` and `_free` here as long as the
interpreter is alive (native/animesr.c). No exception ever crosses that border: it becomes the
frame's error.
"""

import atexit
import ctypes
import logging
import weakref
from collections.abc import Sequence
from ctypes import byref, c_int, c_void_p
from functools import cache
from typing import Any, Protocol

import numpy as np

from vsanimesr.errors import LINE, VsAnimeSRError, brief
from vsanimesr.vs.api import (
    API,
    REQUEST_GENERAL,
    Activation,
    FilterDependency,
    FilterMode,
    FrameData,
    Free,
    GetFrame,
    MessageType,
    SampleType,
    VideoInfo,
)

IDENTIFIER = b"io.github.vapoursynth_animesr"
CLOSE_WAIT_MS = 60_000  # a step on a slow CPU may take seconds; a hang must not take for ever

log = logging.getLogger("vsanimesr")


class Filter(Protocol):
    """What a filter instance has to offer."""

    def get_frame(self, n: int, activation: int, frame_data: FrameData, context: int) -> int | None:
        """Serve one activation of frame n; the new frame's address once it is ready."""
        ...

    def release(self) -> None:
        """Give up nodes and memory; called once, no frame is served afterwards."""
        ...


_filters: weakref.WeakSet[Any] = weakref.WeakSet()
"""Filters alive, so that interpreter shutdown can release what they hold."""


@cache
def api_at(address: int) -> API:
    """The API table at an address; a process has one."""
    return API(address)


@GetFrame
def _get_frame(
    n: int,
    activation: int,
    instance: int,
    frame_data: FrameData,
    context: int,
    core: int,
    vsapi: int,
) -> int | None:
    api = api_at(vsapi)
    try:
        target: Filter = ctypes.cast(instance, ctypes.py_object).value
        return target.get_frame(n, activation, frame_data, context)
    except VsAnimeSRError as error:
        message = f"Upscale: {error}"
    except Exception as error:  # it becomes the frame's error, its trace is logged
        log.exception("Upscale failed at frame %d", n)
        message = f"Upscale: frame {n}: {type(error).__name__}: {error}"
    if activation != Activation.ERROR:
        api.setFilterError(brief(message, LINE).encode(), context)
    return None


@Free
def _free(instance: int, core: int, vsapi: int) -> None:
    try:
        owned = ctypes.py_object.from_buffer(c_void_p(instance))
        target: Filter = owned.value
        _filters.discard(target)
        target.release()
        ctypes.pythonapi.Py_DecRef(owned)
    except Exception:
        log.exception("Upscale: freeing a filter failed")


def shim_of(api: API, core: int) -> ctypes.CDLL:
    """The shim that VapourSynth has loaded, with the callbacks handed to it."""
    return _shim(api.getPluginPath(api.getPluginByID(IDENTIFIER, core)).decode())


@cache
def _shim(path: str) -> ctypes.CDLL:
    shim = ctypes.CDLL(path)
    shim.animesr_bind.argtypes = (GetFrame, Free)
    shim.animesr_bind.restype = None
    shim.animesr_bind(_get_frame, _free)
    shim.animesr_close.argtypes = (c_int,)
    shim.animesr_close.restype = c_int
    shim.animesr_ahead_new.argtypes = (c_void_p, c_void_p)
    shim.animesr_ahead_new.restype = c_void_p
    shim.animesr_ahead_pending.argtypes = (c_void_p, c_int)
    shim.animesr_ahead_pending.restype = c_int
    shim.animesr_ahead_ask.argtypes = (c_void_p, c_int)
    shim.animesr_ahead_ask.restype = c_int
    shim.animesr_ahead_free.argtypes = (c_void_p,)
    shim.animesr_ahead_free.restype = None
    atexit.register(_close, shim)
    return shim


def _close(shim: ctypes.CDLL) -> None:
    """Let no further frame request into Python, then release what the filters hold."""
    inside = shim.animesr_close(CLOSE_WAIT_MS)
    if inside:
        log.warning("Upscale: %d frame requests still running at exit", inside)
        return
    for target in list(_filters):
        target.release()


def create_node(
    api: API,
    core: int,
    name: str,
    info: VideoInfo,
    target: Filter,
    sources: Sequence[int],
    mode: FilterMode,
) -> int:
    """Make a VapourSynth node that `target` serves, and give its address.

    Args:
        api: The API table.
        core: VSCore address.
        name: For messages and graph views.
        info: Format, size, rate and length of the node's frames.
        target: The filter; it stays alive until the node is freed.
        sources: VSNodes whose frames it may request, in any pattern: VapourSynth caches them.
        mode: See `node.py` for the choice.

    Raises:
        VsAnimeSRError: VapourSynth refused; `target` is not held then.
    """
    shim = shim_of(api, core)
    owned = ctypes.py_object(target)
    instance = c_void_p.from_buffer(owned).value
    dependencies = [FilterDependency(source, REQUEST_GENERAL) for source in sources]
    ctypes.pythonapi.Py_IncRef(owned)
    node = api.createVideoFilter2(
        name.encode(),
        byref(info),
        ctypes.cast(shim.animesr_get_frame, c_void_p),
        ctypes.cast(shim.animesr_free, c_void_p),
        mode,
        (FilterDependency * len(dependencies))(*dependencies),
        len(dependencies),
        instance,
        core,
    )
    if not node:
        ctypes.pythonapi.Py_DecRef(owned)
        raise VsAnimeSRError(f"VapourSynth could not create the node {name}")
    _filters.add(target)
    return node


def say(api: API, core: int, kind: MessageType, message: str) -> None:
    """Log a message through VapourSynth, which hosts show; never on standard output."""
    api.logMessage(kind, f"Upscale: {message}".encode(), core)


def planes(api: API, frame: int, *, writable: bool = False) -> Sequence[np.ndarray]:
    """The planes of a frame as arrays (rows, columns) over VapourSynth's own memory.

    They are valid as long as the frame is held.
    """
    video_format = api.getVideoFrameFormat(frame).contents
    kind = "f" if video_format.sample_type == SampleType.FLOAT else "u"
    dtype = np.dtype(f"{kind}{video_format.bytes_per_sample}")
    address = api.getWritePtr if writable else api.getReadPtr
    result: list[np.ndarray] = []
    for plane in range(video_format.num_planes):
        rows, columns = api.getFrameHeight(frame, plane), api.getFrameWidth(frame, plane)
        stride = api.getStride(frame, plane)
        buffer = (ctypes.c_uint8 * (stride * rows)).from_address(address(frame, plane))
        array = np.frombuffer(buffer, dtype).reshape(rows, stride // dtype.itemsize)[:, :columns]
        array.flags.writeable = writable
        result.append(array)
    return result
