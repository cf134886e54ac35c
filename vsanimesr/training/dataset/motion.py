"""How much moves from one frame to the next, by optical flow."""

from pathlib import Path
from typing import Protocol, cast

import cv2
import numpy as np
import torch

from vsanimesr.errors import TrainingError
from vsanimesr.training import foreign
from vsanimesr.training.dataset import frames
from vsanimesr.training.pictures import Picture

type Flow = np.ndarray[tuple[int, int, int], np.dtype[np.float32]]
"""(h, w, 2): how far to the right and down each pixel moves, in pixels."""


class FlowMethod(Protocol):
    """A method of optical flow."""

    def __call__(self, previous: Picture, current: Picture, /) -> Flow:
        """The flow from one picture (h, w, 3) to the next of the same size."""
        ...


def load(method: str, file: Path | None = None) -> FlowMethod:
    """A method by its name in the recipe.

    Raises:
        TrainingError: It cannot be had here; says what is missing.
    """
    return dis() if method == "dis" else raft(file)


def dis() -> FlowMethod:
    """DIS (Kroeger et al., ECCV 2016) as OpenCV has it; needs no weights."""
    method = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)

    def flow(previous: Picture, current: Picture) -> Flow:
        grey = [cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in (previous, current)]
        empty = np.zeros((*grey[0].shape, 2), np.float32)
        return np.asarray(method.calc(grey[0], grey[1], empty), np.float32)

    return flow


def raft(file: Path | None) -> FlowMethod:
    """RAFT (Teed and Deng, ECCV 2020) as torchvision has it, on the CPU.

    Args:
        file: Torchvision's weights of raft_small or raft_large. No code of the file is run.

    Raises:
        TrainingError: Torchvision or the file is missing, or the file holds something else.
    """
    if file is None or not file.is_file():
        raise TrainingError(
            f"motion: no weights of RAFT at {file}; put torchvision's raft_large_C_T_SKHT_V2-"
            "ff5fadd5.pth or raft_small_C_T_V2-01064c6d.pth there, or take 'dis'"
        )
    try:
        from torchvision.models import optical_flow
    except ImportError as error:
        raise TrainingError(
            "motion: 'raft' needs torchvision, which is not installed; pip install torchvision, "
            "or take 'dis'"
        ) from error
    try:
        tensors = cast(dict[str, torch.Tensor], foreign.load(file))
        small = tensors["feature_encoder.convnormrelu.0.weight"].shape[0] == 32
        network = optical_flow.raft_small() if small else optical_flow.raft_large()
        network.load_state_dict(tensors)
    except Exception as error:  # a damaged or foreign file can fail in any way
        raise TrainingError(
            f"{file}: not torchvision's weights of raft_small or raft_large ({error})"
        ) from error
    network.eval()

    @torch.inference_mode()
    def flow(previous: Picture, current: Picture) -> Flow:
        height, width = current.shape[:2]
        # RAFT wants sides that are multiples of 8, and 128 or more.
        pad = [(0, max(128, -(-side // 8) * 8) - side) for side in (height, width)]
        both = [np.pad(picture, (*pad, (0, 0)), mode="edge") for picture in (previous, current)]
        images = torch.from_numpy(np.stack(both)).permute(0, 3, 1, 2).float() / 127.5 - 1
        result = network(images[:1], images[1:])[-1][0, :, :height, :width]
        return np.asarray(result.permute(1, 2, 0).numpy(), np.float32)

    return flow


class Speedometer:
    """Shown the frames of a video in order, it tells how much moved since the one before."""

    def __init__(self, method: FlowMethod, width: int) -> None:
        """Take a method, and the columns that pictures are shrunk to before it sees them."""
        self._method, self._width = method, width
        self._previous: Picture | None = None

    def see(self, picture: Picture) -> tuple[float, float]:
        """Mean and greatest length of the flow, in pixels of the picture; 0, 0 for the first."""
        small = frames.shrunk(picture, self._width)
        previous, self._previous = self._previous, small
        if previous is None:
            return 0.0, 0.0
        flow = self._method(previous, small) * np.float32(picture.shape[1] / small.shape[1])
        length = np.hypot(flow[..., 0], flow[..., 1])
        return float(length.mean()), float(length.max())
