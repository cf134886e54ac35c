"""Formats and colours between VapourSynth's terms and the engine's.

Matrix, range and chroma location of every source frame come from its own properties; the output
frame of the same number has the same ones, as far as its format knows them, and says so.
"""

from vsanimesr.colour import ChromaLocation, Colour, Family, Format, Matrix, matrix_by_size
from vsanimesr.errors import OptionError
from vsanimesr.vs.api import (
    API,
    MAP_REPLACE,
    ColorFamily,
    MessageType,
    SampleType,
    VideoFormat,
    VideoInfo,
)
from vsanimesr.vs.host import say
from vsanimesr.vs.properties import integer, one_of

FAMILIES = {
    ColorFamily.GRAY: Family.GRAY,
    ColorFamily.RGB: Family.RGB,
    ColorFamily.YUV: Family.YUV,
}
UNSAID = (None, -1, 2)  # no property, what `resize` takes for none, unspecified (H.273 table 4)
RANGES = {0: "limited", 1: "full"}
LOCATIONS = {int(here): here.name.lower().replace("_", " ") for here in ChromaLocation}


def format_of(video_format: VideoFormat) -> Format:
    """A format in the engine's terms."""
    return Format(
        FAMILIES[ColorFamily(video_format.color_family)],
        video_format.bits_per_sample,
        video_format.sample_type == SampleType.FLOAT,
        video_format.sub_sampling_w,
        video_format.sub_sampling_h,
    )


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
        self._subsampled = _subsampled(output.format)
        self._has_location = self._subsampled or _subsampled(info.format)
        self._warned = self._from != Family.YUV or matrix >= 0

    def source(self, n: int, props: int) -> Colour:
        """Colour of source frame n by its properties (VSMap). Warns once of a guessed matrix.

        Raises:
            OptionError: A matrix that is no linear function of the samples, or unknown.
        """
        rgb = self._from == Family.RGB
        full = self._full
        if full < 0:  # VapourSynth itself answers for _ColorRange, the deprecated name
            said = one_of(self._api, props, n, "_Range", RANGES, ", or set range=")
            full = rgb if said is None else said
        matrix = Matrix.RGB if rgb else self._source_matrix(n, props)
        return Colour(matrix, bool(full), self._location(n, props))

    def _location(self, n: int, props: int) -> ChromaLocation:
        if not self._has_location:
            return ChromaLocation.LEFT
        wanted = {-1: "unspecified", **LOCATIONS}  # -1: as `resize` takes it
        return ChromaLocation(max(0, one_of(self._api, props, n, "_ChromaLocation", wanted) or 0))

    def _source_matrix(self, n: int, props: int) -> Matrix:
        said = self._matrix if self._matrix >= 0 else integer(self._api, props, n, "_Matrix")
        if said in UNSAID:
            matrix = matrix_by_size(*self._size)
            self._warn(n, matrix)
            return matrix
        if said and said in Matrix:
            return Matrix(said)
        if self._from == Family.GRAY:  # no chroma: a matrix is needed for what becomes of it only
            return matrix_by_size(*self._size)
        raise OptionError(
            f"frame {n} has _Matrix={said}, wanted one of "
            f"{', '.join(str(int(m)) for m in Matrix if m)}: convert the clip with "
            "resize.Bicubic(matrix=…), or set matrix= to read it otherwise"
        )

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
        """Make the properties (VSMap) of an output frame say its colour.

        GRAY that stays GRAY keeps its own, or none: it may be a plane of RGB or YUV, to be joined
        with the others again. Only what an argument says is set.
        """
        api = self._api
        kept = self._from == self._to == Family.GRAY
        if not kept or self._matrix >= 0:
            api.mapSetInt(props, b"_Matrix", colour.matrix, MAP_REPLACE)
        if not kept or self._full >= 0:
            api.mapSetInt(props, b"_Range", colour.full, MAP_REPLACE)
        if kept:
            return
        if self._subsampled:
            api.mapSetInt(props, b"_ChromaLocation", colour.chroma, MAP_REPLACE)
        else:
            api.mapDeleteKey(props, b"_ChromaLocation")


def _subsampled(video_format: VideoFormat) -> bool:
    return bool(video_format.sub_sampling_w or video_format.sub_sampling_h)
