"""The network as ONNX graphs, and on ONNX Runtime."""

import os

# Else onnxruntime 1.32 tells its makers of every session, and leaves a file in TMPDIR.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
