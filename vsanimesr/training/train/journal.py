"""What a run says of itself: a journal of JSON lines, and the same for TensorBoard.

A line of `RUN/journal.jsonl` is an object with `event`. `start` begins a run or goes on with one:
iteration, processes, device and the whole recipe. `step` has the number of iterations done, the
mean of each loss since the line before, the generator's learning rate, seconds, iterations a
second and the share of the time that was spent on waiting for data. `save` names a checkpoint,
`end` ends the stage. After a run was killed, lines of iterations that are done again follow.
"""

import os
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

import msgspec

from vsanimesr.errors import TrainingError

NAME = "journal.jsonl"


class Journal:
    """Appends to the journal of a run; one process of a run has it."""

    def __init__(self, run: Path, *, iteration: int, tensorboard: bool) -> None:
        """Open the journal, or begin it.

        Args:
            run: Folder of the run.
            iteration: How many are done; TensorBoard forgets what it was told of later ones.
            tensorboard: Write for TensorBoard as well, into `RUN/tensorboard`.

        Raises:
            TrainingError: It cannot be written.
        """
        self._path = run / NAME
        self._board: Any = None
        try:
            run.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("a+b")
            if self._file.tell():
                self._file.seek(-1, os.SEEK_END)
                if self._file.read() != b"\n":  # a run was killed at that
                    self._file.write(b"\n")
        except OSError as error:
            raise TrainingError(f"{self._path}: cannot be written ({error.strerror})") from error
        if tensorboard:
            from torch.utils.tensorboard import SummaryWriter

            self._board = SummaryWriter(run / "tensorboard", purge_step=iteration + 1)

    def write(self, event: str, iteration: int, **facts: object) -> None:
        """Append one line. Numbers of a `step` go to TensorBoard as well.

        Raises:
            TrainingError: It cannot be written, as when the disk is full.
        """
        line = {"event": event, "iteration": iteration, "time": round(time.time(), 3), **facts}
        try:
            self._file.write(msgspec.json.encode(line, enc_hook=str) + b"\n")
            self._file.flush()
        except OSError as error:
            raise TrainingError(f"{self._path}: cannot be written ({error.strerror})") from error
        if self._board and event == "step":
            for name, value in facts.items():
                values = cast(dict[str, Any], value if isinstance(value, dict) else {"": value})
                for part, number in values.items():
                    self._board.add_scalar(f"{name}/{part}".rstrip("/"), number, iteration)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()
        if self._board:
            self._board.close()


def read(run: Path) -> list[dict[str, Any]]:
    """The lines of a run's journal in the order they were written, but for those cut short.

    Raises:
        TrainingError: There is none.
    """
    try:
        lines = (run / NAME).read_bytes().splitlines()
    except OSError as error:
        raise TrainingError(f"{run / NAME}: cannot be read ({error.strerror})") from error
    found: list[dict[str, Any]] = []
    for line in lines:
        try:
            found.append(msgspec.json.decode(line))
        except msgspec.DecodeError:
            continue
    return found
