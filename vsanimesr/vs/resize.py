"""The node's large frames brought to another size and depth by `resize.Bicubic`.

`resize` reads properties that do not matter here, and stops at what it does not know of them. They
are taken away before and put back after, so that a frame is accepted, and says the same, at any
scale.
"""

from collections.abc import Sequence

from vsanimesr.errors import OptionError
from vsanimesr.vs.api import API, MAP_APPEND, MAP_REPLACE, VideoInfo, set_data

RESIZE = b"com.vapoursynth.resize"
STD = b"com.vapoursynth.std"
READ = ("_Matrix", "_Transfer", "_Primaries", "_Field", "_FieldBased", "_ChromaLocation", "_Range")
"""Colour and field properties that `resize` reads, and writes."""


def resized(api: API, core: int, source: int, output: VideoInfo, format_id: int) -> int:
    """A node of `output`'s size in that format of the same family. Takes over `source`.

    Raises:
        OptionError: What `resize` refuses, in its own words.
    """
    subsampled = output.format.sub_sampling_w or output.format.sub_sampling_h
    needed = ("_Range", *(("_ChromaLocation",) if subsampled else ()))  # the node has checked them
    original = api.addNodeRef(source)
    try:
        plain = _invoke(
            api, core, STD, b"RemoveFrameProps", source, props=[p for p in READ if p not in needed]
        )
        small = _invoke(
            api,
            core,
            RESIZE,
            b"Bicubic",
            plain,
            width=output.width,
            height=output.height,
            format=format_id,
        )
    except BaseException:
        api.freeNode(original)
        raise
    return _invoke(api, core, STD, b"CopyFrameProps", small, other=original, props=READ)


def _invoke(
    api: API,
    core: int,
    plugin: bytes,
    function: bytes,
    clip: int,
    *,
    other: int = 0,
    props: Sequence[str] = (),
    **integers: int,
) -> int:
    """The clip that a function makes of `clip` and of `other` (`prop_src`), both taken over."""
    call = api.createMap()
    api.mapConsumeNode(call, b"clip", clip, MAP_REPLACE)
    if other:
        api.mapConsumeNode(call, b"prop_src", other, MAP_REPLACE)
    for name in props:
        set_data(api, call, b"props", name, MAP_APPEND)
    for name, value in integers.items():
        api.mapSetInt(call, name.encode(), value, MAP_REPLACE)
    answer = api.invoke(api.getPluginByID(plugin, core), function, call)
    api.freeMap(call)
    try:
        if error := api.mapGetError(answer):
            raise OptionError(f"the conversion is refused: {error.decode(errors='replace')}")
        return api.mapGetNode(answer, b"clip", 0, None)
    finally:
        api.freeMap(answer)
