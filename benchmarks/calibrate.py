"""Make the calibrations that ship, `vsanimesr/calibrations/*.json`, from some clips.

    python benchmarks/calibrate.py CLIP [CLIP ...] [--models v1 v2]

The shipped ones: a live2d clip of make_clips.py (models izumi and hibiki, backgrounds `bg uni` and
`bg meadow`), the rest of queen's introduction (from 40 s on, crf 28) and examples/sample.mkv. None
of the clips that docs/performance.md judges int8 by is among them.
"""

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from vsanimesr import calibration, weights
from vsanimesr.encode.calibrate import calibrate
from vsanimesr.models import RELEASES


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the files."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("--models", nargs="+", choices=RELEASES, default=list(RELEASES))
    options = parser.parse_args(arguments)
    calibration.FOLDER.mkdir(exist_ok=True)
    for model in options.models:
        report = partial(print, file=sys.stderr, flush=True)
        found = calibrate(weights.load(model), options.clips, report)
        (calibration.FOLDER / f"{model}.json").write_text(calibration.text(found), "utf-8")


if __name__ == "__main__":
    main()
