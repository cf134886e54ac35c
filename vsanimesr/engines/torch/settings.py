"""Settings of the process that a script may have made, and that steps must not depend on.

The precision of 32 bit convolutions is set by `fp32_precision` of the operation alone, the most
particular of torch's settings: its older `allow_tf32` cannot even be read, and so neither can
torch's own `flags` be entered, where a script has used the newer ones.
"""

import contextlib
import threading
from collections.abc import Generator
from typing import Any

import torch

backends: Any = torch.backends  # whose modules are more than their files say
type Setting = tuple[Any, str, object]
"""Where, which, and the value it is to have."""

ONEDNN: tuple[Setting, ...] = (
    (backends.mkldnn, "enabled", True),
    (backends.mkldnn.conv, "fp32_precision", "ieee"),
    (backends.mkldnn.matmul, "fp32_precision", "ieee"),
)


@contextlib.contextmanager
def cudnn(*, tf32: bool) -> Generator[None]:
    """No autotuning, for its choice depends on timing, and only deterministic kernels.

    For the whole process: one at a time.
    """
    with _set(
        (
            (backends.cudnn, "enabled", True),
            (backends.cudnn, "benchmark", False),
            (backends.cudnn, "deterministic", True),
            (backends.cudnn.conv, "fp32_precision", "tf32" if tf32 else "ieee"),
        )
    ):
        yield


class _Onednn:
    """oneDNN at hand and exact, from when the first step comes in until the last has left.

    For the whole process, too, but all want the same, so that none has to wait.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()  # held for some microseconds
        self._inside = 0
        self._held = contextlib.ExitStack()

    def __enter__(self) -> None:
        with self._lock:
            self._inside += 1
            if self._inside == 1:
                self._held.enter_context(_set(ONEDNN))

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                self._held.close()


onednn = _Onednn()
"""Around a step on a CPU."""


@contextlib.contextmanager
def _set(settings: tuple[Setting, ...]) -> Generator[None]:
    """Have these settings inside the context, and what they were after it.

    Those of a whole backend cannot be set where a script has frozen them
    (`torch.backends.disable_global_flags`): they are then as it wants them.
    """
    before = [(where, which, getattr(where, which), value) for where, which, value in settings]
    changed = [
        (where, which, old, new)
        for where, which, old, new in before
        if old != new and not (isinstance(new, bool) and backends.flags_frozen())
    ]
    try:
        for where, which, _, new in changed:
            setattr(where, which, new)
        yield
    finally:
        for where, which, old, _ in changed:
            setattr(where, which, old)
