"""PSNR and SSIM against the original, on RGB and on luma.

Luma is that of BT.601 in studio range, 16 to 235 of 255, as BasicSR and MATLAB's rgb2ycbcr have it;
the literature of video super-resolution mostly means it. No border is cut off.
"""

import numpy as np
import torch
from skimage.metrics import structural_similarity
from torch import Tensor

LUMA = (65.481, 128.553, 24.966)
"""Of full-scale red, green, blue, in 255ths; to which 16 are added (BT.601, section 2.5)."""


def luma(images: Tensor) -> Tensor:
    """(n, 3, h, w) RGB in [0, 1] as (n, 1, h, w) in [16, 235] / 255."""
    weights = images.new_tensor(LUMA)[:, None, None]
    return ((images * weights).sum(dim=1, keepdim=True) + 16) / 255


def psnr(images: Tensor, originals: Tensor) -> Tensor:
    """Peak signal-to-noise ratio in dB, (n,); infinite where nothing differs.

    Args:
        images: (n, c, h, w), full scale 1; float64 is taken as it is, the rest is made so.
        originals: The same shape.
    """
    error = (images.double() - originals.double()).square().mean(dim=(1, 2, 3))
    return -10 * torch.log10(error)


def psnr_y(images: Tensor, originals: Tensor) -> Tensor:
    """`psnr` of the luma of (n, 3, h, w) RGB in [0, 1]."""
    return psnr(luma(images.double()), luma(originals.double()))


def ssim_y(images: Tensor, originals: Tensor) -> Tensor:
    """`ssim` of the luma of (n, 3, h, w) RGB in [0, 1]."""
    return ssim(luma(images.double()), luma(originals.double()))


def ssim(images: Tensor, originals: Tensor) -> Tensor:
    """Structural similarity (n,), the mean over channels; 1 where nothing differs.

    With the constants of Wang et al. (IEEE TIP 13(4), 2004): a Gaussian window of 11x11 with sigma
    1.5, K1 = 0.01, K2 = 0.03, population statistics, only windows that lie within the picture, no
    shrinking beforehand. On luma this is what BasicSR computes.

    Args:
        images: (n, c, h, w), full scale 1, sides of 11 or more.
        originals: The same shape.
    """
    values = [
        structural_similarity(
            a.double().cpu().numpy(),
            b.double().cpu().numpy(),
            channel_axis=0,
            data_range=1.0,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
        )
        for a, b in zip(images, originals, strict=True)
    ]
    return torch.from_numpy(np.array(values, np.float64))
