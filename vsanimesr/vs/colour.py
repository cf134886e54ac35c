"""Colour around the network with VapourSynth's own `resize`: any constant format to RGB and back.

Matrix, range and chroma location come from the properties of each frame on the way in. On the way
out every frame gets those of the clip's first frame, and its properties say so.
"""

from dataclasses import dataclass

from vsanimesr.errors import OptionError
from vsanimesr.vs.api import (
    API,
    MAP_REPLACE,
    Activation,
    ColorFamily,
    FilterMode,
    FrameData,
    MessageType,
    VideoInfo,
    get_int,
)
from vsanimesr.vs.host import create_node, say

RESIZE = b"com.vapoursynth.resize"

# VSMatrixCoefficients (VSConstants4.h)
RGB, BT709, UNSPECIFIED, RESERVED, BT470_BG, ST170_M = 0, 1, 2, 3, 5, 6


@dataclass(frozen=True)
class Colour:
    """How samples of a clip mean colours, in VapourSynth's numbers (VSConstants4.h)."""

    matrix: int
    range: int
    """1 full, 0 limited."""
    chroma_location: int


def matrix_by_size(width: int, height: int) -> int:
    """Matrix of a YUV clip that does not say: the rule of vs-tools' `Matrix.from_res`."""
    if (width, height) <= (1024, 576):
        return ST170_M if height <= 486 else BT470_BG
    return BT709


def colour_of(api: API, props: int, info: VideoInfo, matrix: int, full: int) -> Colour:
    """Colour of a frame, by `matrix` and `full` where they are not -1, else by its properties."""
    rgb = info.format.color_family == ColorFamily.RGB
    if rgb:
        matrix = RGB
    elif matrix < 0:
        matrix = get_int(api, props, b"_Matrix", UNSPECIFIED)
        if matrix in (RGB, UNSPECIFIED, RESERVED):
            matrix = matrix_by_size(info.width, info.height)
    if full < 0:
        full = get_int(api, props, b"_Range", int(rgb))
    return Colour(matrix, full, get_int(api, props, b"_ChromaLocation", 0))


class Tagger:
    """A node that writes matrix and range into the properties of frames that lack them.

    Frames that `resize` could not convert, or would convert wrongly, are so made plain, each by its
    own properties. Warns once a clip when a matrix had to be guessed.
    """

    def __init__(
        self, api: API, core: int, source: int, info: VideoInfo, matrix: int, full: int
    ) -> None:
        """Tag the frames of `source` (VSNode, whose reference is taken over)."""
        self._api, self._core, self._source, self._info = api, core, source, info
        self._matrix, self._full = matrix, full
        self._warned = info.format.color_family != ColorFamily.YUV or matrix >= 0

    def get_frame(self, n: int, activation: int, frame_data: FrameData, context: int) -> int | None:
        """See `host.Filter`."""
        api = self._api
        if activation == Activation.INITIAL:
            api.requestFrameFilter(n, self._source, context)
        if activation != Activation.ALL_FRAMES_READY:
            return None
        frame = api.getFrameFilter(n, self._source, context)
        tagged: int = api.copyFrame(frame, self._core)
        api.freeFrame(frame)
        props = api.getFramePropertiesRW(tagged)
        colour = colour_of(api, props, self._info, self._matrix, self._full)
        if not self._warned and get_int(api, props, b"_Matrix", UNSPECIFIED) != colour.matrix:
            self._warned = True
            say(
                api,
                self._core,
                MessageType.WARNING,
                f"frame {n} does not say its matrix; taking {colour.matrix} by its size of "
                f"{self._info.width}x{self._info.height}. Set matrix= to choose",
            )
        api.mapSetInt(props, b"_Matrix", colour.matrix, MAP_REPLACE)
        api.mapSetInt(props, b"_Range", colour.range, MAP_REPLACE)
        return tagged

    def release(self) -> None:
        """See `host.Filter`."""
        source, self._source = self._source, 0
        if source:
            self._api.freeNode(source)


def tag(api: API, core: int, source: int, info: VideoInfo, matrix: int, full: int) -> int:
    """A node whose frames all say their matrix and range. Takes over the reference `source`."""
    tagger = Tagger(api, core, source, info, matrix, full)
    try:
        return create_node(api, core, "Upscale", info, tagger, source, FilterMode.PARALLEL)
    except BaseException:
        tagger.release()
        raise


def resize(api: API, core: int, source: int, **arguments: int) -> int:
    """`resize.Bicubic` of a node. Takes over the reference `source`.

    Raises:
        OptionError: What `resize` refuses, in its own words.
    """
    call = api.createMap()
    api.mapConsumeNode(call, b"clip", source, MAP_REPLACE)
    for name, value in arguments.items():
        api.mapSetInt(call, name.encode(), value, MAP_REPLACE)
    plugin = api.getPluginByID(RESIZE, core)
    answer = api.invoke(plugin, b"Bicubic", call)
    api.freeMap(call)
    try:
        if error := api.mapGetError(answer):
            raise OptionError(f"the conversion is refused: {error.decode(errors='replace')}")
        return api.mapGetNode(answer, b"clip", 0, None)
    finally:
        api.freeMap(answer)
