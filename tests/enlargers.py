"""What stands in for the network in encodes; worker processes import it, too."""

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


def nearest(clip, format_id):
    """Four times the size, cheap and exact."""
    return clip.resize.Point(clip.width * 4, clip.height * 4, format=format_id)


@dataclass(frozen=True)
class By:
    """By a function of clip and format."""

    function: Callable[[Any, int], Any] = nearest
    block: int = 12
    device: str = "cpu"
    name: str = "nearest"

    def size(self, clip, format_id):
        return clip.width * 4, clip.height * 4

    def __call__(self, clip, format_id):
        return self.function(clip, format_id)

    def arguments(self):
        return {"upscale": self.name}

    def engine(self):
        return {}


@dataclass(frozen=True)
class Failing(By):
    """A worker's end at one frame, the first `times` times; `flags` is a folder that counts."""

    flags: str = ""
    how: str = "kill"
    at: int = 5
    times: int = 1

    def __call__(self, clip, format_id):
        clip = nearest(clip, format_id)

        def serve(n):
            if n == self.at and len(list(Path(self.flags).iterdir())) < self.times:
                (Path(self.flags) / str(time.monotonic_ns())).touch()
                self._fail()
            return clip

        return clip.std.FrameEval(serve)

    def _fail(self):
        if self.how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        elif self.how == "stop":
            os.kill(os.getpid(), signal.SIGSTOP)
        elif self.how == "memory":
            import resource

            resource.setrlimit(resource.RLIMIT_AS, (1 << 20, 1 << 20))
            bytearray(1 << 30)


@dataclass(frozen=True)
class Different(By):
    """A worker with another engine than the first that asks has."""

    flags: str = ""

    def engine(self):
        try:
            (Path(self.flags) / "first").touch(exist_ok=False)
        except FileExistsError:
            return {"runtime": "torch 9"}
        return {"runtime": "torch 8"}
