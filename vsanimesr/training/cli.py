"""The command `python -m vsanimesr.training`. Only what the chosen part of it needs is loaded.

What is said goes to standard error. Exit status: 0 done, 1 failed, 2 wrong usage, 130 interrupted,
143 terminated.
"""

import argparse
import importlib
import logging
import os
import signal
import sys
import traceback
from collections.abc import Sequence

from vsanimesr.errors import VsAnimeSRError
from vsanimesr.training import leaving

COMMANDS = {
    "dataset": "build a dataset of clips from videos, and look into one",
    "train": "train one stage, or go on with it",
    "rescale": "make the pairs that train a learnable basic operator",
    "evaluate": "measure a model on clips",
    "export": "write a trained model for use",
}
"""What each does. The module NAME/command.py has `add_arguments(parser)` and `run(args)`."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: Words after the command's name; None: those of this process.

    Returns:
        The exit status.
    """
    words = sys.argv[1:] if arguments is None else list(arguments)
    parser = argparse.ArgumentParser(
        prog="python -m vsanimesr.training", description="Train AnimeSR, from videos to a model."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND", dest="command")
    chosen = next((word for word in words if not word.startswith("-")), None)
    for name, does in COMMANDS.items():
        command = commands.add_parser(name, help=does)
        if name == chosen:
            try:
                part = importlib.import_module(f"vsanimesr.training.{name}.command")
            except ModuleNotFoundError as error:
                return _failed(
                    f"{name}: needs {error.name}, which is not installed; "
                    "pip install 'vapoursynth-animesr[training]'"
                )
            part.add_arguments(command)
            command.add_argument(
                "--debug", action="store_true", help="show where an error came from"
            )
            command.set_defaults(call=part.run)
    return _run(parser.parse_args(words))


def _run(args: argparse.Namespace) -> int:
    leads = os.environ.get("RANK", "0") == "0"  # of the processes that torchrun started
    logging.basicConfig(format="%(message)s", stream=sys.stderr)
    logging.getLogger("vsanimesr").setLevel(logging.INFO if leads else logging.WARNING)
    try:
        with leaving.raised():
            return args.call(args) or 0
    except KeyboardInterrupt as error:
        number = error.args[0] if error.args else signal.SIGINT
        return _failed(f"\n{args.command}: interrupted", 128 + number)
    except Exception as error:  # noqa: BLE001 (the last line of defence: one line, not a trace)
        if args.debug:
            traceback.print_exc()
        known = isinstance(error, VsAnimeSRError | OSError)
        text = str(error) if known else f"{type(error).__name__}: {error} (--debug shows where)"
        return _failed(f"{args.command}: {' '.join(text.split())}")


def _failed(text: str, status: int = 1) -> int:
    sys.stderr.write(f"{text}\n")
    return status
