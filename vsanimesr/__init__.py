"""AnimeSR inside VapourSynth: restores animation video and enlarges it four times."""

__version__ = "0.1.0"
