"""Memory that runs out, in whatever words a runtime says it."""

import contextlib
from collections.abc import Generator

from vsanimesr.errors import EngineError

WORDS = (
    "allocate memory",
    "out of memory",
    "bad_alloc",
    "bad allocation",
    "alloc_failed",
    "smaller than requested",
    "could not create a memory object",
)
"""Of ONNX Runtime, CUDA, cuBLAS, cuDNN, OpenVINO and oneDNN, in lower case."""


@contextlib.contextmanager
def advising(advice: str) -> Generator[None]:
    """An error for want of memory becomes an `EngineError` with this text; others stay."""
    try:
        yield
    except Exception as error:
        if not of_memory(error):
            raise
        raise EngineError(advice) from error


def of_memory(error: Exception) -> bool:
    """Whether an error is for want of memory."""
    said = str(error).lower()
    return isinstance(error, MemoryError) or any(words in said for words in WORDS)
