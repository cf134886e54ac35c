"""Where one shot ends and the next begins, by PySceneDetect."""

import numpy as np
from scenedetect import AdaptiveDetector, ContentDetector, FrameTimecode

from vsanimesr.training.dataset import frames
from vsanimesr.training.dataset.recipe import Shots
from vsanimesr.training.pictures import Picture

WIDTH = 256
"""Columns of what the detector is shown, as PySceneDetect itself has it."""
RATE = 24.0
"""It must be told one; lengths are given in frames, so that it does not matter."""


class CutFinder:
    """Shown the frames of a video in order, it tells where cuts are."""

    def __init__(self, options: Shots) -> None:
        kind = ContentDetector if options.detector == "content" else AdaptiveDetector
        own = () if options.threshold is None else (options.threshold,)
        self._detector = kind(*own, min_scene_len=options.shortest)
        self._seen = 0
        self._cuts: set[int] = set()

    def see(self, picture: Picture) -> None:
        """Take the next frame (h, w, 3), RGB."""
        bgr = np.ascontiguousarray(frames.shrunk(picture, WIDTH)[..., ::-1])
        self._add(self._detector.process_frame(self._time(self._seen), bgr))
        self._seen += 1

    def cuts(self) -> list[int]:
        """After the last frame: numbers of the frames that begin a shot, but for frame 0."""
        self._add(self._detector.post_process(self._time(max(0, self._seen - 1))))
        return sorted(cut for cut in self._cuts if 0 < cut < self._seen)

    def _add(self, found: list[FrameTimecode]) -> None:
        self._cuts |= {int(time.frame_num) for time in found}

    @staticmethod
    def _time(frame: int) -> FrameTimecode:
        return FrameTimecode(frame, RATE)
