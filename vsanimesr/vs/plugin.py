"""`core.animesr`: what the native shim calls when a script uses one of the plugin's functions."""

import logging
from ctypes import byref
from functools import partial
from typing import Any

from vsanimesr import __version__, engines, weights
from vsanimesr.errors import LINE, OptionError, VsAnimeSRError, brief
from vsanimesr.models import SCALE
from vsanimesr.options import BACKENDS, Options, defaults
from vsanimesr.recurrence import MAX_REQUEST, Cuts, Run
from vsanimesr.vs.ahead import Ahead, cached
from vsanimesr.vs.api import (
    API,
    MAP_APPEND,
    MAP_REPLACE,
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
from vsanimesr.vs.colour import Colours, format_of
from vsanimesr.vs.held import Pictures
from vsanimesr.vs.host import IDENTIFIER, api_at, create_node, say, shim_of
from vsanimesr.vs.node import Node
from vsanimesr.vs.resize import resized

log = logging.getLogger("vsanimesr")

FORMAT_IDS = 2**32  # a format's id is an uint32_t
MAX_SUBSAMPLING = 2  # powers of two: 4:1:0 has a quarter of the columns and of the rows
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
        api.mapSetError(result, brief(f"{function}: {error}", LINE).encode())
    except Exception as error:  # it must not cross into C; its trace is logged
        log.exception("%s failed", function)
        said = f"{function}: {type(error).__name__}: {error}"
        api.mapSetError(result, brief(said, LINE).encode())


def _version(api: API, core: int, arguments: int, result: int) -> None:
    path = api.getPluginPath(api.getPluginByID(IDENTIFIER, core))
    set_data(api, result, b"version", __version__)
    set_data(api, result, b"path", path.decode(errors="replace"))
    for backend in BACKENDS:
        if found := engines.BACKENDS[backend].version:
            set_data(api, result, b"backends", backend, MAP_APPEND)
            set_data(api, result, f"{backend}_version".encode(), found)


def _upscale(api: API, core: int, arguments: int, result: int) -> None:
    given: dict[str, Any] = {
        name: GETTERS[type(value)](api, arguments, name.encode(), value)
        for name, value in defaults().items()
    }
    for name, value in given.items():
        if "\0" in str(value):
            raise OptionError(f"{name}={value!r} holds a NUL character, wanted none")
    options = Options(**given)
    node = api.mapGetNode(arguments, b"clip", 0, None)
    try:
        info = VideoInfo.from_buffer_copy(api.getVideoInfo(node).contents)
        check_clip(api, info)
        output = _output_info(api, core, info, options)
        tensors = weights.load(options.model, log=partial(say, api, core, MessageType.INFORMATION))
    except BaseException:
        api.freeNode(node)
        raise
    node = _recurrent(api, core, node, info, output, options, tensors)
    if options.scale != SCALE:
        node = resized(api, core, node, output, _format_id(api, core, output.format))
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
    coarse = max(video_format.sub_sampling_w, video_format.sub_sampling_h) > MAX_SUBSAMPLING
    if coarse or (bits > 16 if integer else bits not in (16, 32)):
        raise OptionError(
            f"{what} {format_name(api, video_format)}, wanted GRAY, RGB or YUV of 8 to 16 bit, "
            "half or single float: convert it with resize.Bicubic(format=…)"
        )


def _output_info(api: API, core: int, info: VideoInfo, options: Options) -> VideoInfo:
    """What the filter makes of a clip of `info`."""
    output = VideoInfo.from_buffer_copy(info)
    target = output.format
    if options.format:
        known = 0 < options.format < FORMAT_IDS and api.getVideoFormatByID(
            byref(target), options.format, core
        )
        if not known or not target.color_family:
            raise OptionError(
                f"format={options.format}, wanted the id of a video format, such as vs.YUV420P10"
            )
        _check_format(api, target, "format is")
    shared = 1 << target.sub_sampling_w, 1 << target.sub_sampling_h
    output.width, output.height = options.size(info.width, info.height, shared)
    return output


def _made_info(api: API, core: int, info: VideoInfo, output: VideoInfo) -> VideoInfo:
    """What the network's node makes: `output`, or what is precise enough to be resized to it."""
    made = VideoInfo.from_buffer_copy(output)
    made.width, made.height = info.width * SCALE, info.height * SCALE
    if (made.width, made.height) != (output.width, output.height):
        target = output.format
        bits = 32 if target.sample_type == SampleType.FLOAT else 16
        api.queryVideoFormat(
            byref(made.format),
            target.color_family,
            target.sample_type,
            bits,
            target.sub_sampling_w,
            target.sub_sampling_h,
            core,
        )
    return made


def _format_id(api: API, core: int, video_format: VideoFormat) -> int:
    return api.queryVideoFormatID(
        video_format.color_family,
        video_format.sample_type,
        video_format.bits_per_sample,
        video_format.sub_sampling_w,
        video_format.sub_sampling_h,
        core,
    )


def _recurrent(
    api: API,
    core: int,
    node: int,
    info: VideoInfo,
    output: VideoInfo,
    options: Options,
    tensors: weights.Tensors,
) -> int:
    """The network's node over the clip `node`, whose reference is taken over."""
    filter_: Node[Any, Any] | None = None
    original = 0
    try:
        made = _made_info(api, core, info, output)
        engine = engines.load(
            options.backend,
            tensors,
            engines.Setup(
                width=info.width,
                height=info.height,
                source=format_of(info.format),
                target=format_of(made.format),
                device=options.device,
                precision=options.precision,
                dither=bool(options.dither),
            ),
            providers=options.providers,
            compile=bool(options.compile),
            strips=options.strips,
            memory=options.memory * MB,
            cache=options.cache * MB,
        )
        prefetch = options.prefetch
        if prefetch < 0:
            core_info = CoreInfo()
            api.getCoreInfo(core, byref(core_info))
            prefetch = core_info.num_threads
        prefetch = min(prefetch, MAX_REQUEST)
        original = api.addNodeRef(node)
        node = cached(api, core, node, prefetch)
        filter_ = Node(
            api,
            core,
            node,
            made,
            engine,
            Run(length=info.num_frames, block=options.block, warmup=options.warmup),
            Cuts(info.num_frames, honour=bool(options.scenes)),
            Colours(api, core, info, output, options.matrix, options.range),
            ahead=Ahead(api, core, shim_of(api, core), node),
            cache_bytes=options.cache * MB,
            prefetch=prefetch,
            pictures=Pictures(options.dedup, info.format) if options.dedup >= 0 else None,
        )
        mode = filter_mode(engine)
        return create_node(api, core, "Upscale", filter_.info, filter_, (node, original), mode)
    except BaseException:
        if filter_:
            filter_.release()
        else:
            api.freeNode(node)
        raise
    finally:
        if original:  # the node holds one of its own
            api.freeNode(original)


def filter_mode(engine: engines.Engine[Any, Any]) -> FilterMode:
    """See `node.py` for the choice."""
    return FilterMode.PARALLEL if engine.overlaps else FilterMode.PARALLEL_REQUESTS
