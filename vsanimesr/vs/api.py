"""The part of VapourSynth's C API (VapourSynth4.h, API 4.0) that is used, through ctypes.

`VSAPI` is a table of function pointers, so the order of *all* its entries matters; a test compares
`FUNCTIONS` with the header that the vapoursynth wheel ships. Entries without a prototype here are
not called.

Calls that may run other code, wait or take the core's locks release the GIL (`_call`). The small
accessors used for every plane of every frame keep it (`_peek`): releasing costs up to a switch
interval each when other Python threads are busy, and they neither wait nor call back.
"""

import ctypes
from collections.abc import Callable
from ctypes import (
    POINTER,
    Structure,
    c_char_p,
    c_double,
    c_int,
    c_int64,
    c_size_t,
    c_uint32,
    c_void_p,
)
from enum import IntEnum
from typing import TYPE_CHECKING, Any

_call = ctypes.CFUNCTYPE  # VS_CC is the plain C convention on every 64-bit platform
_peek = ctypes.PYFUNCTYPE


class ColorFamily(IntEnum):
    """VSColorFamily."""

    GRAY = 1
    RGB = 2
    YUV = 3


class SampleType(IntEnum):
    """VSSampleType."""

    INTEGER = 0
    FLOAT = 1


class FilterMode(IntEnum):
    """VSFilterMode."""

    PARALLEL = 0
    PARALLEL_REQUESTS = 1


class Activation(IntEnum):
    """VSActivationReason."""

    ERROR = -1
    INITIAL = 0
    ALL_FRAMES_READY = 1


class MessageType(IntEnum):
    """VSMessageType."""

    INFORMATION = 1
    WARNING = 2


REQUEST_GENERAL = 0  # rpGeneral
MAP_REPLACE = 0  # maReplace
MAP_APPEND = 1  # maAppend
TYPE_DIFFERS = 2  # peType
DATA_UTF8 = 1  # dtUtf8


class VideoFormat(Structure):
    """VSVideoFormat."""

    _fields_ = (
        ("color_family", c_int),
        ("sample_type", c_int),
        ("bits_per_sample", c_int),
        ("bytes_per_sample", c_int),
        ("sub_sampling_w", c_int),
        ("sub_sampling_h", c_int),
        ("num_planes", c_int),
    )


class VideoInfo(Structure):
    """VSVideoInfo; width and height are 0 when they vary, and so is `format.color_family`."""

    _fields_ = (
        ("format", VideoFormat),
        ("fps_num", c_int64),
        ("fps_den", c_int64),
        ("width", c_int),
        ("height", c_int),
        ("num_frames", c_int),
    )


class FilterDependency(Structure):
    """VSFilterDependency."""

    _fields_ = (("source", c_void_p), ("request_pattern", c_int))


class CoreInfo(Structure):
    """VSCoreInfo."""

    _fields_ = (
        ("version_string", c_char_p),
        ("core", c_int),
        ("api", c_int),
        ("num_threads", c_int),
        ("max_framebuffer_size", c_int64),
        ("used_framebuffer_size", c_int64),
    )


# const VSFrame *getFrame(n, activationReason, instanceData, frameData, frameCtx, core, vsapi)
GetFrame = ctypes.CFUNCTYPE(
    c_void_p, c_int, c_int, c_void_p, POINTER(c_void_p), c_void_p, c_void_p, c_void_p
)
# void free(instanceData, core, vsapi)
Free = ctypes.CFUNCTYPE(None, c_void_p, c_void_p, c_void_p)

type FrameData = Any
"""`void **frameData`, a request's own pointer (a ctypes pointer, whose type has no public name)."""

_INT_P = POINTER(c_int)
_PROTOTYPES: dict[str, Any] = {
    "createVideoFilter2": _call(
        c_void_p,
        c_char_p,
        POINTER(VideoInfo),
        c_void_p,
        c_void_p,
        c_int,
        POINTER(FilterDependency),
        c_int,
        c_void_p,
        c_void_p,
    ),
    "freeNode": _call(None, c_void_p),
    "addNodeRef": _peek(c_void_p, c_void_p),
    "setCacheOptions": _call(None, c_void_p, c_int, c_int, c_int),
    "getVideoInfo": _call(POINTER(VideoInfo), c_void_p),
    "newVideoFrame": _call(c_void_p, POINTER(VideoFormat), c_int, c_int, c_void_p, c_void_p),
    "freeFrame": _call(None, c_void_p),
    "getFramePropertiesRO": _peek(c_void_p, c_void_p),
    "getFramePropertiesRW": _peek(c_void_p, c_void_p),
    "getStride": _peek(c_size_t, c_void_p, c_int),
    "getReadPtr": _peek(c_void_p, c_void_p, c_int),
    "getWritePtr": _peek(c_void_p, c_void_p, c_int),
    "getVideoFrameFormat": _peek(POINTER(VideoFormat), c_void_p),
    "getFrameWidth": _peek(c_int, c_void_p, c_int),
    "getFrameHeight": _peek(c_int, c_void_p, c_int),
    "getVideoFormatName": _peek(c_int, POINTER(VideoFormat), c_char_p),
    "getVideoFormatByID": _peek(c_int, POINTER(VideoFormat), c_uint32, c_void_p),
    "queryVideoFormat": _peek(
        c_int, POINTER(VideoFormat), c_int, c_int, c_int, c_int, c_int, c_void_p
    ),
    "queryVideoFormatID": _peek(c_uint32, c_int, c_int, c_int, c_int, c_int, c_void_p),
    "getFrameFilter": _peek(c_void_p, c_int, c_void_p, c_void_p),
    "requestFrameFilter": _peek(None, c_int, c_void_p, c_void_p),
    "setFilterError": _peek(None, c_char_p, c_void_p),
    "createMap": _peek(c_void_p),
    "freeMap": _call(None, c_void_p),
    "mapSetError": _peek(None, c_void_p, c_char_p),
    "mapGetError": _peek(c_char_p, c_void_p),
    "mapGetInt": _peek(c_int64, c_void_p, c_char_p, c_int, _INT_P),
    "mapSetInt": _peek(c_int, c_void_p, c_char_p, c_int64, c_int),
    "mapDeleteKey": _peek(c_int, c_void_p, c_char_p),
    "mapGetFloat": _peek(c_double, c_void_p, c_char_p, c_int, _INT_P),
    "mapGetData": _peek(c_void_p, c_void_p, c_char_p, c_int, _INT_P),
    "mapGetDataSize": _peek(c_int, c_void_p, c_char_p, c_int, _INT_P),
    "mapSetData": _peek(c_int, c_void_p, c_char_p, c_char_p, c_int, c_int, c_int),
    "mapGetNode": _call(c_void_p, c_void_p, c_char_p, c_int, _INT_P),
    "mapConsumeNode": _call(c_int, c_void_p, c_char_p, c_void_p, c_int),
    "getPluginByID": _call(c_void_p, c_char_p, c_void_p),
    "getPluginPath": _peek(c_char_p, c_void_p),
    "invoke": _call(c_void_p, c_void_p, c_char_p, c_void_p),
    "getCoreInfo": _call(None, c_void_p, POINTER(CoreInfo)),
    "logMessage": _call(None, c_int, c_char_p, c_void_p),
}

# Every entry of VSAPI up to API 4.0, in the header's order.
FUNCTIONS = """
createVideoFilter createVideoFilter2 createAudioFilter createAudioFilter2 setLinearFilter
setCacheMode setCacheOptions freeNode addNodeRef getNodeType getVideoInfo getAudioInfo
newVideoFrame newVideoFrame2 newAudioFrame newAudioFrame2 freeFrame addFrameRef copyFrame
getFramePropertiesRO getFramePropertiesRW getStride getReadPtr getWritePtr getVideoFrameFormat
getAudioFrameFormat getFrameType getFrameWidth getFrameHeight getFrameLength getVideoFormatName
getAudioFormatName queryVideoFormat queryAudioFormat queryVideoFormatID getVideoFormatByID
getFrame getFrameAsync getFrameFilter requestFrameFilter releaseFrameEarly cacheFrame
setFilterError createFunction freeFunction addFunctionRef callFunction createMap freeMap clearMap
copyMap mapSetError mapGetError mapNumKeys mapGetKey mapDeleteKey mapNumElements mapGetType
mapSetEmpty mapGetInt mapGetIntSaturated mapGetIntArray mapSetInt mapSetIntArray mapGetFloat
mapGetFloatSaturated mapGetFloatArray mapSetFloat mapSetFloatArray mapGetData mapGetDataSize
mapGetDataTypeHint mapSetData mapGetNode mapSetNode mapConsumeNode mapGetFrame mapSetFrame
mapConsumeFrame mapGetFunction mapSetFunction mapConsumeFunction registerFunction getPluginByID
getPluginByNamespace getNextPlugin getPluginName getPluginID getPluginNamespace
getNextPluginFunction getPluginFunctionByName getPluginFunctionName getPluginFunctionArguments
getPluginFunctionReturnType getPluginPath getPluginVersion invoke createCore freeCore
setMaxCacheSize setThreadCount getCoreInfo getAPIVersion logMessage addLogHandler removeLogHandler
""".split()  # noqa: SIM905 - a hundred quoted names would be harder to read


class _Table(Structure):
    """VSAPI as it lies in memory."""

    _fields_ = tuple((name, _PROTOTYPES.get(name, c_void_p)) for name in FUNCTIONS)


class API:
    """The functions of VSAPI that are used here, as attributes of the same names.

    They are taken out of the table once: reading a function pointer from a ctypes structure makes
    a new object each time.
    """

    def __init__(self, address: int) -> None:
        """Bind to the `const VSAPI *` at `address`, as every callback receives it."""
        self.address = address
        table = _Table.from_address(address)
        for name in _PROTOTYPES:
            setattr(self, name, getattr(table, name))

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Callable[..., Any]: ...


def get_int(api: API, vsmap: int, key: bytes, default: int) -> int:
    """First integer under `key` of a VSMap, or `default` when there is none."""
    error = c_int()
    value = api.mapGetInt(vsmap, key, 0, ctypes.byref(error))
    return default if error.value else value


def get_float(api: API, vsmap: int, key: bytes, default: float) -> float:
    """First float under `key` of a VSMap, or `default` when there is none."""
    error = c_int()
    value = api.mapGetFloat(vsmap, key, 0, ctypes.byref(error))
    return default if error.value else value


def get_data(api: API, vsmap: int, key: bytes, default: str) -> str:
    """First text under `key` of a VSMap in full, NULs included; `default` when there is none."""
    error = c_int()
    value = api.mapGetData(vsmap, key, 0, ctypes.byref(error))
    if error.value:
        return default
    size = api.mapGetDataSize(vsmap, key, 0, ctypes.byref(error))
    return ctypes.string_at(value, size).decode("utf-8", "replace")


def set_data(api: API, vsmap: int, key: bytes, text: str, append: int = MAP_REPLACE) -> None:
    """Put a text under `key` of a VSMap."""
    data = text.encode()
    api.mapSetData(vsmap, key, data, len(data), DATA_UTF8, append)


def format_name(api: API, video_format: VideoFormat) -> str:
    """Name of a format as VapourSynth writes it, such as YUV420P8."""
    buffer = ctypes.create_string_buffer(32)
    api.getVideoFormatName(ctypes.byref(video_format), buffer)
    return buffer.value.decode()
