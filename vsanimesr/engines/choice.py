"""What `backend="auto"` takes."""

from vsanimesr.engines.backends import BACKENDS
from vsanimesr.engines.cuda_device import devices


def pick_backend(device: str, precision: str, providers: str) -> str:
    """The fastest backend that is installed and offers these: docs/performance.md.

    torch, then OpenVINO where a CPU will do, then ONNX Runtime, which is also taken when its
    providers are named or WebGPU is. torch when nothing is installed, so that its absence is told.
    """
    if providers or device == "webgpu":
        return "onnx"
    here = [name for name, backend in BACKENDS.items() if backend.installed]
    gpu = device not in ("auto", "cpu") or (device == "auto" and bool(devices()))
    if gpu or precision not in ("auto", "fp32", "bf16"):
        here = [name for name in here if name != "openvino"]
    return next((name for name in ("torch", "openvino", "onnx") if name in here), "torch")
