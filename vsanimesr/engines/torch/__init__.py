"""The network on PyTorch."""

import os

# Read when torch is loaded: threads that wait sleep, where they would spin and take their time from
# decoders and encoders. Several times as fast beside them (docs/performance.md).
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
