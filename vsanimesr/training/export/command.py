"""`export`: from a run or a checkpoint to weights that the filter takes."""

import argparse
import logging
from pathlib import Path

from vsanimesr import weights
from vsanimesr.training.export.write import export

log = logging.getLogger("vsanimesr")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `export`."""
    add = parser.add_argument
    add("source", type=Path, help="a run (its newest checkpoint), a checkpoint, or a .pth file")
    add("target", type=Path, help="the .safetensors file to write")
    add("--raw", action="store_true", help="the trained weights, not their running average")
    add("--title", help="name of the weights (default: that of the file)")
    add("--onnx", type=Path, help="also write the network's step as this .onnx file")
    add(
        "--precision",
        choices=("fp32", "fp16"),
        default="fp32",
        help="of the .onnx file: fp32 (default) or fp16",
    )


def run(args: argparse.Namespace) -> None:
    """Run the command.

    Raises:
        TrainingError: The source or the target cannot be used.
        WeightsError: The weights cannot be.
        EngineError: The .onnx file cannot be made.
    """
    facts = export(args.source, args.target, raw=args.raw, title=args.title)
    log.info("%s: %s weights, %s", args.target, facts["kind"], facts["weights"])
    if args.onnx is not None:
        from vsanimesr.engines.onnx.export import export as export_onnx

        tensors = weights.load(str(args.target))
        export_onnx(args.onnx, tensors, precision=args.precision, about=facts)
        log.info("%s: %s", args.onnx, args.precision)
