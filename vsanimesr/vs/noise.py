"""A clip to measure with: pictures that no cache, codec or comparison can make short work of."""

from typing import Any

import numpy as np
import vapoursynth as vs

PICTURES = 8
"""Different ones; then they come again."""


def noise(width: int, height: int, format: str, length: int) -> vs.VideoNode:
    """Frames of white noise over the whole range of codes.

    Args:
        width: Columns.
        height: Rows.
        format: Name of a preset format, such as `YUV420P8`.
        length: Frames.

    Raises:
        vapoursynth.Error: No such size in this format.
    """
    core: Any = vs.core
    preset = getattr(vs, format)
    blank = core.std.BlankClip(None, width, height, preset, length=PICTURES, keep=True)
    random = np.random.default_rng(0)
    drawn: list[Any] = []
    for number in range(PICTURES):
        with blank.get_frame(number) as frame:
            drawn.append(frame.copy())
        for plane in range(drawn[-1].format.num_planes):
            samples = np.asarray(drawn[-1][plane])
            codes = random.random(samples.shape, np.float32)
            if drawn[-1].format.sample_type == vs.INTEGER:
                codes *= (1 << drawn[-1].format.bits_per_sample) - 1
            np.copyto(samples, codes, casting="unsafe")

    def draw(n: int, f: Any) -> Any:  # noqa: ANN401
        return drawn[n]

    few = core.std.ModifyFrame(blank, blank, draw)
    if few.format.color_family == vs.YUV:
        few = core.std.SetFrameProps(few, _Matrix=vs.MATRIX_BT709, _Range=vs.RANGE_LIMITED)
    return core.std.Loop(few, -(-length // PICTURES))[:length]
