"""The frame properties that the filter reads, and frames that it refuses for what they say.

A property of another type, or out of its range, is refused in words rather than taken for unset or
passed on to `resize`, whose errors name neither the frame nor the filter.
"""

import ctypes
from bisect import bisect_left, insort

from vsanimesr.errors import OptionError
from vsanimesr.vs.api import API, TYPE_DIFFERS

FIELDS = (1, 2)
"""`_FieldBased` of interlaced frames: bottom or top field first (0: progressive)."""


def integer(api: API, props: int, n: int, key: str) -> int | None:
    """First integer under `key` of the properties (VSMap) of frame n; None when there is none.

    Raises:
        OptionError: It is of another type.
    """
    error = ctypes.c_int()
    value = api.mapGetInt(props, key.encode(), 0, ctypes.byref(error))
    if error.value == TYPE_DIFFERS:
        raise OptionError(
            f"frame {n} has {key} of another type, wanted an integer: set it with "
            f"std.SetFrameProps({key}=…), or take it away with std.RemoveFrameProps"
        )
    return None if error.value else value


def one_of(
    api: API, props: int, n: int, key: str, wanted: dict[int, str], otherwise: str = ""
) -> int | None:
    """As `integer`, where only these values have a meaning, which is told.

    Raises:
        OptionError: Another value or type. `otherwise`: what else would help.
    """
    value = integer(api, props, n, key)
    if value is None or value in wanted:
        return value
    meanings = ", ".join(f"{number} ({meaning})" for number, meaning in wanted.items())
    raise OptionError(
        f"frame {n} has {key}={value}, wanted {meanings}: set it with "
        f"std.SetFrameProps({key}=…){otherwise}"
    )


def scene_marks(api: API, props: int, n: int) -> tuple[bool, bool]:
    """Whether a scene starts at frame n, and after it, as its properties (VSMap) say.

    Raises:
        OptionError: They say neither 0 nor 1.
    """
    wanted = {0: "no", 1: "a scene change"}
    keys = ("_SceneChangePrev", "_SceneChangeNext")
    before, after = (
        one_of(api, props, n, key, wanted, ", or set scenes=0 to ignore it") for key in keys
    )
    return before == 1, after == 1


def check_progressive(api: API, props: int, n: int) -> None:
    """Refuse frame n if it is interlaced by its properties (VSMap), or may be.

    Raises:
        OptionError: `_FieldBased` is there and not 0.
    """
    value = integer(api, props, n, "_FieldBased")
    if value in FIELDS:
        raise OptionError(
            f"frame {n} is interlaced (_FieldBased > 0), wanted progressive frames: deinterlace "
            "first, or clear the mark with std.SetFieldBased(0)"
        )
    if value:
        raise OptionError(
            f"frame {n} has _FieldBased={value}, wanted 0 (progressive): set it with "
            "std.SetFieldBased(0)"
        )


class Refused:
    """Frames that cannot be read, and why: told when a frame needs one of them."""

    def __init__(self) -> None:
        self._frames: list[int] = []  # ascending
        self._reasons: dict[int, str] = {}

    def add(self, t: int, reason: OptionError) -> None:
        """Remember why frame t cannot be read."""
        if t not in self._reasons:
            insort(self._frames, t)
        self._reasons[t] = str(reason)

    def check(self, first: int, last: int) -> None:
        """Raise for the first of frames first..last that cannot be read.

        Raises:
            OptionError: There is one.
        """
        i = bisect_left(self._frames, first)
        if i < len(self._frames) and self._frames[i] <= last:
            raise OptionError(self._reasons[self._frames[i]])
