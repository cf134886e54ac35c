"""The words of `vsanimesr compare`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from vsanimesr.compare.wish import CHOICE, COLUMNS, COUNT, PAGE, ROWS, SCALERS, Wish
from vsanimesr.options import defaults, meanings

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

OWN = ("model", "format", "dither")  # arguments of the filter that columns decide here


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command."""
    parser.description = (
        f"Write a folder with {PAGE}, one page that needs nothing else: the same frames of every "
        "column, to switch, slide, blink and subtract, strips over time that show flicker, and a "
        "table of measures; beside it the pictures as PNG, a folder a column."
    )
    parser.add_argument(
        "sources", nargs="+", type=Path, metavar="IN", help="video files or scripts (.vpy)"
    )
    parser.add_argument(
        "--out", type=Path, default=Path("comparison"), metavar="FOLDER", help="where to write"
    )
    parser.add_argument(
        "--columns",
        nargs="+",
        default=COLUMNS,
        metavar="COLUMN",
        help=f"the source enlarged ({', '.join(SCALERS)}, or a scaler of vs-jetpack), v1, v2, a "
        "file of weights, or a script (x.vpy, or x.vpy:1 for its output 1), which finds the "
        "source's path in its variable source; name=COLUMN names it",
    )
    parser.add_argument(
        "--frames", nargs="+", type=int, default=[], metavar="N", help="frames that must be there"
    )
    parser.add_argument(
        "--count",
        type=int,
        default=COUNT,
        help="frames in all: dark, bright, moving, detailed ones and scene starts in turn",
    )
    parser.add_argument("--seed", type=int, default=0, help="another one chooses other frames")
    parser.add_argument(
        "--repeat",
        type=Path,
        metavar=CHOICE,
        help="take the frames of an earlier comparison",
    )
    parser.add_argument("--rows", type=int, default=ROWS, help="strips over time")
    parser.add_argument(
        "--originals",
        nargs="+",
        type=Path,
        default=[],
        metavar="FILE",
        help="of the columns' size, one for each IN: a column of its own, which PSNR, SSIM and "
        "SSIMULACRA2 are measured against",
    )
    parser.add_argument(
        "--niqe",
        action="store_true",
        help="measure NIQE, too, which needs no original, and pyiqa (extras torch and iqa)",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an earlier comparison")
    network = parser.add_argument_group("network", "for v1, v2 and files of weights")
    for name, meaning in meanings().items():
        if name not in OWN:
            value = defaults()[name]
            network.add_argument(
                f"--{name}", type=type(value), default=value, help=meaning.replace("`", "")
            )


def run(
    chosen: argparse.Namespace,
    report: Callable[[str], None],
    progress: Callable[[int, int], None],
) -> Path:
    """Carry out what was parsed.

    Args:
        chosen: The words.
        report: As of `compare`.
        progress: As of `compare`.

    Returns:
        The page.

    Raises:
        CompareError: Something cannot be had.
    """
    from vsanimesr.compare.job import compare

    named: dict[str, Any] = vars(chosen)
    options = {
        name: named[name]
        for name, default in defaults().items()
        if name not in OWN and named[name] != default
    }
    wish = Wish(
        sources=chosen.sources,
        folder=chosen.out,
        columns=chosen.columns,
        frames=chosen.frames,
        count=chosen.count,
        seed=chosen.seed,
        repeat=chosen.repeat,
        rows=chosen.rows,
        originals=chosen.originals,
        niqe=chosen.niqe,
        options=options,
        overwrite=chosen.overwrite,
    )
    return compare(wish, report, progress)
