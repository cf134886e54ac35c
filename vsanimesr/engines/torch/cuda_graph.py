"""One step as a CUDA graph: a hundred kernels launched by one call.

Source: "CUDA Graphs" in torch's documentation. A graph reads and writes fixed memory, so a step's
arguments are copied in and its results copied out; states stay values.
"""

import torch
from torch import Tensor

from vsanimesr.engines.torch.strips import Step

WARMUPS = 3  # torch's documentation: libraries pick kernels and workspaces in the first runs


class GraphedStep:
    """A step captured for one size. Called on one stream at a time, the one it was made on."""

    def __init__(self, step: Step, window: Tensor, image: Tensor, hidden: Tensor) -> None:
        """Capture `step` on the current stream; the arguments show types, shapes and layouts.

        Raises:
            RuntimeError: What CUDA says of a capture that failed.
        """
        self._window, self._image, self._hidden = window.clone(), image.clone(), hidden.clone()
        for _ in range(WARMUPS):
            step(self._window, self._image, self._hidden)
        torch.cuda.current_stream().synchronize()
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(
            self._graph,
            stream=torch.cuda.current_stream(),
            capture_error_mode="thread_local",  # other nodes go on allocating meanwhile
        ):
            self._results = step(self._window, self._image, self._hidden)

    def __call__(self, window: Tensor, image: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """As the step that was captured; the results are new tensors."""
        self._window.copy_(window)
        self._image.copy_(image)
        self._hidden.copy_(hidden)
        self._graph.replay()
        image, hidden = self._results
        return image.clone(), hidden.clone()
