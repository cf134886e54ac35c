"""Steadiness in time: the warping error of Lai et al.

Learning Blind Video Temporal Consistency, ECCV 2018, section 4.2: the previous picture is moved
along the optical flow onto the present one; what still differs, where nothing was covered or
uncovered, is flicker. Two things are this project's: the flow is by OpenCV's DIS (Kroeger et al.,
ECCV 2016), which needs no weights, and it is taken between the frames of the source, so that all
networks are judged by the same motion and none by its own.

Less is steadier, but a blurred video is steady too: read it beside the other columns.
"""

import cv2
import msgspec
import numpy as np

from vsanimesr.training.pictures import Picture

LEAST_VISIBLE = 0.5
"""Share of a picture. In examples/sample.mkv 0.8 and more are visible within a shot, 0.03 across a
cut; what chance leaves there says nothing of flicker."""

type Flow = np.ndarray[tuple[int, int, int], np.dtype[np.float32]]
"""(h, w, 2): how far to the right and down the content of a pixel was in the other picture."""


class Motion(msgspec.Struct, frozen=True):
    """From a source frame to the one before it."""

    flow: Flow
    visible: np.ndarray
    """(h, w) bool: seen in both frames, and not at the border of a moving object."""


def motion(previous: Picture, current: Picture) -> Motion:
    """Where everything in the current frame was in the previous one."""
    dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    grey = [cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in (previous, current)]
    backward = _flow(dis, grey[1], grey[0])
    forward = _flow(dis, grey[0], grey[1])
    # Sundaram et al., ECCV 2010, equations 5 and 6, as Lai et al. take them
    returned = _sample(forward, backward)
    lengths = _squared(backward) + _squared(returned)
    consistent = _squared(backward + returned) <= 0.01 * lengths + 0.5
    steps = [np.square(step) for i in (0, 1) for step in np.gradient(backward[..., i])]
    smooth = np.sum(steps, axis=0) <= 0.01 * _squared(backward) + 0.002
    return Motion(backward, consistent & smooth)


def warping_error(previous: Picture, current: Picture, move: Motion) -> float:
    """Mean squared difference, full scale 1, between the current picture and the moved previous.

    Args:
        previous: (H, W, 3), an enlarged picture.
        current: The one after it.
        move: Of their sources, of any smaller or equal size.

    Returns:
        The error; NaN across a cut, which is where less than half is visible in both.
    """
    height, width = current.shape[:2]
    scale = width / move.flow.shape[1]
    flow = cv2.resize(move.flow, (width, height), interpolation=cv2.INTER_LINEAR) * scale
    visible = cv2.resize(
        move.visible.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST
    )
    if visible.mean() < LEAST_VISIBLE:
        return float("nan")
    moved = _sample(previous.astype(np.float32) / np.float32(255), np.asarray(flow, np.float32))
    error = np.square(moved - current.astype(np.float32) / np.float32(255)).mean(axis=2)
    return float(error[visible > 0].mean(dtype=np.float64))


def _flow(dis: cv2.DISOpticalFlow, a: cv2.typing.MatLike, b: cv2.typing.MatLike) -> Flow:
    empty = np.zeros((*a.shape, 2), np.float32)
    return np.asarray(dis.calc(a, b, empty), np.float32)


def _sample(image: np.ndarray, flow: Flow) -> Flow:
    """The image at each pixel's place moved by the flow; bilinear, borders replicated."""
    rows, columns = np.mgrid[: flow.shape[0], : flow.shape[1]].astype(np.float32)
    moved = cv2.remap(
        image,
        columns + flow[..., 0],
        rows + flow[..., 1],
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(moved, np.float32)


def _squared(flow: Flow) -> np.ndarray:
    return np.square(flow).sum(axis=2)
