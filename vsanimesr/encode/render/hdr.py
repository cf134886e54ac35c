"""HDR metadata of the film, from its first frame into the encoder's arguments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_LOST = {"DolbyVisionRPU": "Dolby Vision", "HDR10Plus": "HDR10+"}
_CHROMATICITY, _LUMINANCE = 50_000, 10_000
"""Units a step of SMPTE ST 2086 as HEVC's SEI codes them (H.265, D.3.28): 0.00002 and 0.0001."""


def lost(props: Mapping[str, Any]) -> list[str]:
    """What changes from frame to frame with the source's picture and is not carried over."""
    return [name for prop, name in _LOST.items() if prop in props]


def static(props: Mapping[str, Any]) -> list[str]:
    """What holds for the whole film, in words."""
    found = ["mastering display"] if _display(props) else []
    return [*found, "content light level"] if _light(props) else found


def parameters(encoder: str, props: Mapping[str, Any]) -> list[str]:
    """Arguments of an encoder, `name=value` each.

    Args:
        encoder: One of `encoders.ENCODERS`.
        props: Of the first frame, as BestSource names them.
    """
    found: list[str] = []
    if display := _display(props):
        name = {"x265": "master-display", "x264": "mastering-display"}.get(encoder)
        places, luminances = display
        if name:
            units = [round(value * _CHROMATICITY) for value in places]
            points = ["G({},{})", "B({},{})", "R({},{})", "WP({},{})"]
            text = "".join(p.format(*units[2 * n : 2 * n + 2]) for n, p in enumerate(points))
            high, low = (round(value * _LUMINANCE) for value in luminances)
            found.append(f"{name}={text}L({high},{low})")
        else:
            points = ["G({:.5f},{:.5f})", "B({:.5f},{:.5f})", "R({:.5f},{:.5f})"]
            points.append("WP({:.5f},{:.5f})")
            text = "".join(p.format(*places[2 * n : 2 * n + 2]) for n, p in enumerate(points))
            found.append(f"mastering-display={text}L({luminances[0]:.4f},{luminances[1]:.4f})")
    if light := _light(props):
        name = {"x265": "max-cll", "x264": "cll"}.get(encoder, "content-light")
        found.append(f"{name}={light[0]},{light[1]}")
    return found


def _display(props: Mapping[str, Any]) -> tuple[list[float], tuple[float, float]] | None:
    """Green, blue, red and white as x, y; the highest and lowest luminance in cd/m2."""
    try:
        xs = [float(x) for x in props["MasteringDisplayPrimariesX"]]
        ys = [float(y) for y in props["MasteringDisplayPrimariesY"]]
        white = [props["MasteringDisplayWhitePointX"], props["MasteringDisplayWhitePointY"]]
        luminances = (
            float(props["MasteringDisplayMaxLuminance"]),
            float(props["MasteringDisplayMinLuminance"]),
        )
    except KeyError:
        return None
    order = (1, 2, 0)  # BestSource has red, green, blue
    return [v for n in order for v in (xs[n], ys[n])] + [float(w) for w in white], luminances


def _light(props: Mapping[str, Any]) -> tuple[int, int] | None:
    if "ContentLightLevelMax" not in props:
        return None
    return int(props["ContentLightLevelMax"]), int(props.get("ContentLightLevelAverage", 0))
