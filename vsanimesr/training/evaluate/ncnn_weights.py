"""Reads a small network of the RealSR family from ncnn's files into torch's names.

Only what Real-ESRGAN's SRVGGNetCompact is made of: convolutions and PReLUs in a row. The formats
are those of ncnn's wiki, "param and model file structure": a text file of one layer a line, and the
layers' numbers one after the other.
"""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vsanimesr.errors import WeightsError

MAGIC = 7767517
"""First line of a param file."""
STORED = {0: "<f4", 0x01306B47: "<f2"}
"""Number format of the weights by the flag before them."""


def read_compact(param: Path, numbers: Path) -> dict[str, Tensor]:
    """The float32 state dict of an SRVGGNetCompact, `body.0.weight` and so on.

    Args:
        param: The text file of the layers.
        numbers: The binary file of their weights.

    Raises:
        WeightsError: Damaged, or another kind of network.
    """
    lines = param.read_text().splitlines()
    if not lines or lines[0].strip() != str(MAGIC):
        raise WeightsError(f"{param}: no param file of ncnn in text form")
    data = numbers.read_bytes()
    at = 0

    def take(count: int, kind: str) -> Tensor:
        nonlocal at
        size = count * np.dtype(kind).itemsize
        if at + size > len(data):
            raise WeightsError(f"{numbers}: too short for {param.name}; get both again")
        values = np.frombuffer(data, kind, count, at)
        at += size + -size % 4  # each array begins at a multiple of four bytes
        return torch.from_numpy(values.astype(np.float32))

    state: dict[str, Tensor] = {}
    index = 0
    for line in lines[2:]:
        kind, _, inputs, outputs, *rest = line.split()
        pairs = (word.split("=") for word in rest[int(inputs) + int(outputs) :])
        options = {int(key): float(value) for key, value in pairs}
        if kind == "Convolution":
            channels, kernel, count = (int(options[key]) for key in (0, 1, 6))
            if not options.get(5) or options.get(4) != kernel // 2:
                raise WeightsError(
                    f"{param}: not an SRVGGNetCompact (a convolution of its own kind)"
                )
            flag = int.from_bytes(data[at : at + 4], "little")
            at += 4
            if flag not in STORED:
                raise WeightsError(f"{numbers}: weights stored as {flag:#x}, wanted floats")
            weight = take(count, STORED[flag])
            state[f"body.{index}.weight"] = weight.reshape(channels, -1, kernel, kernel)
            state[f"body.{index}.bias"] = take(channels, "<f4")
            index += 1
        elif kind == "PReLU":
            state[f"body.{index}.weight"] = take(int(options[0]), "<f4")
            index += 1
        elif kind not in ("Input", "Split", "PixelShuffle", "Interp", "BinaryOp"):
            raise WeightsError(f"{param}: not an SRVGGNetCompact (it has a layer {kind})")
    if at != len(data):
        raise WeightsError(f"{numbers}: longer than {param.name} says; get both again")
    return state
