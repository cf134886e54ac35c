"""The network as ONNX graphs, and on ONNX Runtime."""
