"""The network over a stream of pictures, as the released code runs it: one endless recurrence."""

from collections.abc import Callable, Iterable, Iterator, Mapping

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from vsanimesr.models import ALIGNMENT, FEATURES, IMAGE, SCALE
from vsanimesr.network import image_of
from vsanimesr.training.networks import trained
from vsanimesr.training.pictures import Picture

type Upscale = Callable[[Iterable[Tensor]], Iterator[Tensor]]
"""From pictures (3, h, w), RGB in [0, 1], of one size to as many (3, 4h, 4w), not clamped."""


def recurrent(
    weights: Mapping[str, np.ndarray],
    device: torch.device | None = None,
    dtype: torch.dtype = torch.float32,
) -> Upscale:
    """The network with these weights, from the zero state for every stream.

    Pictures whose sides are no multiples of 4 are padded by replication on the right and at the
    bottom, and the result is cropped back; the released code crops the source instead.

    Args:
        weights: As `trained.load` gives them, of the released network or of the ablation's.
        device: Where it runs; the CPU by default. Results come back to the CPU.
        dtype: Of the convolutions; image and state stay float32.
    """
    network = trained.from_weights(weights).eval().requires_grad_(False).to(device, dtype)
    network = network.to(memory_format=torch.channels_last)

    def upscale(pictures: Iterable[Tensor]) -> Iterator[Tensor]:
        previous = current = image = state = None
        for following in pictures:
            following = following.to(device)[None]  # (1, 3, h, w)
            if current is not None:
                window = (current if previous is None else previous, current, following)
                image, state = step(window, image, state)
                yield _cropped(image, current)
            previous, current = current, following
        if current is not None:
            window = (current if previous is None else previous, current, current)
            yield _cropped(step(window, image, state)[0], current)

    @torch.inference_mode()
    def step(
        window: tuple[Tensor, ...], image: Tensor | None, state: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        height, width = window[1].shape[-2:]
        pad = (0, -width % ALIGNMENT, 0, -height % ALIGNMENT)
        padded = F.pad(torch.cat(window, dim=1), pad, mode="replicate")
        if image is None or state is None:
            size = padded.shape[-2:]
            image = padded.new_zeros(1, IMAGE, *size)
            state = padded.new_zeros(1, FEATURES, *size)
        return network.step(padded, image, state)

    return upscale


def tensor(picture: Picture) -> Tensor:
    """(h, w, 3) of 0 to 255 as (3, h, w) in [0, 1]."""
    return torch.from_numpy(picture).permute(2, 0, 1).float() / 255


def rounded(image: Tensor) -> Picture:
    """(3, h, w), clamped to [0, 1], as (h, w, 3) of 0 to 255, rounded to the nearest."""
    return (image.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).cpu().numpy()


def _cropped(folded: Tensor, source: Tensor) -> Tensor:
    height, width = source.shape[-2:]
    return image_of(folded)[0, :, : height * SCALE, : width * SCALE].float().cpu()
