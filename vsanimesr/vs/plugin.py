"""`core.animesr`: what the native shim calls when a script uses one of the plugin's functions."""

import ctypes
import importlib.metadata
import logging
from ctypes import byref
from functools import partial
from typing import Any

from vsanimesr import __version__, engines, weights
from vsanimesr.errors import OptionError, VsAnimeSRError
from vsanimesr.models import SCALE
from vsanimesr.options import BACKENDS, Options, defaults
from vsanimesr.recurrence import Cuts, Run
from vsanimesr.vs.api import (
    API,
    MAP_APPEND,
    MAP_REPLACE,
    ColorFamily,
    CoreInfo,
    FilterMode,
    MessageType,
    SampleType,
    VideoFormat,
    VideoInfo,
    format_name,
    get_data,
    get_float,
    get_int,
    set_data,
)
from vsanimesr.vs.colour import Colour, colour_of, matrix_by_size, resize, tag
from vsanimesr.vs.host import IDENTIFIER, api_at, create_node, say
from vsanimesr.vs.node import Node, interlaced

log = logging.getLogger("vsanimesr")

FILTER_MODE = FilterMode.PARALLEL_REQUESTS
GETTERS = {str: get_data, float: get_float, int: get_int}
MB = 2**20


def create(function: str, arguments: int, result: int, core: int, vsapi: int) -> None:
    """Carry out `Upscale` or `Version` (VSPublicFunction).

    Args:
        function: Name of the function.
        arguments: VSMap of its arguments, checked by VapourSynth against its signature.
        result: VSMap that takes its result or its error.
        core: VSCore.
        vsapi: VSAPI.
    """
    api = api_at(vsapi)
    try:
        {"Upscale": _upscale, "Version": _version}[function](api, core, arguments, result)
    except VsAnimeSRError as error:
        api.mapSetError(result, f"{function}: {error}".encode())
    except Exception as error:  # it must not cross into C; its trace is logged
        log.exception("%s failed", function)
        api.mapSetError(result, f"{function}: {type(error).__name__}: {error}".encode())


def _version(api: API, core: int, arguments: int, result: int) -> None:
    path = api.getPluginPath(api.getPluginByID(IDENTIFIER, core))
    set_data(api, result, b"version", __version__)
    set_data(api, result, b"path", path.decode(errors="replace"))
    for backend in BACKENDS:
        try:
            found = importlib.metadata.version(backend)
        except importlib.metadata.PackageNotFoundError:
            continue
        set_data(api, result, b"backends", backend, MAP_APPEND)
        set_data(api, result, f"{backend}_version".encode(), found)


def _upscale(api: API, core: int, arguments: int, result: int) -> None:
    given: dict[str, Any] = {
        name: GETTERS[type(value)](api, arguments, name.encode(), value)
        for name, value in defaults().items()
    }
    options = Options(**given)
    node = api.mapGetNode(arguments, b"clip", 0, None)
    try:
        info = VideoInfo.from_buffer_copy(api.getVideoInfo(node).contents)
        check_clip(api, info)
        target = _target_format(api, core, info.format, options.format)
        colour = _first_frame(api, node, info, options)
        tensors = weights.load(options.model, log=partial(say, api, core, MessageType.INFORMATION))
        network_format = api.queryVideoFormatID(
            ColorFamily.RGB, SampleType.FLOAT, _working_bits(info.format), 0, 0, core
        )
    except BaseException:
        api.freeNode(node)
        raise
    if _format_id(api, core, info.format) != network_format:
        node = tag(api, core, node, info, options.matrix, options.range)
        node = resize(api, core, node, format=network_format)
    node = _recurrent(api, core, node, options, tensors)
    node = _finish(api, core, node, info, target, colour, options)
    api.mapConsumeNode(result, b"clip", node, MAP_REPLACE)


def check_clip(api: API, info: VideoInfo) -> None:
    """Refuse what cannot be upscaled.

    Raises:
        OptionError: Variable format or size, or samples that are neither 8 to 16 bit integers nor
            half or single floats.
    """
    if not info.format.color_family:
        raise OptionError(
            "the clip's format varies, wanted one format: convert it with resize.Bicubic(format=…)"
        )
    if not info.width or not info.height:
        raise OptionError(
            "the clip's size varies, wanted one size: resize it with resize.Bicubic(width=…)"
        )
    _check_format(api, info.format, "the clip is")


def _check_format(api: API, video_format: VideoFormat, what: str) -> None:
    bits = video_format.bits_per_sample
    integer = video_format.sample_type == SampleType.INTEGER
    if bits > 16 if integer else bits not in (16, 32):
        raise OptionError(
            f"{what} {format_name(api, video_format)}, wanted GRAY, RGB or YUV of 8 to 16 bit, "
            "half or single float: convert it with resize.Bicubic(format=…)"
        )


def _target_format(api: API, core: int, own: VideoFormat, chosen: int) -> VideoFormat:
    if not chosen:
        return own
    target = VideoFormat()
    if not api.getVideoFormatByID(byref(target), chosen, core) or not target.color_family:
        raise OptionError(f"format={chosen}, wanted the id of a video format, such as vs.YUV420P10")
    _check_format(api, target, "format is")
    return target


def _working_bits(video_format: VideoFormat) -> int:
    """The network takes half RGB as it is, and everything else as single RGB."""
    half = video_format.color_family == ColorFamily.RGB and (
        video_format.sample_type == SampleType.FLOAT and video_format.bits_per_sample == 16
    )
    return 16 if half else 32


def _format_id(api: API, core: int, video_format: VideoFormat) -> int:
    return api.queryVideoFormatID(
        video_format.color_family,
        video_format.sample_type,
        video_format.bits_per_sample,
        video_format.sub_sampling_w,
        video_format.sub_sampling_h,
        core,
    )


def _first_frame(api: API, node: int, info: VideoInfo, options: Options) -> Colour:
    """Colour of the clip's first frame, which the output takes."""
    message = ctypes.create_string_buffer(1024)
    frame = api.getFrame(0, node, message, len(message))
    if not frame:
        reason = message.value.decode(errors="replace")
        raise OptionError(f"the clip's first frame cannot be had: {reason}")
    try:
        props = api.getFramePropertiesRO(frame)
        if get_int(api, props, b"_FieldBased", 0) > 0:
            raise interlaced(0)
        return colour_of(api, props, info, options.matrix, options.range)
    finally:
        api.freeFrame(frame)


def _recurrent(
    api: API,
    core: int,
    node: int,
    options: Options,
    tensors: weights.Tensors,
) -> int:
    """The network's node over an RGBS or RGBH node, whose reference is taken over."""
    filter_: Node[Any, Any] | None = None
    try:
        info = VideoInfo.from_buffer_copy(api.getVideoInfo(node).contents)
        engine = engines.load(
            options.backend,
            tensors,
            width=info.width,
            height=info.height,
            device=options.device,
            precision=options.precision,
            half=info.format.bits_per_sample == 16,
        )
        prefetch = options.prefetch
        if prefetch < 0:
            core_info = CoreInfo()
            api.getCoreInfo(core, byref(core_info))
            prefetch = core_info.num_threads
        filter_ = Node(
            api,
            core,
            node,
            info,
            engine,
            Run(length=info.num_frames, block=options.block, warmup=options.warmup),
            Cuts(info.num_frames, honour=bool(options.scenes)),
            cache_bytes=options.cache * MB,
            prefetch=prefetch,
        )
        return create_node(api, core, "Upscale", filter_.info, filter_, node, FILTER_MODE)
    except BaseException:
        if filter_:
            filter_.release()
        else:
            api.freeNode(node)
        raise


def _finish(
    api: API,
    core: int,
    node: int,
    info: VideoInfo,
    target: VideoFormat,
    colour: Colour,
    options: Options,
) -> int:
    """Bring the network's output to the format and the size asked for."""
    width, height = info.width * SCALE, info.height * SCALE
    if options.scale != SCALE:
        step_w, step_h = max(2, 1 << target.sub_sampling_w), max(2, 1 << target.sub_sampling_h)
        width = max(step_w, round(info.width * options.scale / step_w) * step_w)
        height = max(step_h, round(info.height * options.scale / step_h) * step_h)
    made = VideoInfo.from_buffer_copy(api.getVideoInfo(node).contents)
    wanted = _format_id(api, core, target)
    same_size = (width, height) == (made.width, made.height)
    if same_size and wanted == _format_id(api, core, made.format):
        return node
    arguments = {"format": wanted, "width": width, "height": height}
    if target.color_family != ColorFamily.RGB:
        from_rgb = info.format.color_family == ColorFamily.RGB
        arguments["range"] = 0 if from_rgb else colour.range
        arguments["matrix"] = colour.matrix
        if from_rgb:
            chosen = options.matrix
            arguments["matrix"] = chosen if chosen >= 0 else matrix_by_size(width, height)
        if target.sub_sampling_w or target.sub_sampling_h:
            arguments["chromaloc"] = colour.chroma_location
    elif info.format.color_family == ColorFamily.RGB:
        arguments["range"] = colour.range
    return resize(api, core, node, **arguments)
