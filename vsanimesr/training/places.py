"""Where a command computes and where it writes, looked at before it works."""

from pathlib import Path

import torch

from vsanimesr.errors import TrainingError


def device_of(name: str) -> torch.device:
    """The device of an option.

    Args:
        name: `cpu`, `cuda` or `cuda:N`.

    Raises:
        TrainingError: Another name, or no such device.
    """
    kind, colon, number = name.partition(":")
    if kind not in ("cpu", "cuda") or (colon and not (kind == "cuda" and number.isdecimal())):
        raise TrainingError(f"--device {name}, wanted cpu, cuda or cuda:N")
    if kind == "cuda":
        found = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if int(number or 0) >= found:
            raise TrainingError(
                f"--device {name}: torch finds {found} CUDA devices; check the driver, or give "
                "--device cpu"
            )
    return torch.device(name)


def make_folder(path: Path) -> None:
    """Make a folder that results go into.

    Raises:
        TrainingError: It cannot be made, or is a file.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TrainingError(
            f"{path}: no folder that can be written to ({error.strerror}); name another"
        ) from error
