"""A VapourSynth script as the source: its output 0, and what it reads, as far as it says so."""

from __future__ import annotations

import ast
import contextlib
import math
import runpy
import sys
import threading
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from vsanimesr.encode.common.names import shown
from vsanimesr.encode.source.index import fingerprint
from vsanimesr.encode.source.media import Source
from vsanimesr.encode.source.times import Times
from vsanimesr.errors import EncodeError

if TYPE_CHECKING:
    import vapoursynth as vs

SUFFIX = ".vpy"
_running = threading.Lock()


def is_script(path: Path) -> bool:
    """Whether a source is a script, by its name."""
    return path.suffix.lower() == SUFFIX


def open_script(path: Path, *, progressive: bool = False) -> Source:
    """Run a script in this process.

    Args:
        path: The script.
        progressive: Whether marks of interlaced frames are ignored.

    Raises:
        EncodeError: It fails, or its output 0 is no video of one size and format.
    """
    import vapoursynth as vs

    name = shown(path)
    if not path.is_file():
        raise EncodeError(f"upscale: {name} is not there, or is no file")
    with _running:
        vs.clear_outputs()
        try:
            _run(path)
            output: Any = vs.get_outputs().get(0)
        except SystemExit as error:
            raise EncodeError(f"upscale: {name} ended itself: {error.code}") from error
        except Exception as error:
            kind = type(error).__name__
            raise EncodeError(f"upscale: {name} failed: {kind}: {error}") from error
        finally:
            vs.clear_outputs()
    clip = getattr(output, "clip", None)
    if not isinstance(clip, vs.VideoNode):
        raise EncodeError(f"upscale: {name} has no video as output 0; wanted: clip.set_output()")
    if clip.format.id == 0 or not (clip.width and clip.height):
        raise EncodeError(
            f"upscale: output 0 of {name} changes its size or format; wanted: one of each"
        )
    if progressive:
        clip = cast("Any", vs.core).std.SetFrameProps(clip, _FieldBased=0)
    named = ", ".join(shown(file) for file in reads(path)) or "no file"
    note = (
        f"{name} names {named}; what else it reads is not known: "
        "after a change of that, give --fresh"
    )
    return Source(clip=clip, times=_times(clip, name), notes=(note,))


def reads(path: Path) -> list[Path]:
    """Files that a script names in its text, and the modules beside it that it imports."""
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError, OSError):
        return []
    found: dict[Path, None] = {}
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Constant) and isinstance(node.value, str | bytes):
            value = node.value
            names = [value if isinstance(value, str) else value.decode(errors="surrogateescape")]
        elif isinstance(node, ast.Import):
            names = [f"{alias.name.partition('.')[0]}.py" for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module.partition('.')[0]}.py"]
        for name in names:
            for file in (Path(name), path.parent / name):
                with contextlib.suppress(OSError, ValueError):  # a text, not a name
                    if file.is_file():
                        found[file.resolve()] = None
    return list(found)


def script_facts(path: Path) -> dict[str, str]:
    """By name, what those files are."""
    return {f"{shown(file)}, which is read": fingerprint(file)[:12] for file in reads(path)}


def _run(path: Path) -> None:
    """As vspipe runs it; what it prints goes to standard error, for results go to the other."""
    folder = str(path.absolute().parent)
    sys.path.insert(0, folder)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            runpy.run_path(str(path), run_name="__vapoursynth__")
    finally:
        with contextlib.suppress(ValueError):
            sys.path.remove(folder)


def _times(clip: vs.VideoNode, name: str) -> Times:
    """By the clip's rate; by the duration of each frame where it has none."""
    import vapoursynth as vs

    if clip.fps.numerator:
        rate = Fraction(clip.fps.numerator, clip.fps.denominator)
        return Times(pts=list(range(len(clip))), base=1 / rate, rate=rate, last=1)
    durations: list[Fraction] = []
    try:
        for n, frame in enumerate(clip.frames(close=True)):
            num, den = frame.props.get("_DurationNum"), frame.props.get("_DurationDen")
            if not num or not den:
                raise EncodeError(
                    f"upscale: frame {n} of {name} says no duration, and the clip has no rate; "
                    "give it one: std.AssumeFPS"
                )
            durations.append(Fraction(int(cast("int", num)), int(cast("int", den))))
    except vs.Error as error:
        raise EncodeError(f"upscale: frame {len(durations)} of {name}: {error}") from error
    base = Fraction(1, math.lcm(*(duration.denominator for duration in durations)))
    pts = [0]
    for duration in durations:
        pts.append(pts[-1] + int(duration / base))
    rate = Fraction(len(clip)) / (pts[-1] * base)
    return Times(pts=pts[:-1], base=base, rate=rate.limit_denominator(1001), last=pts[-1] - pts[-2])
