"""Every error this package raises on purpose.

A message says who refuses, what was given, what is wanted and what to do about it.
"""

LINE = 1000
"""Characters of a message that quotes a file."""


def brief(text: object, limit: int = 80) -> str:
    """What a file or a library says, as it may stand in a message: short, and printable.

    Args:
        text: Anything; its `str` is taken.
        limit: Characters at which it is cut.
    """
    said = str(text)
    shown = (c if c.isprintable() else ascii(c)[1:-1] for c in said[:limit])
    return "".join(shown) + ("…" if len(said) > limit else "")


class VsAnimeSRError(Exception):
    """Base of all errors of this package."""


class OptionError(VsAnimeSRError, ValueError):
    """An argument or a clip that cannot be used."""


class WeightsError(VsAnimeSRError):
    """A weights file that is missing, damaged, unsafe or made for another network.

    Its message is one printable line, whatever the file says of itself.
    """

    def __init__(self, message: str) -> None:
        super().__init__(brief(message, LINE))


class EngineError(VsAnimeSRError, RuntimeError):
    """A runtime or a device that cannot do what was asked."""


class DeviceLostError(EngineError):
    """A device that is gone, with all that was kept on it."""


class EncodeError(VsAnimeSRError, RuntimeError):
    """A video file that could not be read, encoded or written."""


class CompareError(VsAnimeSRError, RuntimeError):
    """A comparison whose clips, columns or frames cannot be had."""


class TrainingError(VsAnimeSRError, RuntimeError):
    """A recipe, a dataset or a run of the trainer that cannot go on."""
