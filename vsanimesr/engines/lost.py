"""Devices that go away in the middle of a clip, in whatever words a runtime says it."""

import contextlib
from collections.abc import Generator

from vsanimesr.errors import DeviceLostError

COMES_BACK = ("device] is lost", "device lost", "device_lost", "device_removed", "device_hung")
"""Of Dawn, Vulkan and Direct3D, in lower case: whoever lets go of the device gets a new one."""
GONE = (
    "illegal memory access",
    "the launch timed out and was terminated",
    "unspecified launch failure",
    "uncorrectable ecc error",
    "hardware stack error",
    "misaligned address",
    "invalid program counter",
)
"""Of CUDA (Runtime API, "Error types": errors after which the process must be ended and started
again), in lower case."""


def lost(error: Exception) -> bool:
    """Whether an error says that a device was lost that can be had back."""
    return any(words in str(error).lower() for words in COMES_BACK)


@contextlib.contextmanager
def reporting_loss() -> Generator[None]:
    """The loss of a device becomes a `DeviceLostError` that says what comes of it; others stay."""
    try:
        yield
    except DeviceLostError:
        raise
    except Exception as error:
        said = " ".join(str(error).split())
        if lost(error):
            what = (
                "the next frame starts anew on it; if this comes again, update the GPU's driver, "
                "close other programs that use it, or use device='cpu'"
            )
        elif any(words in said.lower() for words in GONE):
            what = (
                "CUDA gives it back to no process that has lost it: start this one again; if this "
                "comes again, update the driver, look for a fault of the card, or use device='cpu'"
            )
        else:
            raise
        # Its trace would keep what lies on the device, and so the device, which must be let go.
        cause = error.with_traceback(None)
        raise DeviceLostError(f"the device was lost ({said}): {what}") from cause
