"""Every error this package raises on purpose.

A message says who refuses, what was given, what is wanted and what to do about it.
"""


class VsAnimeSRError(Exception):
    """Base of all errors of this package."""


class OptionError(VsAnimeSRError, ValueError):
    """An argument or a clip that cannot be used."""


class WeightsError(VsAnimeSRError):
    """A weights file that is missing, damaged, unsafe or made for another network."""


class EngineError(VsAnimeSRError, RuntimeError):
    """A runtime or a device that cannot do what was asked."""


class DeviceLostError(EngineError):
    """A device that is gone, with all that was kept on it."""


class EncodeError(VsAnimeSRError, RuntimeError):
    """A video file that could not be read, encoded or written."""


class TrainingError(VsAnimeSRError, RuntimeError):
    """A recipe, a dataset or a run of the trainer that cannot go on."""
