"""Feature maps in numpy for engines on a CPU, with channels in groups that lie side by side.

Letters: H, W rows and columns of a map; P channels of a group.
"""

import numpy as np

from vsanimesr.models import SCALE

ALIGNMENT = 64
"""Bytes; the widest vectors are read at multiples of it."""
SINGLE = np.dtype(np.float32)

type Rows = np.ndarray
"""Some rows of a map: (channels / P, rows, columns, P)."""


class Map:
    """Channels (channels, H, W) in a border of zeros: what a 3x3 convolution sees around a frame.

    `bordered` is (channels / P, H + 2, W + 2, P), aligned; `inside` the same without the border.
    """

    def __init__(self, channels: int, rows: int, columns: int, packed: int) -> None:
        """All zeros; `packed` is P."""
        self.bordered = zeros((channels // packed, rows + 2, columns + 2, packed))
        self.inside: Rows = self.bordered[:, 1:-1, 1:-1]

    @property
    def rows(self) -> int:
        """H."""
        return self.inside.shape[1]

    @property
    def nbytes(self) -> int:
        """Memory it takes, with its border."""
        return self.bordered.nbytes


def zeros(shape: tuple[int, ...]) -> np.ndarray:
    """Aligned zeros, float32."""
    count = int(np.prod(shape))
    room = np.zeros(count + ALIGNMENT // SINGLE.itemsize, SINGLE)
    first = -room.ctypes.data % ALIGNMENT // SINGLE.itemsize
    return room[first : first + count].reshape(shape)


def picture(folded: Map) -> np.ndarray:
    """The picture (3, 4 * H, 4 * W) of a folded image."""
    groups, rows, columns, packed = folded.inside.shape
    # A colour's 16 pixels lie in 16 / P groups, each P / 4 rows of four.
    lines = packed // SCALE
    split = folded.inside.reshape(3, groups // 3, rows, columns, lines, SCALE)
    return split.transpose(0, 2, 1, 4, 3, 5).reshape(3, rows * SCALE, columns * SCALE)
