"""Standard streams that can always be written to: no result is lost over a line about it."""

import contextlib
import os
import sys


def usable() -> None:
    """Have closed streams lead nowhere, and what a stream cannot encode escaped.

    The numbers of closed ones are taken, too: else a file that is opened later would get one, and
    what a library prints would be written into it.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            nowhere = os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
            if nowhere != number:
                os.dup2(nowhere, number)
                os.close(nowhere)
        if getattr(sys, name) is None:
            mode = "r" if name == "stdin" else "w"
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115, PTH123
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError):  # a test's own
            stream.reconfigure(errors="backslashreplace")  # pyright: ignore
