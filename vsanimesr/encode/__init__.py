"""One file in, one file out: decode, enlarge, encode, and keep everything else."""

from vsanimesr.encode.container import MUXERS
from vsanimesr.encode.enlarge import animesr
from vsanimesr.encode.ffmpeg import CRF, ENCODERS, Encoding
from vsanimesr.encode.frames import FORMATS
from vsanimesr.encode.job import upscale_file

__all__ = ["CRF", "ENCODERS", "FORMATS", "MUXERS", "Encoding", "animesr", "upscale_file"]
