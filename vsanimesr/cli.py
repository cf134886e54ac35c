"""The command `vsanimesr`: the only place that prints, with `encode/cli.py`.

Results go to standard output, everything else to standard error. Exit status: 0 done,
1 failed, 2 wrong usage, 3 some of several files failed, 128 and its number: ended by a signal.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vsanimesr import __version__, standard
from vsanimesr.encode import cli as upscale
from vsanimesr.errors import VsAnimeSRError
from vsanimesr.models import RELEASES
from vsanimesr.options import defaults

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: Words after the command's name; None: those of this process.

    Returns:
        The exit status.
    """
    standard.usable()
    chosen = _parser().parse_args(arguments)
    try:
        return chosen.run(chosen)
    except KeyboardInterrupt:
        print("\nvsanimesr: interrupted", file=sys.stderr)
        return 130
    except Exception as error:  # noqa: BLE001 (the last line of defence: one line, not a trace)
        if chosen.debug:
            traceback.print_exc()
        known = isinstance(error, VsAnimeSRError | OSError)
        text = str(error) if known else f"{type(error).__name__}: {error} (--debug shows where)"
        print(f"vsanimesr: {' '.join(text.split())}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.set_defaults(debug=False)
    common.add_argument(
        "--debug",
        action="store_true",
        default=argparse.SUPPRESS,
        help="show where an error came from",
    )
    parser = argparse.ArgumentParser(
        prog="vsanimesr", description="AnimeSR: restore animation video and enlarge it."
    )
    parser.add_argument("--version", action="version", version=f"vsanimesr {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    add = functools.partial(
        commands.add_parser,
        parents=[common],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    upscale.add(add("upscale", help="enlarge videos"))
    _add_compare(add("compare", help="show ways to enlarge a clip side by side, on one page"))
    _add_weights(add("weights", help="fetch, list or find the network's weights"))
    _add_export(add("export", help="write the network as an ONNX file"))
    _add_bench(add("bench", help="measure how fast this machine upscales"))
    doctor = add("doctor", help="check the installation")
    doctor.set_defaults(run=_doctor)
    return parser


def _add_compare(parser: argparse.ArgumentParser) -> None:
    from vsanimesr.compare.command import add_arguments

    add_arguments(parser)
    parser.set_defaults(run=_compare)


def _compare(chosen: argparse.Namespace) -> int:
    from vsanimesr.compare.command import run
    from vsanimesr.encode.common.progress import Progress
    from vsanimesr.encode.display import Text

    display = Text(sys.stdout, sys.stderr)

    def move(done: int, total: int) -> None:
        display.move(Progress(stage="compare", done=done, total=total, rate=0.0))

    with upscale.terminable(), contextlib.closing(display):
        print(run(chosen, display.say, move))
    return 0


def _add_weights(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    fetch = actions.add_parser("fetch", help="fetch weights into the user's cache")
    fetch.add_argument(
        "names", nargs="*", default=["all"], metavar="NAME", help=f"{', '.join(RELEASES)} or all"
    )
    fetch.set_defaults(run=_fetch)
    actions.add_parser("list", help="list all weights and where they are").set_defaults(run=_list)
    path = actions.add_parser("path", help="print the file of one")
    path.add_argument("name", metavar="NAME", help=f"{', '.join(RELEASES)}, or a file")
    path.set_defaults(run=_path)


def _fetch(chosen: argparse.Namespace) -> int:
    from vsanimesr import weights

    say: Callable[[str], None] = functools.partial(print, file=sys.stderr)
    names = list(RELEASES) if "all" in chosen.names else chosen.names
    for name in names:
        print(weights.fetch(name, log=say))
    return 0


def _list(_: argparse.Namespace) -> int:
    from vsanimesr import weights

    for release, path in weights.listing():
        where = path or f"not here; vsanimesr weights fetch {release.name}"
        print(f"{release.name}  {release.bytes / 1e6:.1f} MB  {release.licence}  {where}")
    return 0


def _path(chosen: argparse.Namespace) -> int:
    from vsanimesr import weights

    print(weights.locate(chosen.name))
    return 0


def _add_export(parser: argparse.ArgumentParser) -> None:
    parser.description = "Write one step of the network, weights included, as an ONNX file."
    parser.add_argument("output", type=Path, metavar="OUT", help="the file to write (.onnx)")
    known = ", ".join(RELEASES)
    parser.add_argument(
        "--model", default=defaults()["model"], help=f"{known}, or a .pth or .safetensors file"
    )
    parser.add_argument(
        "--precision", choices=("fp32", "fp16"), default="fp32", help="of everything in the file"
    )
    parser.set_defaults(run=_export)


def _export(chosen: argparse.Namespace) -> int:
    from vsanimesr import weights
    from vsanimesr.engines.onnx.export import export

    tensors = weights.load(chosen.model, log=functools.partial(print, file=sys.stderr))
    release = RELEASES.get(chosen.model)
    about = {"title": release.title if release else Path(chosen.model).stem}
    if release:
        about["licence"] = release.licence
    export(chosen.output, tensors, precision=chosen.precision, about=about)
    print(chosen.output)
    return 0


def _add_bench(parser: argparse.ArgumentParser) -> None:
    from vsanimesr.bench_choices import BACKENDS, FORMATS, PRECISIONS, SECONDS, SIZES

    parser.description = (
        "Measure a step of every engine and whole frames through the filter, and the machine's own "
        "peak; print a table in Markdown. For figures to keep, let nothing else run."
    )
    known = [name for names in PRECISIONS.values() for name in names]
    several: dict[str, Any] = {"nargs": "+", "metavar": "NAME"}
    parser.add_argument("--backends", choices=BACKENDS, default=BACKENDS, help="which", **several)
    parser.add_argument(
        "--precisions", choices=sorted(set(known)), default=(), help="none named: all", **several
    )
    parser.add_argument("--sizes", default=SIZES, help="of source frames", **several)
    parser.add_argument("--formats", default=FORMATS, help="of the clip, as VapourSynth", **several)
    for name in ("device", "model"):
        parser.add_argument(f"--{name}", default=defaults()[name], help="as of the filter")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="spent on each figure")
    parser.add_argument(
        "--quick",
        action="store_true",
        help="only say, in under a minute, which backend is the fastest here",
    )
    parser.set_defaults(run=_bench)


def _bench(chosen: argparse.Namespace) -> int:
    from vsanimesr.bench import quick, table

    say = functools.partial(print, file=sys.stderr)
    if chosen.quick:
        for line in quick.run(device=chosen.device, report=say):
            print(line, flush=True)
        return 0
    names = ("backends", "precisions", "sizes", "formats", "device", "model", "seconds")
    options = {name: getattr(chosen, name) for name in names}
    for line in table.run(**options, report=say):
        print(line, flush=True)
    return 0


def _doctor(_: argparse.Namespace) -> int:
    from vsanimesr.doctor import checks

    found = checks()
    colours = {"ok": "32", "warn": "33", "fail": "31"}
    width = max(len(check.name) for check in found)
    for check in found:
        state = f"{check.state:<4}"
        if sys.stdout.isatty():
            state = f"\033[{colours[check.state]}m{state}\033[0m"
        print(f"{state}  {check.name:<{width}}  {check.found}")
        for line in (check.why, check.advice):
            if line:
                print(f"{'':{width + 6}}  {line}")
    failed = sum(check.state == "fail" for check in found)
    print(f"{failed} of {len(found)} checks failed" if failed else "ready")
    return 1 if failed else 0
