"""The least time that a step can take here.

The floor of a step is the larger of two times: its arithmetic at the machine's peak, and the
convolutions' inputs and outputs, each moved once, at the bandwidth of the memory. The peak is the
best of a few large matrix products and convolutions in that precision, not a data sheet's.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import prod

from vsanimesr.bench.timing import times, waiting
from vsanimesr.models import parameter_shapes

MB = 2**20
ITEMSIZE = {"fp32": 4, "tf32": 4, "fp16": 2, "bf16": 2}


@dataclass(frozen=True, kw_only=True)
class Peak:
    """What the machine reaches."""

    flops: float
    """Floating point operations a second in the precision; a multiply-add is two."""
    bytes: float
    """Read and written a second in a copy of much memory."""


def work(width: int, height: int) -> tuple[int, int]:
    """Multiply-adds of a step, and values that its convolutions read and write.

    1,127,232 multiply-adds a source pixel; each input and output once.
    """
    products = values = 0
    for name, shape in parameter_shapes().items():
        if not name.endswith(".weight"):
            continue
        shrunk = 16 if "_s4_" in name else 4 if "_s2_" in name else 1  # pixels, of the output
        outputs, inputs = shape[:2]
        strided = name.split(".")[1] in ("conv_s2_first", "conv_s4_first")
        products += prod(shape) * 16 // shrunk
        values += (outputs + inputs * (4 if strided else 1)) * 16 // shrunk
    return products * width * height // 16, values * width * height // 16


def floor(width: int, height: int, precision: str, peak: Peak) -> tuple[float, float]:
    """Seconds that a step takes at the least for its arithmetic, and for its memory."""
    products, values = work(width, height)
    return 2 * products / peak.flops, values * ITEMSIZE[precision] / peak.bytes


def measure_peak(precision: str, device: str, seconds: float) -> Peak:
    """The machine's peak, by torch, in this process.

    Raises:
        ImportError: There is no torch.
        RuntimeError: This device, or torch, has no such precision.
    """
    import torch
    import torch.nn.functional as F

    if precision not in ITEMSIZE or device == "webgpu":
        raise RuntimeError(f"torch has no products in {precision} to compare with")
    dtypes = {"fp16": torch.float16, "bf16": torch.bfloat16}
    dtype = dtypes.get(precision, torch.float32)
    where = torch.device(device)
    gpu = where.type != "cpu"
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision == "tf32"
    wait = waiting(device)
    flops = 0.0
    with torch.inference_mode():
        for n in (1024, 2048, *([8192] if gpu else [])):
            a, b = (torch.rand(n, n, device=where).to(dtype) for _ in range(2))
            flops = max(flops, 2 * n**3 / _best(lambda a=a, b=b: a @ b, wait, seconds / 6, gpu))
        for channels, size in ((64, (180, 320)), (128, (90, 160)), (256, (90, 160))):
            x, kernel = torch.rand(1, channels, *size), torch.rand(channels, channels, 3, 3)
            x, kernel = (
                y.to(where, dtype).contiguous(memory_format=torch.channels_last)
                for y in (x, kernel)
            )
            once = _best(lambda x=x, k=kernel: F.conv2d(x, k, padding=1), wait, seconds / 6, gpu)
            flops = max(flops, 2 * 9 * channels**2 * prod(size) / once)
        source = torch.ones(MB * (1024 if gpu else 256) // 4, device=where)
        target = torch.empty_like(source)
        moved = 2 * source.nbytes / _best(lambda: target.copy_(source), wait, seconds / 3, gpu)
    return Peak(flops=flops, bytes=moved)


def _best(
    call: Callable[[], object], wait: Callable[[], None], seconds: float, many: bool
) -> float:
    def calls(count: int) -> None:
        for _ in range(count):
            call()
        wait()

    calls(1)
    return min(times(calls, seconds, many=many))
