"""Where the numbers of a network lie while it is trained."""

from typing import cast

import torch
from torch import Tensor, nn


def place[T: nn.Module](module: T, device: torch.device) -> T:
    """Move a network to where it is trained.

    On a CPU its convolutions, and so what they write, lie channels last, as oneDNN's kernels want
    them: docs/training_speed.md has what it brings. On CUDA nobody has measured it.

    Args:
        module: Changed in place.
        device: To move to.
    """
    if device.type == "cpu":
        return module.to(device).to(memory_format=torch.channels_last)
    return module.to(device)


def plain(state: object) -> object:
    """A state of tables, lists and tensors, with its tensors as they lie without a layout."""
    if isinstance(state, Tensor):
        return state.contiguous()
    if isinstance(state, dict):
        return {key: plain(value) for key, value in cast(dict[object, object], state).items()}
    return [plain(one) for one in cast(list[object], state)] if isinstance(state, list) else state
