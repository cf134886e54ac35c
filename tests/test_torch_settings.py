"""What a script has set in torch for itself: the engine gives the same bytes, and leaves it so."""

import contextlib
import itertools

import numpy as np
import pytest
import torch

from vsanimesr import engines
from vsanimesr.colour import FULL_RGB, Colour, Family, Format, Matrix
from vsanimesr.engines.torch import engine as engine_module
from vsanimesr.engines.torch import settings

BACKENDS = torch.backends
OPERATIONS = (
    *(BACKENDS, BACKENDS.mkldnn, BACKENDS.mkldnn.conv, BACKENDS.mkldnn.matmul),
    *(BACKENDS.cudnn, BACKENDS.cudnn.conv, BACKENDS.cudnn.rnn),
)
"""What has an `fp32_precision`, the more particular after the more general."""


def dtype_of(dtype):
    return lambda: torch.set_default_dtype(dtype)


def precision_of(where, value):
    def call():
        where.fp32_precision = value

    return call


def autocast_to(dtype):
    def call():
        torch.set_autocast_enabled("cpu", True)
        torch.set_autocast_dtype("cpu", dtype)

    return call


def disabled(where):
    def call():
        where.enabled = False

    return call


SETTINGS = {
    "default dtype float64": dtype_of(torch.float64),
    "default dtype float16": dtype_of(torch.float16),
    "default dtype bfloat16": dtype_of(torch.bfloat16),
    "default device meta": lambda: torch.set_default_device("meta"),
    "deterministic algorithms": lambda: torch.use_deterministic_algorithms(True),
    "no gradients": lambda: torch.set_grad_enabled(False),
    "anomalies": lambda: torch.autograd.set_detect_anomaly(True),
    "matmul precision medium": lambda: torch.set_float32_matmul_precision("medium"),
    "matmul precision high": lambda: torch.set_float32_matmul_precision("high"),
    "all in bf16": precision_of(BACKENDS, "bf16"),
    "oneDNN in bf16": precision_of(BACKENDS.mkldnn, "bf16"),
    "convolutions in bf16": precision_of(BACKENDS.mkldnn.conv, "bf16"),
    "products in bf16": precision_of(BACKENDS.mkldnn.matmul, "bf16"),
    "no oneDNN": disabled(BACKENDS.mkldnn),
    "no cuDNN": disabled(BACKENDS.cudnn),
    "cuDNN's convolutions exact": precision_of(BACKENDS.cudnn.conv, "ieee"),
    "denormals flushed": lambda: torch.set_flush_denormal(True),
    "one thread": lambda: torch.set_num_threads(1),
    "seven threads": lambda: torch.set_num_threads(7),
    "autocast to float16": autocast_to(torch.float16),
    "autocast to bfloat16": autocast_to(torch.bfloat16),
    "a seed": lambda: torch.manual_seed(3),
    "nondeterminism an error": lambda: torch.set_deterministic_debug_mode("error"),
    "parameters overwritten": lambda: torch.__future__.set_overwrite_module_params_on_conversion(
        True
    ),
    "parameters swapped": lambda: torch.__future__.set_swap_module_params_on_conversion(True),
    "numpy's errors raised": lambda: np.seterr(all="raise"),
}
"""What a script may have set for itself, in torch's own words."""


def stated():
    """What torch says of its settings, as far as it says."""
    return (
        [operation.fp32_precision for operation in OPERATIONS],
        (BACKENDS.mkldnn.enabled, BACKENDS.cudnn.enabled, BACKENDS.cudnn.deterministic),
        (BACKENDS.cudnn.benchmark, torch.get_default_dtype(), torch.get_default_device()),
        (torch.is_grad_enabled(), torch.is_inference_mode_enabled(), torch.get_num_threads()),
        (torch.is_autocast_enabled("cpu"), torch.get_autocast_dtype("cpu")),
    )


@contextlib.contextmanager
def put_back():
    """All of these as they were, after a test or a part of it."""
    precisions = [operation.fp32_precision for operation in OPERATIONS]
    threads, matmul = torch.get_num_threads(), torch.get_float32_matmul_precision()
    errors = np.geterr()
    try:
        yield
    finally:
        np.seterr(**errors)
        torch.__future__.set_overwrite_module_params_on_conversion(False)
        torch.__future__.set_swap_module_params_on_conversion(False)
        torch.set_default_dtype(torch.float32)
        torch.set_default_device(None)
        torch.use_deterministic_algorithms(False)
        torch.set_grad_enabled(True)
        torch.autograd.set_detect_anomaly(False)
        torch.set_float32_matmul_precision(matmul)
        for operation, precision in zip(OPERATIONS, precisions, strict=True):
            operation.fp32_precision = precision
        BACKENDS.mkldnn.enabled = BACKENDS.cudnn.enabled = True
        torch.set_flush_denormal(False)
        torch.set_num_threads(threads)
        torch.set_autocast_enabled("cpu", False)
        torch.set_autocast_dtype("cpu", torch.bfloat16)


def rendered(weights, precision):
    """The state after two steps, and the bytes of its picture."""
    of = Format(Family.YUV, 8, sub_w=1, sub_h=1)
    setup = engines.Setup(width=18, height=13, device="cpu", precision=precision, target=of)
    engine = engines.load("torch", weights, setup, strips=2)
    random = np.random.default_rng(0)
    sources = [
        engine.upload(list(random.random((3, 13, 18), np.float32)), FULL_RGB) for _ in range(3)
    ]
    state = engine.step(*sources, engine.step(*sources, None))
    planes = [np.empty(shape, np.uint8) for shape in ((52, 72), (26, 36), (26, 36))]
    engine.write(state, planes, Colour(Matrix.BT709, full=False))
    made = state.image.float().numpy().tobytes(), [plane.tobytes() for plane in planes]
    engine.close()
    return made


@pytest.mark.parametrize("path", ["fused", "plain"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_no_setting_changes_a_byte(fixed_weights, monkeypatch, path, precision):
    """Made and run under each; `plain` is the way of `compile=1`, and where oneDNN is missing."""
    if path == "plain":
        monkeypatch.setattr(engine_module, "fits", lambda _: False)
    expected = rendered(fixed_weights, precision)
    differ = {}
    for name, change in SETTINGS.items():
        with put_back():
            change()
            before = stated()
            try:
                if rendered(fixed_weights, precision) != expected:
                    differ[name] = "other bytes"
            except Exception as error:  # noqa: BLE001 - told with its setting
                differ[name] = repr(error)
            if stated() != before:
                differ[name] = f"{before} became {stated()}"
    assert differ == {}


def test_precision_of_convolutions_whatever_is_set():
    """For a GPU, too, though there is none: torch's own `flags` cannot be entered in most cases."""
    for values in itertools.product(("none", "ieee", "tf32"), repeat=len(OPERATIONS)):
        with put_back():
            for operation, value in zip(OPERATIONS, values, strict=True):
                operation.fp32_precision = value
            before = stated()
            for tf32 in (False, True):
                with settings.cudnn(tf32=tf32):
                    assert BACKENDS.cudnn.conv.fp32_precision == ("tf32" if tf32 else "ieee")
                    assert (BACKENDS.cudnn.benchmark, BACKENDS.cudnn.deterministic) == (False, True)
                with settings.onednn, settings.onednn:
                    assert BACKENDS.mkldnn.conv.fp32_precision == "ieee"
                    assert BACKENDS.mkldnn.matmul.fp32_precision == "ieee"
            assert stated() == before
