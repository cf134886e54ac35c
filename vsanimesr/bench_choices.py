"""What `vsanimesr bench` measures unless it is told otherwise; loads nothing."""

BACKENDS = ("torch", "onnx", "openvino", "ncnn", "native")
FORMATS = ("YUV420P8", "YUV420P10", "RGBS")
PRECISIONS = {
    "cpu": ("fp32", "bf16"),
    "cuda": ("fp32", "tf32", "fp16", "bf16"),
    "webgpu": ("fp32", "fp16"),
    "mps": ("fp32", "fp16"),
    "xpu": ("fp32", "fp16", "bf16"),
}
"""What is tried; what an engine has not is said below the table."""
SIZES = ("320x180", "640x360")
SECONDS = 3.0
