"""AnimeSR as a scaler of vs-jetpack, for scripts that pass scalers around.

    from vsanimesr.vs.scaler import AnimeSR

    AnimeSR().supersample(clip, 4)
    AnimeSR(model="v1", scaler=Hermite).scale(clip, 1920, 1080)

Needs the extra `jet`.
"""

from typing import Any

import vapoursynth as vs
from vskernels import Catrom, KernelLike, ScalerLike
from vsscale import BaseGenericScaler

from vsanimesr.vs.functions import upscale


class AnimeSR(BaseGenericScaler):
    """Enlarges four times with the network; `scaler` brings that to the size asked for."""

    _static_kernel_radius = 27  # source pixels that one step looks at, measured with the v2 weights

    def __init__(
        self,
        *,
        kernel: KernelLike = Catrom,
        scaler: ScalerLike | None = None,
        shifter: KernelLike | None = None,
        **options: str | float,
    ) -> None:
        """Take the kernels of every scaler of vs-jetpack, and options of `Upscale`.

        Args:
            kernel: For sizes and shifts, where `scaler` and `shifter` are not given.
            scaler: Brings the enlarged clip to the size asked for.
            shifter: Shifts it.
            options: The fields of `vsanimesr.options.Options` but `scale`.
        """
        self.options = options
        super().__init__(kernel=kernel, scaler=scaler, shifter=shifter)

    def scale(
        self,
        clip: vs.VideoNode,
        width: int | None = None,
        height: int | None = None,
        shift: tuple[float, float] = (0, 0),
        **kwargs: Any,  # noqa: ANN401 - as the base class has it
    ) -> vs.VideoNode:
        """Enlarge a clip.

        Args:
            clip: Any format that `core.animesr.Upscale` takes.
            width: Of the result; None: that of the clip.
            height: Of the result; None: that of the clip.
            shift: (down, right) in pixels of the result.
            kwargs: Further options of `Upscale`, over those of the instance.

        Raises:
            vapoursynth.Error: What `Upscale` refuses.
        """
        width, height = self._wh_norm(clip, width, height)
        large = upscale(clip, **(self.options | kwargs))
        return self._finish_scale(large, clip, width, height, shift)
