"""The step between decoder and encoder: the plugin, or what stands in for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from vsanimesr.errors import EncodeError
from vsanimesr.options import Options, defaults

if TYPE_CHECKING:
    import vapoursynth as vs

INDIFFERENT = ("prefetch", "cache", "device")
"""Options that decide no bytes, or only by the device they come to, which is known as such."""


class Upscale(Protocol):
    """Makes the enlarged clip; workers in other processes get it pickled."""

    @property
    def block(self) -> int:
        """Frames of a block of the recurrence; 0: there are none."""
        ...

    @property
    def device(self) -> str:
        """Where it runs, as of the filter."""
        ...

    def size(self, clip: vs.VideoNode, format_id: int) -> tuple[int, int]:
        """Columns and rows of what `__call__` makes, known without an engine."""
        ...

    def __call__(self, clip: vs.VideoNode, format_id: int) -> vs.VideoNode:
        """Enlarge the source's clip into a VapourSynth format; as many frames."""
        ...

    def arguments(self) -> dict[str, str]:
        """By name, what decides the result's bytes and is chosen."""
        ...

    def engine(self) -> dict[str, str]:
        """By name, what decides the result's bytes and is found where it runs."""
        ...


@dataclass(frozen=True)
class AnimeSR:
    """Enlarges with the plugin."""

    options: dict[str, Any] = field(default_factory=dict[str, Any])
    """Arguments of `core.animesr.Upscale` besides the clip and the format."""

    @property
    def block(self) -> int:
        """Frames of a block."""
        return int(self._all()["block"])

    @property
    def device(self) -> str:
        """Where it runs."""
        return str(self._all()["device"])

    def size(self, clip: vs.VideoNode, format_id: int) -> tuple[int, int]:
        """See `Upscale`."""
        import vapoursynth as vs

        target = vs.core.get_video_format(format_id)
        shared = 1 << target.subsampling_w, 1 << target.subsampling_h
        return Options(**self._all()).size(clip.width, clip.height, shared)

    def __call__(self, clip: vs.VideoNode, format_id: int) -> vs.VideoNode:
        """Enlarge.

        Raises:
            EncodeError: The plugin is not loaded.
        """
        import vapoursynth as vs

        core: Any = vs.core
        if not hasattr(core, "animesr"):
            raise EncodeError(
                "upscale: VapourSynth has not loaded the plugin `animesr`; "
                "run `vsanimesr doctor`, which shows why"
            )
        return core.animesr.Upscale(clip, format=format_id, **self.options)

    def arguments(self) -> dict[str, str]:
        """All options that decide bytes, and what the weights are."""
        from vsanimesr import weights

        chosen = {k: str(v) for k, v in self._all().items() if k not in (*INDIFFERENT, "format")}
        return {**chosen, "weights": weights.digest(weights.load(self._all()["model"]))}

    def engine(self) -> dict[str, str]:
        """The runtime and what it runs on."""
        from importlib.metadata import PackageNotFoundError

        from vsanimesr.engines.backends import BACKENDS
        from vsanimesr.engines.choice import chosen
        from vsanimesr.engines.cuda_device import devices

        given = self._all()
        name = given["backend"]
        if name == "auto":
            names = ("backend", "device", "precision", "providers", "compile", "strips")
            name = chosen(**{option: given[option] for option in names}).backend
        try:
            version = BACKENDS[name].version
        except (PackageNotFoundError, KeyError):
            version = ""
        runtime = f"{name} {version}" if version else f"{name}, absent"
        gpus = [] if given["device"] == "cpu" else devices()
        return {"runtime": runtime, "runs on": str(gpus[0]) if gpus else "a CPU"}

    def _all(self) -> dict[str, Any]:
        return defaults() | self.options


def format_id(name: str) -> int:
    """VapourSynth's number of a format named as in `FORMATS`."""
    import vapoursynth as vs

    return int(vs.PresetVideoFormat[name.upper()])


def enlarged(clip: vs.VideoNode, name: str, upscale: Upscale) -> vs.VideoNode:
    """Apply `upscale` for a format named as in `FORMATS`.

    Raises:
        EncodeError: It refused, or did not keep the number of frames.
    """
    import vapoursynth as vs

    try:
        result = upscale(clip, format_id(name))
    except vs.Error as error:
        raise EncodeError(str(error)) from error
    if len(result) != len(clip):
        raise EncodeError(f"upscale: {len(clip)} frames became {len(result)}; wanted: as many")
    return result
