"""`evaluate`: networks side by side on clips, with or without originals."""

import argparse
import logging
from pathlib import Path
from typing import get_args

import msgspec
import torch
from tqdm import tqdm

from vsanimesr.errors import TrainingError
from vsanimesr.training.evaluate import agreement, compare, peers, report
from vsanimesr.training.evaluate.compare import Clip
from vsanimesr.training.evaluate.peers import Peer
from vsanimesr.training.measures import table
from vsanimesr.training.places import device_of, make_folder

log = logging.getLogger("vsanimesr")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `evaluate`."""
    add = parser.add_argument
    add("clips", type=Path, nargs="+", help="low-resolution videos, or folders of frames")
    add("--originals", type=Path, nargs="+", help="as many of four times the size, in this order")
    add(
        "--networks",
        nargs="+",
        default=["bicubic", peers.PEER, "v1", "v2"],
        help="v1, v2, bicubic, realesr-animevideov3, or files: weights of AnimeSR, RealBasicVSR, "
        "or any x4 single-image network that spandrel knows (default: the four names)",
    )
    add(
        "--costs",
        nargs="+",
        default=[],
        choices=peers.UNTRAINED,
        metavar="NAME",
        help=f"networks to add with random weights, for parameters, operations and time only: "
        f"{', '.join(peers.UNTRAINED)}",
    )
    add("--out", type=Path, required=True, help="folder of report.md, report.json and the plots")
    add(
        "--measures",
        nargs="+",
        default=table.NAMES,
        choices=table.NAMES,
        metavar="NAME",
        help=f"what to measure (default: all): {', '.join(table.NAMES)}",
    )
    add(
        "--protocol",
        choices=get_args(compare.Protocol.__value__),
        default="all",
        help="pictures to judge without an original: all (default), or as the paper one of ten",
    )
    add("--timing", default="640x480", help="source size of GMAC and time (default: 640x480)")
    add(
        "--timing-frames",
        type=int,
        default=5,
        help="frames to time; for RealBasicVSR the length of the clip to time (default: 5)",
    )
    add("--device", default="cpu", help="cpu (default), cuda or cuda:N")


def run(args: argparse.Namespace) -> None:
    """Run the command.

    Raises:
        TrainingError: An argument or a clip cannot be used.
        WeightsError: A network cannot be loaded.
    """
    originals = args.originals or [None] * len(args.clips)
    if len(originals) != len(args.clips):
        raise TrainingError(
            f"{len(originals)} originals for {len(args.clips)} clips, wanted one for each"
        )
    width, _, height = args.timing.partition("x")
    if not (width.isdecimal() and height.isdecimal() and int(width) > 0 and int(height) > 0):
        raise TrainingError(f"--timing {args.timing}, wanted such as 640x480")
    if args.timing_frames < 1:
        raise TrainingError(f"--timing-frames {args.timing_frames}, wanted 1 or more")
    device = device_of(args.device)
    make_folder(args.out)
    unique = len({lr.stem for lr in args.clips}) == len(args.clips)
    clips = [
        Clip(name=lr.stem if unique else str(lr), lr=lr, gt=gt)
        for lr, gt in zip(args.clips, originals, strict=True)
    ]
    networks = [peers.load(spec, device) for spec in args.networks]
    networks += [peers.untrained(name, device) for name in args.costs]
    panel = table.panel(args.measures, device)
    columns = compare.columns(args.measures, panel, args.originals is not None)

    results: list[compare.Result] = []
    for peer in tqdm(networks, unit="network", desc="evaluate", disable=None):
        shown = clips if peer.trained else []
        series = {
            clip.name: compare.measure(peer, clip, args.measures, panel, args.protocol)
            for clip in shown
        }
        results.append(
            compare.Result(
                name=peer.name,
                parameters=peer.parameters,
                gmacs=peer.macs(int(width), int(height)) / 1e9,
                milliseconds=peers.milliseconds(peer, int(width), int(height), args.timing_frames),
                series=series,
                means=compare.summary([*series.values()], [column.key for column in columns]),
                note=_note(peer, args.timing_frames),
            )
        )
    columns = [_explained(column, results, args.protocol) for column in columns]
    report.write(
        args.out,
        report.Report(
            clips=[clip.name for clip in clips],
            protocol=args.protocol,
            width=int(width),
            height=int(height),
            device=_device(device),
            columns=columns,
            results=results,
            agreement=agreement.between(columns, [result.series for result in results]),
        ),
    )
    log.info("report: %s", args.out / "report.md")


def _note(peer: Peer, frames: int) -> str:
    notes: list[str] = []
    if not peer.trained:
        notes.append("random weights: cost only")
    if peer.whole:
        notes.append(
            "runs through the clip in both directions: GMAC of a frame within a clip, time of a "
            f"clip of {frames} frames divided by their number"
        )
    return "; ".join(notes)


def _explained(
    column: compare.Column, results: list[compare.Result], protocol: compare.Protocol
) -> compare.Column:
    """With the reason why no frame of any clip was measured, where that is so."""
    if column.missing or any(result.means.get(column.key) is not None for result in results):
        return column
    needs = next(one.needs for one in table.MEASURES if one.key == column.key)
    short = "no frame could be judged"
    if column.key == "warping":
        short = "no clip has two frames"
    elif needs.startswith("film"):
        short = "nothing is held from one frame to the next"
    elif needs == "picture" and protocol == "paper":
        short = "no clip has a tenth frame (--protocol all judges every one)"
    return msgspec.structs.replace(column, missing=short)


def _device(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"the CPU, {torch.get_num_threads()} threads"
