"""`rescale`: from a real low-quality video to the pairs that train a learnable basic operator.

Without --factor and --auto it only draws the contact sheet from which a person chooses.
"""

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

import msgspec
from tqdm import tqdm

from vsanimesr import weights
from vsanimesr.errors import TrainingError
from vsanimesr.training import pictures
from vsanimesr.training.networks import stream
from vsanimesr.training.networks.stream import Upscale
from vsanimesr.training.places import device_of, make_folder
from vsanimesr.training.rescale import contact, pairs, strategy
from vsanimesr.training.rescale.artifacts import Statistics

SHEET = "contact.html"
STATISTICS = "statistics.json"
WARM_UP = 4
"""Frames of a probe; see docs/architecture.md for how fast the recurrence settles."""

log = logging.getLogger("vsanimesr")


class Trials(msgspec.Struct, frozen=True, kw_only=True):
    """What `statistics.json` holds."""

    video: str
    frames: int
    bytes: int
    """Of the file, or of all files of the folder."""
    model: str
    """`weights.digest` of the network."""
    resample: str
    factors: list[float]
    probes: int
    patches: int
    statistics: list[Statistics]
    """Best first."""
    native: float
    """Of what part of its size the video was drawn, as its edges say (`resolution.native`)."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `rescale`."""
    add = parser.add_argument
    add("video", type=Path, help="a real low-quality video file, or a folder of its frames")
    add("folder", type=Path, help="where contact.html, lr/, hr/ and rescale.json go")
    add(
        "--model",
        required=True,
        help="the network that enlarges: the paper takes one trained with basic operators only; "
        "a .pth or .safetensors file, v1 or v2",
    )
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument("--factor", type=float, help="the factor chosen from the contact sheet")
    choice.add_argument("--auto", action="store_true", help="choose by the spectrum of its edges")
    add(
        "--factors",
        type=float,
        nargs="+",
        default=list(strategy.FACTORS),
        help="candidates (default: 0.1 to 1.0)",
    )
    add("--probes", type=int, default=4, help="places of the video to look at (default: 4)")
    add("--patches", type=int, default=2, help="patches at each place (default: 2)")
    add("--clips", type=int, default=200, help="clips to make pairs of (default: 200)")
    add("--length", type=int, default=11, help="frames of a clip, the first left out (default: 11)")
    add(
        "--resample",
        choices=list(strategy.RESAMPLE),
        default="lanczos4",
        help="how frames are shrunk: lanczos4 as in the released code (default), or area",
    )
    add("--device", default="cpu", help="cpu (default), cuda or cuda:N")


def run(args: argparse.Namespace) -> None:
    """Run the command.

    Raises:
        TrainingError: An argument, the video or the folder cannot be used.
        WeightsError: The model cannot be loaded.
    """
    for factor in (*args.factors, *([] if args.factor is None else [args.factor])):
        if not 0 < factor <= 1:
            raise TrainingError(f"factor {factor}, wanted above 0 and at most 1")
    for name in ("probes", "patches", "clips", "length"):
        if getattr(args, name) < 1:
            raise TrainingError(f"--{name} {getattr(args, name)}, wanted 1 or more")
    tensors = weights.load(args.model)
    upscale = stream.recurrent(tensors, device_of(args.device))

    make_folder(args.folder)
    counted = tqdm(pictures.read(args.video), unit="frame", desc="count", disable=None)
    shapes = [picture.shape for picture in counted]
    height, width = shapes[0][:2]
    trials = Trials(
        video=args.video.name,
        frames=len(shapes),
        bytes=size(args.video),
        model=weights.digest(tensors),
        resample=args.resample,
        factors=args.factors,
        probes=args.probes,
        patches=args.patches,
        statistics=[],
        native=0,
    )
    before = known(args.folder, trials, any_trials=args.factor is not None)
    ranked, native = (before.statistics, before.native) if before else ([], 0.0)
    if args.factor is None and not (args.auto and ranked):
        ranked, native = draw_sheet(args, len(shapes), upscale)
        save(args.folder, msgspec.structs.replace(trials, statistics=ranked, native=native))
        if not args.auto:
            log.info("look at %s and run again with --factor", args.folder / SHEET)
            return
    if args.factor is None:
        factor, why = ranked[0].factor, reason(ranked, native)
    else:
        factor, why = float(args.factor), "chosen by hand"
    settings = pairs.Settings(
        video=trials.video,
        width=width,
        height=height,
        frames=len(shapes),
        model=trials.model,
        factor=factor,
        resample=args.resample,
        length=args.length,
        clips=pairs.spread(len(shapes), args.clips, args.length),
    )
    record = pairs.Record(settings=settings, why=why, statistics=ranked)
    log.info("factor %s: %s", factor, why)
    total = len(settings.clips) * max(1, args.length - 1)
    with tqdm(total=total, unit="pair", desc="rescale", disable=None) as bar:
        for done in pairs.write(args.folder, args.video, record, upscale):
            bar.update(done - bar.n)


def size(video: Path) -> int:
    """Bytes of a file, or of all files of a folder."""
    files = video.iterdir() if video.is_dir() else [video]
    return sum(file.stat().st_size for file in files)


def draw_sheet(
    args: argparse.Namespace, frames: int, upscale: Upscale
) -> tuple[list[Statistics], float]:
    """Try all factors and write the contact sheet.

    Returns:
        Their statistics, best first, and what they are ranked by (`strategy.compare`).
    """
    length = min(WARM_UP, frames)
    firsts = pairs.spread(frames, args.probes + 2, length)
    firsts = firsts[1:-1] or firsts  # a video's very first and last frames are often black
    probes = [strategy.Probe(*clip) for clip in pairs.clips_of(args.video, firsts, length)]
    trials, ranked, native = strategy.compare(
        tqdm(probes, unit="place", desc="factors", disable=None),
        upscale,
        args.factors,
        patches=args.patches,
        resample=args.resample,
    )
    contact.write(
        args.folder / SHEET,
        trials,
        ranked,
        native=native,
        video=args.video.name,
        model=str(args.model),
    )
    return ranked, native


def save(folder: Path, trials: Trials) -> None:
    """Keep the statistics for later runs."""
    content = msgspec.json.format(msgspec.json.encode(trials), indent=2)
    pictures.write_bytes(folder / STATISTICS, content + b"\n")


def known(folder: Path, wanted: Trials, *, any_trials: bool = False) -> Trials | None:
    """What an earlier run of the same video, model and options found, if there was one."""
    path = folder / STATISTICS
    if not path.is_file():
        return None
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Trials)
    except msgspec.ValidationError:  # of another version
        return None
    except msgspec.DecodeError as error:
        raise TrainingError(f"{path}: damaged ({error}); remove it") from error
    if any_trials:  # whatever was tried, a person has chosen from it
        wanted = msgspec.structs.replace(
            wanted, factors=found.factors, probes=found.probes, patches=found.patches
        )
    return found if msgspec.structs.replace(found, statistics=[], native=0) == wanted else None


def reason(ranked: Sequence[Statistics], native: float) -> str:
    """Why the first one is the choice of `artifacts.rank`."""
    return (
        f"nearest of {len(ranked)} factors to {native:g}, the part of its size that the video was "
        "drawn at by the spectrum of its edges"
    )
