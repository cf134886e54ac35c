"""Formats and colours between VapourSynth's terms and the engine's.

Matrix, range and chroma location of every source frame come from its own properties; the output
frame of the same number has the same ones, as far as its format knows them, and says so.
"""

from vsanimesr.colour import ChromaLocation, Colour, Family, Format, Matrix
from vsanimesr.errors import OptionError
from vsanimesr.vs.api import (
    API,
    MAP_REPLACE,
    ColorFamily,
    MessageType,
    SampleType,
    VideoFormat,
    VideoInfo,
    get_int,
)
from vsanimesr.vs.host import say

RESIZE = b"com.vapoursynth.resize"
FAMILIES = {
    ColorFamily.GRAY: Family.GRAY,
    ColorFamily.RGB: Family.RGB,
    ColorFamily.YUV: Family.YUV,
}
UNSAID = (0, 2, 3)  # RGB (which YUV cannot be), unspecified, reserved (H.273 table 4)


def format_of(video_format: VideoFormat) -> Format:
    """A format in the engine's terms."""
    return Format(
        FAMILIES[ColorFamily(video_format.color_family)],
        video_format.bits_per_sample,
        video_format.sample_type == SampleType.FLOAT,
        video_format.sub_sampling_w,
        video_format.sub_sampling_h,
    )


def matrix_by_size(width: int, height: int) -> Matrix:
    """Matrix of a YUV clip that does not say: the rule of vs-tools' `Matrix.from_res`."""
    if (width, height) <= (1024, 576):
        return Matrix.ST170_M if height <= 486 else Matrix.BT470_BG
    return Matrix.BT709


class Colours:
    """Colours of source frames, and what becomes of them in output frames."""

    def __init__(
        self, api: API, core: int, info: VideoInfo, output: VideoInfo, matrix: int, full: int
    ) -> None:
        """For a clip of `info` that becomes one of `output`.

        Args:
            api: The API table.
            core: VSCore, for the warning.
            info: Format and size of the clip.
            output: Format and size of what is made of it.
            matrix: The clip's matrix whatever its frames say; -1: as they say.
            full: 1 full range, 0 limited, whatever its frames say; -1: as they say.
        """
        self._api, self._core = api, core
        self._matrix, self._full = matrix, full
        self._size = info.width, info.height
        self._output_size = output.width, output.height
        self._from = FAMILIES[ColorFamily(info.format.color_family)]
        self._to = FAMILIES[ColorFamily(output.format.color_family)]
        self._subsampled = bool(output.format.sub_sampling_w or output.format.sub_sampling_h)
        self._warned = self._from != Family.YUV or matrix >= 0

    def source(self, n: int, props: int) -> Colour:
        """Colour of source frame n by its properties (VSMap). Warns once of a guessed matrix.

        Raises:
            OptionError: A matrix that is no linear function of the samples, or unknown.
        """
        rgb = self._from == Family.RGB
        full = self._full
        if full < 0:  # VapourSynth itself answers for _ColorRange, the deprecated name
            full = get_int(self._api, props, b"_Range", int(rgb))
        location = get_int(self._api, props, b"_ChromaLocation", 0)
        chroma = ChromaLocation(location if 0 <= location <= max(ChromaLocation) else 0)
        matrix = Matrix.RGB if rgb else self._source_matrix(n, props)
        return Colour(matrix, bool(full), chroma)

    def _source_matrix(self, n: int, props: int) -> Matrix:
        said = self._matrix
        if said < 0:
            said = get_int(self._api, props, b"_Matrix", UNSAID[1])
        if said in UNSAID:
            matrix = matrix_by_size(*self._size)
            self._warn(n, matrix)
            return matrix
        try:
            return Matrix(said)
        except ValueError:
            raise OptionError(
                f"frame {n} has _Matrix={said}, wanted one of "
                f"{', '.join(str(int(m)) for m in Matrix if m)}: convert the clip with "
                "resize.Bicubic(matrix=…), or set matrix= to read it otherwise"
            ) from None

    def _warn(self, n: int, matrix: Matrix) -> None:
        if self._warned:
            return
        self._warned = True
        width, height = self._size
        say(
            self._api,
            self._core,
            MessageType.WARNING,
            f"frame {n} does not say its matrix; taking {int(matrix)} by its size of "
            f"{width}x{height}. Set matrix= to choose",
        )

    def target(self, source: Colour) -> Colour:
        """Colour of the output frame of a source frame of this colour."""
        if self._to == Family.RGB:
            return Colour(Matrix.RGB, source.full if self._from == Family.RGB else True)
        if self._from == Family.RGB:
            chosen = self._matrix if self._matrix >= 0 else matrix_by_size(*self._output_size)
            return Colour(Matrix(chosen), full=False)
        return source

    def mark(self, props: int, colour: Colour) -> None:
        """Make the properties (VSMap) of an output frame say its colour."""
        api = self._api
        api.mapSetInt(props, b"_Matrix", colour.matrix, MAP_REPLACE)
        api.mapSetInt(props, b"_Range", colour.full, MAP_REPLACE)
        if self._subsampled:
            api.mapSetInt(props, b"_ChromaLocation", colour.chroma, MAP_REPLACE)
        else:
            api.mapDeleteKey(props, b"_ChromaLocation")


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
