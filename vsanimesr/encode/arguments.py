"""The arguments of `vsanimesr upscale`."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from typing import Any

from vsanimesr.options import defaults, meanings

OWN = ("format", "scenes")  # arguments of the filter that mean something else here


def add(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    from vsanimesr.encode import CHUNK, CRF, ENCODERS, FORMATS, MUXERS, PRESETS, SCENES, Encoding

    parser.description = (
        "Enlarge the video of files. Frame times, sound, subtitles, chapters, attachments and "
        "tags are kept; what the result's container cannot hold is said. What is done is kept "
        "beside the result until that is whole: after an end of any kind the same command goes on."
    )
    flag: dict[str, Any] = {"action": "store_true", "default": argparse.SUPPRESS}
    names = ("overwrite", "fresh", "recursive", "json", "incomplete")
    parser.set_defaults(**dict.fromkeys(names, False))
    known = ", ".join(MUXERS)
    parser.add_argument("sources", type=Path, nargs="+", metavar="IN", help="videos, or folders")
    parser.add_argument(
        "output",
        type=Path,
        metavar="OUT",
        help=f"the file to write ({known}), or a folder for several; those done are skipped",
    )
    parser.add_argument("--overwrite", help="replace OUT if it exists", **flag)
    parser.add_argument("--fresh", help="forget what an earlier run has done", **flag)
    parser.add_argument("--recursive", help="take folders in folders, too", **flag)
    parser.add_argument("--json", help="write events as JSON lines to standard output", **flag)
    parser.add_argument("--incomplete", help="take a source that is not whole", **flag)
    parser.add_argument(
        "--fieldbased",
        choices=("believe", "ignore"),
        default="believe",
        help="ignore: take frames that are marked as interlaced for progressive ones",
    )
    own: dict[str, Any] = {"default": argparse.SUPPRESS}
    parser.add_argument("--track", type=int, help="number of the video among all streams", **own)
    parser.add_argument(
        "--sound-from", type=Path, metavar="FILE", help="take all but the video from there", **own
    )
    network = parser.add_argument_group("network")
    for name, meaning in meanings().items():
        if name not in OWN:
            value = defaults()[name]
            network.add_argument(
                f"--{name}", type=type(value), default=value, help=meaning.replace("`", "")
            )
    network.add_argument(
        "--scenes",
        choices=SCENES,
        default=SCENES[0],
        help=f"start anew at scene changes: {SCENES[0]} finds them, 1 takes those marked by the "
        "decoder, 0 ignores them",
    )
    video = parser.add_argument_group("video")
    video.add_argument("--encoder", choices=ENCODERS, default=ENCODERS[0], help="encoder")
    crf = ", ".join(f"{value:g} for {name}" for name, value in CRF.items())
    presets = ", ".join(f"{value} for {name}" for name, value in PRESETS.items())
    video.add_argument("--crf", type=float, help=f"quality, lower is better ({crf})", **own)
    video.add_argument("--preset", help=f"the encoder's speed ({presets})", **own)
    video.add_argument("--format", choices=FORMATS, default=Encoding().format, help="pixel format")
    video.add_argument(
        "--ffmpeg-args",
        type=shlex.split,
        metavar='"..."',
        help="ffmpeg's options for the video, in place of --encoder, --crf and --preset, "
        'such as --ffmpeg-args="-c:v libvvenc -qp 24"',
        **own,
    )
    work = parser.add_argument_group("work")
    work.add_argument(
        "--workers",
        type=int,
        default=0,
        help="processes that render; 0: one for each GPU, or none besides the command's own",
    )
    work.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help="of a Dask cluster whose workers render instead (extra `cluster`)",
        **own,
    )
    work.add_argument(
        "--chunk", type=int, default=CHUNK, help="least frames that are rendered by themselves"
    )
