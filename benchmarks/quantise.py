"""Does int8 pay? Static quantisation of the step, calibrated on some clips and judged on others.

    python benchmarks/quantise.py --calibrate CLIP [CLIP ...] --judge CLIP [CLIP ...]
                                  [--frames 24] [--size 320x180] [--rounds 7] [--out out/quantise]

The graph of a step without its last addition (`onnx.graph.residual_graph`) is quantised: every
convolution, or all but those that read the step's arguments and make its results; activations
by their range over the calibration clips, weights by output channel. ONNX Runtime and OpenVINO run
the same file; OpenVINO also one made by its own tool, if `nncf` is installed.

Judged as a recurrence: each candidate feeds itself for all frames, PSNR over all of them and of the
last, to float32. Speed: milliseconds a step on noise, in turn with the engines of this package.
It is kept if it is 1.5 times as fast as the fastest float engine, at 45 dB or more.
"""

import argparse
import contextlib
import datetime
import itertools
import logging
import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import openvino as ov
from blocks import read
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

from vsanimesr import weights
from vsanimesr.colour import FULL_RGB
from vsanimesr.engines import Setup
from vsanimesr.engines.onnx.graph import addition_graph, residual_graph
from vsanimesr.engines.openvino import OpenVinoEngine
from vsanimesr.engines.torch.engine import TorchEngine

INPUTS: tuple[str, ...] = ("previous", "current", "following", "image_in", "hidden_in")
SAMPLES = 12
"""Steps looked at for calibration, of each clip."""

CROP = (96, 160)
"""Rows and columns of the clips that are looked at: eight hundred float32 steps take their time."""

type Arrays = dict[str, np.ndarray]
type Residual = Callable[[Arrays], tuple[np.ndarray, np.ndarray]]
"""Runs the graph: from a step's arguments to the residual image and the next hidden state."""


def cropped(path: Path, count: int) -> list[np.ndarray]:
    """The first scene's frames (1, 3, h, w), or `count` of them: the middle, at most `CROP`."""
    frames, cuts = read(path)
    stop = next((t for t in range(1, count) if cuts.starts(t)), count)
    height, width = (
        min(n - n % 4, most) for n, most in zip(frames[0].shape[1:], CROP, strict=True)
    )
    top, left = (frames[0].shape[1] - height) // 2, (frames[0].shape[2] - width) // 2
    rows, columns = slice(top, top + height), slice(left, left + width)
    return [np.ascontiguousarray(frame[None, :, rows, columns]) for frame in frames[:stop]]


def steps(frames: Sequence[np.ndarray], residual: Residual) -> Iterator[tuple[Arrays, np.ndarray]]:
    """The recurrence over a clip: each step's arguments, and the image it made."""
    add = runner_ort(addition_graph().SerializeToString())
    height, width = frames[0].shape[2:]
    image, hidden = (np.zeros((1, n, height, width), np.float32) for n in (48, 64))
    for t, current in enumerate(frames):
        previous, following = frames[max(t - 1, 0)], frames[min(t + 1, len(frames) - 1)]
        arguments = dict(zip(INPUTS, (previous, current, following, image, hidden), strict=True))
        difference, hidden = residual(arguments)
        (image,) = add({"residual": difference, "current": current})
        yield arguments, image


def runner_ort(graph: bytes | str) -> Any:  # noqa: ANN401
    """ONNX Runtime on the CPU."""
    session = ort.InferenceSession(graph, providers=["CPUExecutionProvider"])

    def run(feeds: Arrays) -> Any:  # noqa: ANN401
        return session.run(None, feeds)

    return run


def runner_ov(model: Any, shape: tuple[int, int], precision: str) -> Any:  # noqa: ANN401
    """OpenVINO on the CPU; what is not quantised runs in `precision`."""
    core = ov.Core()
    loaded = core.read_model(model) if isinstance(model, str) else model.clone()
    channels = dict(zip(INPUTS, (3, 3, 3, 48, 64), strict=True))
    loaded.reshape({name: [1, count, *shape] for name, count in channels.items()})
    request = core.compile_model(
        loaded, "CPU", {"INFERENCE_PRECISION_HINT": precision}
    ).create_infer_request()

    def run(feeds: Arrays) -> list[np.ndarray]:
        found = request.infer(feeds)
        return [np.array(found[i]) for i in range(2)]

    return run


class Samples(CalibrationDataReader):
    """Arguments of steps, one by one."""

    def __init__(self, found: Sequence[Arrays]) -> None:
        self._rest = iter(found)

    def get_next(self) -> Any:  # noqa: ANN401
        """The next, or None."""
        return next(self._rest, None)


def quantise(
    source: Path, target: Path, found: Sequence[Arrays], method: CalibrationMethod, *, ends: bool
) -> None:
    """Write an int8 graph. `ends`: the first convolution and the last one, too."""
    convolutions = [node.name for node in onnx.load(source).graph.node if node.op_type == "Conv"]
    excluded = [] if ends else [convolutions[0], convolutions[-1]]
    quantize_static(
        source,
        target,
        Samples(found),
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=["Conv"],
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        nodes_to_exclude=excluded,
        calibrate_method=method,
        extra_options={"CalibMovingAverage": False, "CalibPercentile": 99.99},
    )


def variants(folder: Path, found: Sequence[Arrays]) -> dict[str, Any]:
    """Quantised models by name: a path, or a model of OpenVINO."""
    folder.mkdir(parents=True, exist_ok=True)
    plain, source = folder / "plain.onnx", folder / "prepared.onnx"
    model = residual_graph(weights.load("v2"))
    for number, node in enumerate(model.graph.node):
        node.name = node.name or f"{node.op_type}_{number}"
    onnx.save(model, plain)
    quant_pre_process(str(plain), str(source), skip_symbolic_shape=True)
    made: dict[str, Any] = {}
    for ends, method in itertools.product((True, False), ("MinMax", "Percentile")):
        path = folder / f"{'all' if ends else 'inner'}_{method}.onnx"
        quantise(source, path, found, CalibrationMethod[method], ends=ends)
        made[f"int8 {'everywhere' if ends else 'but at the ends'}, {method}"] = str(path)
    with contextlib.suppress(ImportError):
        import nncf  # pyright: ignore[reportMissingImports]

        openvino = ov.Core().read_model(plain)
        made["int8 by nncf"] = nncf.quantize(openvino, nncf.Dataset(list(found)), subset_size=64)
    return made


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    """In dB, of values nominally in [0, 1]."""
    return -10 * float(np.log10(max(((a.clip(0, 1) - b.clip(0, 1)) ** 2).mean(), 1e-14)))


type Clips = dict[str, tuple[list[np.ndarray], list[np.ndarray]]]
"""Frames, and images in float32, by name."""


def judge(clips: Clips, make: Callable[[tuple[int, int]], Residual]) -> str:
    """PSNR of a recurrence to float32: all frames and the last, of each clip."""
    cells: list[str] = []
    for frames, expected in clips.values():
        height, width = frames[0].shape[2:]
        images = [image for _, image in steps(frames, make((height, width)))]
        cells.append(
            f"{psnr(np.stack(images), np.stack(expected)):.1f} "
            f"({psnr(images[-1], expected[-1]):.1f})"
        )
    return " | ".join(cells)


def engine_step(kind: type, precision: str, width: int, height: int) -> Callable[[], object]:
    """A step of an engine of this package, on noise."""
    engine = kind(
        weights.load("v2"),
        Setup(
            width=width,
            height=height,
            device="cpu",
            precision=precision,
        ),
    )
    random = np.random.default_rng(0)
    source = engine.upload(list(random.random((3, height, width), np.float32)), FULL_RGB)
    state = engine.step(source, source, source, None)
    return lambda: engine.step(source, source, source, state)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--calibrate", nargs="+", type=Path, required=True)
    parser.add_argument("--judge", nargs="+", type=Path, required=True)
    parser.add_argument("--frames", type=int, default=24)
    parser.add_argument("--size", default="320x180", help="of the timed steps")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path, default=Path("out/quantise"))
    options = parser.parse_args(arguments)
    logging.disable(logging.WARNING)
    width, height = map(int, options.size.split("x"))
    random = np.random.default_rng(0)
    channels = zip(INPUTS, (3, 3, 3, 48, 64), strict=True)
    noise = {name: random.random((1, n, height, width), np.float32) for name, n in channels}

    exact = runner_ort(residual_graph(weights.load("v2")).SerializeToString())
    found: list[Arrays] = []
    for path in options.calibrate:
        every = [step for step, _ in steps(cropped(path, options.frames), exact)]
        found += every[:: max(len(every) // SAMPLES, 1)]
    clips: Clips = {}
    for path in options.judge:
        frames = cropped(path, options.frames)
        clips[path.stem] = frames, [image for _, image in steps(frames, exact)]

    timed: dict[str, Callable[[], object]] = {}
    near: dict[str, str] = {}
    for kind, precision in (
        (TorchEngine, "fp32"),
        (TorchEngine, "bf16"),
        (OpenVinoEngine, "fp32"),
        (OpenVinoEngine, "bf16"),
    ):
        name = f"engine: {kind.__name__} {precision}"
        timed[name] = engine_step(kind, precision, width, height)
    for name, model in variants(options.out, found).items():
        ways: dict[str, Callable[[tuple[int, int]], Any]] = {
            f"OpenVINO, {rest}": lambda shape, m=model, r=rest: runner_ov(m, shape, r)
            for rest in ("f32", "bf16")
        }
        if isinstance(model, str):
            ways["ONNX Runtime"] = lambda _, m=model: runner_ort(m)
        for way, make in ways.items():
            title = f"{name}: {way}"
            near[title] = judge(clips, make)
            run = make((height, width))
            timed[title] = lambda run=run: run(noise)
            print(title, near[title], flush=True)

    times: dict[str, list[float]] = {name: [] for name in timed}
    for _ in range(options.rounds):
        for name, run in timed.items():
            begin = time.perf_counter()
            run()
            times[name].append((time.perf_counter() - begin) * 1e3)
    fastest = min((name for name in timed if name not in near), key=lambda name: min(times[name]))
    print(f"\n{datetime.date.today()}, load {os.getloadavg()[0]:.1f}, fastest float: {fastest}\n")
    print(
        f"| {options.size} | ms, least | median | times the fastest float | {' | '.join(clips)} |"
    )
    print("|" + "---|" * (4 + len(clips)))
    for name, values in times.items():
        ratio = statistics.median(a / b for a, b in zip(times[fastest], values, strict=True))
        figures = f"{min(values):.0f} | {statistics.median(values):.0f} | {ratio:.2f}"
        print(f"| {name} | {figures} | {near.get(name, ' | '.join('-' for _ in clips))} |")


if __name__ == "__main__":
    main()
