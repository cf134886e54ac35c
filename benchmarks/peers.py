"""One step beside other ways to run the same network, and who keeps the order of frames.

    python benchmarks/peers.py [--size 320x180] [--device cpu] [--rounds 9] [--folder out/peers]

Two tables, in Markdown:

- **Speed**: one step (a window of three frames, the fed-back image, the hidden state) by each of
  them in turn, round by round, in one process: least and median milliseconds, the median over the
  rounds of how many times as fast as the existing package (`vsanimesr` of the index, eager fp32),
  the least processor time of all threads together, and the PSNR of the image of the sixth step of
  a clip to the existing package's fp32.
- **Order**: frames that differ from a straight render when the same clip is rendered with uneven
  filters upstream and 16 requests in flight: the existing package's filter, and this one's.

The others are taken as they come: the existing package's network itself, or a plain export of it,
with default settings. Needs the test group of this package, and `onnxruntime`, `openvino`, `ncnn`
with `pnnx`, `MNN` and `onnxscript` for their rows: in an environment that is thrown away, for MNN
installs packages when it is imported, among them a protobuf older than the one onnx wants. What
it fetches from the index stays in the folder.

This package has torch's threads sleep while they wait, torch by itself has them spin. In one
process it is one or the other: OMP_WAIT_POLICY=passive or OMP_WAIT_POLICY=active before the
command. With `passive`, processor time tells what a step costs on a machine that is busy, too.
"""

import argparse
import contextlib
import datetime
import importlib.util
import itertools
import os
import platform
import random
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import existing
import numpy as np
import torch
import vapoursynth as vs
from torch import Tensor

from vsanimesr import engines, weights
from vsanimesr.colour import FULL_RGB

TESTS = Path(__file__).parents[1] / "tests"
GOLDEN = TESTS / "data" / "bunny_64x48.npz"
EXISTING = "existing package, eager fp32"
STEPS = 6
IN_FLIGHT = 16
LENGTH = 100

core: Any = vs.core

type Run = Callable[[], np.ndarray | None]
"""Runs a step to its end. Returns the image (3, 4h, 4w) where that costs nothing."""


class Case:
    """A clip, and the last step of it: what every candidate gets."""

    def __init__(self, net: Any, width: int, height: int, device: torch.device) -> None:  # noqa: ANN401
        clip = np.load(GOLDEN)["input"][: STEPS + 1].astype(np.float32) / 255
        pad = ((0, 0), (0, max(height - 48, 0)), (0, max(width - 64, 0)), (0, 0))
        clip = np.pad(clip, pad, mode="symmetric")[:, :height, :width]
        self.frames = np.ascontiguousarray(np.moveaxis(clip, -1, 1))
        self.width, self.height, self.device = width, height, device
        self.image = torch.zeros(1, 3, 4 * height, 4 * width, device=device)
        self.state = torch.zeros(1, 64, height, width, device=device)
        with torch.inference_mode():
            for t in range(STEPS - 1):
                self.image, self.state = net(self.window(t), self.image, self.state)
            last, _ = net(*self.arguments)
        self.expected = last[0].cpu().numpy()

    def window(self, t: int) -> Tensor:
        """(1, 9, h, w)."""
        three = [self.frames[max(t + i, 0)] for i in (-1, 0, 1)]
        return torch.from_numpy(np.concatenate(three))[None].to(self.device)

    @property
    def arguments(self) -> tuple[Tensor, Tensor, Tensor]:
        """Of the last step."""
        return self.window(STEPS - 1), self.image, self.state

    def psnr(self, image: np.ndarray) -> float:
        """To the existing package in fp32, in dB."""
        square = float(((image - self.expected) ** 2).mean())
        return -10 * np.log10(square) if square else float("inf")


def eager(case: Case, net: Any, dtype: torch.dtype = torch.float32) -> Run:  # noqa: ANN401
    """A network of the existing package in torch."""
    arguments = [x.to(dtype) for x in case.arguments]

    @torch.inference_mode()
    def run() -> np.ndarray | None:
        image, _ = net(*arguments)
        if case.device.type == "cuda":
            torch.cuda.synchronize()
            return None
        return image[0].float().numpy()

    return run


def export(net: Any, module: ModuleType, case: Case, folder: Path) -> Path:  # noqa: ANN401
    """The existing package's network as ONNX, by torch's exporter as it comes."""
    path = folder / f"existing_{case.width}x{case.height}.onnx"
    names: dict[str, Any] = {
        "input_names": ["x", "fb", "state"],
        "output_names": ["image", "next_state"],
    }
    with existing.plain_interpolation(module), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(net, case.arguments, path, dynamo=True, verbose=False, **names)
    return path


def onnxruntime(case: Case, path: Path) -> Run:
    """ONNX Runtime with default settings, its fastest provider for the device first."""
    import onnxruntime as ort

    wanted = {"cpu": ["CPUExecutionProvider"]}.get(case.device.type, ["CUDAExecutionProvider"])
    if not set(wanted) <= set(ort.get_available_providers()):
        raise RuntimeError(f"no {wanted[0]}")
    session = ort.InferenceSession(path, providers=wanted)
    names = [node.name for node in session.get_inputs()]
    feeds = dict(zip(names, (x.cpu().numpy() for x in case.arguments), strict=True))
    return lambda: session.run(None, feeds)[0][0]  # type: ignore[index,no-any-return]


def openvino(case: Case, path: Path, **settings: str) -> tuple[str, Run]:
    """OpenVINO on the CPU; with the precision that it chose."""
    import openvino as ov

    model = ov.Core().compile_model(path, "CPU", dict(settings))
    chosen = model.get_property("INFERENCE_PRECISION_HINT").to_string()
    request = model.create_infer_request()
    feeds = [x.numpy() for x in case.arguments]
    return str(chosen), lambda: request.infer(feeds)[0][0]  # type: ignore[no-any-return]


def plain_ncnn(net: Any, module: ModuleType, case: Case, folder: Path) -> Run:  # noqa: ANN401
    """The network converted by ncnn's own pnnx, in ncnn with default settings."""
    ncnn, pnnx = (importlib.import_module(name) for name in ("ncnn", "pnnx"))
    path = folder / f"existing_{case.width}x{case.height}_pnnx.pt"
    with existing.plain_interpolation(module), aside():
        pnnx.export(net, str(path), case.arguments)
    stem = str(path).removesuffix(".pt")
    plain = ncnn.Net()
    if plain.load_param(f"{stem}.ncnn.param") or plain.load_model(f"{stem}.ncnn.bin"):
        raise RuntimeError("ncnn does not load what pnnx made")
    arrays = [np.ascontiguousarray(x[0].numpy()) for x in case.arguments]  # a Mat keeps none
    feeds = [ncnn.Mat(array) for array in arrays]

    def run(arrays: list[np.ndarray] = arrays) -> np.ndarray:
        extractor = plain.create_extractor()
        for number, feed in enumerate(feeds):
            extractor.input(f"in{number}", feed)
        _, image = extractor.extract("out0")
        extractor.extract("out1")
        return np.array(image)

    return run


def mnn(case: Case, path: Path) -> Run:
    """MNN with default settings and all threads, the plain export converted by its own tool."""
    with aside():  # importing it prints
        expr, nn = (importlib.import_module(f"MNN.{part}") for part in ("expr", "nn"))
    converted = path.with_suffix(".mnn")
    command = [str(Path(sys.executable).with_name("mnnconvert")), "-f", "ONNX"]
    command += ["--modelFile", str(path), "--MNNModel", str(converted), "--bizCode", "peers"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    threads = {"backend": "CPU", "numThread": torch.get_num_threads()}
    manager = nn.create_runtime_manager((threads,))
    names = ["x", "fb", "state"], ["image", "next_state"]
    loaded = nn.load_module_from_file(str(converted), *names, runtime_manager=manager)
    arrays = [np.ascontiguousarray(x.numpy()) for x in case.arguments]

    def run() -> np.ndarray:
        given = [expr.const(array, list(array.shape), expr.NCHW) for array in arrays]
        image, state = loaded.forward(given)
        state.read()
        return np.array(image.read())[0]

    return run


@contextlib.contextmanager
def aside() -> Generator[None]:
    """What is printed on standard output below Python goes to standard error."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


class OneTensor(torch.nn.Module):
    """The existing package's network with everything in one tensor and only the image out.

    That is all that vs-mlrt can run; so there is no recurrence, and the fed-back image is folded.
    """

    def __init__(self, net: Any, module: ModuleType) -> None:  # noqa: ANN401
        super().__init__()
        self.net = net
        self.up = vars(sys.modules[f"{module.__name__}.vsr_arch"])["interpolate"]

    def forward(self, x: Tensor) -> Tensor:
        """(1, 121, h, w) to (1, 3, 4h, 4w)."""
        image = self.net.pixel_shuffle(self.net.recurrent_cell(x)[:, :48])
        return image + torch.nn.functional.interpolate(x[:, 3:6], scale_factor=4, mode="bilinear")


def mlrt(net: Any, module: ModuleType, case: Case, folder: Path) -> Run:  # noqa: ANN401
    """vs-mlrt's ONNX Runtime plugin: 121 clips of one plane in, through VapourSynth."""
    if not hasattr(core, "ort"):
        place = existing.fetch("vapoursynth-mlrt-ort", folder)
        core.std.LoadPlugin(str(place / "vapoursynth/plugins/ort/libvsort.so"))
    path = folder / f"one_tensor_{case.width}x{case.height}.onnx"
    window, image, state = case.arguments
    stacked = torch.cat((window, torch.nn.functional.pixel_unshuffle(image, 4), state), dim=1)
    with existing.plain_interpolation(module), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            OneTensor(net, module),
            (stacked,),
            path,
            dynamo=True,
            verbose=False,
            external_data=False,
        )
    blank = core.std.BlankClip(None, case.width, case.height, vs.GRAYS, length=1)

    def clip(values: np.ndarray) -> Any:  # noqa: ANN401
        frame = blank.get_frame(0).copy()
        np.copyto(np.asarray(frame[0]), values)

        def same(n: int, f: Any) -> Any:  # noqa: ANN401
            return frame

        return core.std.Loop(blank.std.ModifyFrame(blank, same))

    inputs = [clip(values) for values in stacked[0].numpy()]
    gpu = {"provider": "CUDA"} if case.device.type == "cuda" else {}
    out = core.ort.Model(inputs, network_path=str(path), **gpu)
    numbers = itertools.count()

    def run() -> np.ndarray:
        with out.get_frame(next(numbers)) as frame:
            return np.stack([np.asarray(frame[plane]) for plane in range(3)])

    return run


def ours(case: Case, backend: str, precision: str, **options: Any) -> Run:  # noqa: ANN401
    """An engine of this package."""
    setup = engines.Setup(
        width=case.width, height=case.height, device=case.device.type, precision=precision
    )
    engine = engines.load(backend, weights.load("v2"), setup, **options)
    sources = [engine.upload(list(frame), FULL_RGB) for frame in case.frames]
    state: Any = None
    for t in range(STEPS - 1):
        state = engine.step(sources[max(t - 1, 0)], sources[t], sources[t + 1], state)
    window = sources[STEPS - 2], sources[STEPS - 1], sources[STEPS]
    done = engine.step(*window, state)
    picture = np.empty((3, 4 * case.height, 4 * case.width), np.float32)
    engine.write(done, list(picture), FULL_RGB)
    first = iter([picture])

    def run() -> np.ndarray | None:
        engine.step(*window, state)
        if case.device.type == "cuda":
            torch.cuda.synchronize()
        return next(first, None)

    return run


def candidates(net: Any, module: ModuleType, case: Case, folder: Path) -> Iterator[tuple[str, Any]]:  # noqa: ANN401
    """Name and maker of each. A maker gives a `Run`, or a further name and a `Run`."""
    cuda = case.device.type == "cuda"
    yield EXISTING, lambda: eager(case, net)
    if cuda:
        half = existing.network(module).to(case.device).half()
        yield "existing package, eager fp16", lambda: eager(case, half, torch.float16)
    yield "torch.compile of it", lambda: eager(case, torch.compile(net, dynamic=False))
    path = folder / "absent"
    with contextlib.suppress(ImportError):
        path = export(net, module, case, folder)
    yield "onnxruntime", lambda: onnxruntime(case, path)
    if not cuda:
        yield "openvino", lambda: openvino(case, path)
        yield "openvino, told", lambda: openvino(case, path, INFERENCE_PRECISION_HINT="f32")
        yield "ncnn", lambda: plain_ncnn(net, module, case, folder)
        yield "MNN", lambda: mnn(case, path)
    yield "vs-mlrt's onnxruntime", lambda: mlrt(net, module, case, folder)
    precisions = {
        "torch": ("fp32", "tf32", "fp16", "bf16") if cuda else ("fp32", "bf16"),
        "onnx": ("fp32", "fp16") if cuda else ("fp32",),
        "openvino": () if cuda else ("fp32", "bf16"),
        "ncnn": () if cuda else ("fp32",),
        "native": () if cuda else ("fp32",),
    }
    for backend, names in precisions.items():
        for precision in names:
            yield (
                f"this package, {backend} {precision}",
                lambda b=backend, p=precision: ours(case, b, p),
            )


@dataclass
class Times:
    """Milliseconds a step, round by round."""

    wall: list[float] = field(default_factory=list[float])
    processor: list[float] = field(default_factory=list[float])


def speed(made: dict[str, Run], rounds: int, inner: int) -> dict[str, Times]:
    """All of them in turn; each round starts with another one."""
    times = {name: Times() for name in made}
    names = list(made)
    for number in range(rounds):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            time.sleep(0.05)  # threads that spin after their work are another's
            begin, spent = time.perf_counter(), time.process_time()
            for _ in range(inner):
                made[name]()
            times[name].wall.append((time.perf_counter() - begin) / inner * 1e3)
            times[name].processor.append((time.process_time() - spent) / inner * 1e3)
    return times


def speed_table(
    folder: Path, width: int, height: int, device: str, rounds: int, leave: Sequence[str]
) -> Iterator[str]:
    """Lines of Markdown, without those whose names begin with one of `leave`."""
    module = existing.load(folder)
    net = existing.network(module).to(device)
    case = Case(net, width, height, torch.device(device))
    made: dict[str, Run] = {}
    psnr: dict[str, float] = {}
    missing: list[str] = []
    for name, make in candidates(net, module, case, folder):
        if name.startswith(tuple(leave)):
            continue
        begin = time.perf_counter()
        try:
            found = make()
            label, run = found if isinstance(found, tuple) else ("", found)
            image = run()
        except Exception as error:  # noqa: BLE001 - a peer that does not run is a row, not the end
            missing.append(f"- {name}: {type(error).__name__}: {str(error).splitlines()[0][:150]}")
            continue
        run()
        title = f"{name} {label}".strip()
        made[title] = run
        psnr[title] = case.psnr(image) if image is not None else float("nan")
        print(f"{title}: ready in {time.perf_counter() - begin:.0f} s", file=sys.stderr)
    times = speed(made, rounds, 1 if device == "cpu" else 20)
    yield (
        f"| {width}x{height} | machine | ms, least | median | times as fast | processor, ms "
        "| PSNR, dB |"
    )
    yield "|---|---|---|---|---|---|---|"
    base = times[EXISTING].wall
    for name, found in times.items():
        ratio = statistics.median(a / b for a, b in zip(base, found.wall, strict=True))
        yield (
            f"| {name} | {machine(device)} | {min(found.wall):.1f} "
            f"| {statistics.median(found.wall):.1f} | {ratio:.2f} "
            f"| {min(found.processor):.0f} | {psnr[name]:.1f} |"
        )
    if missing:
        yield "\nDid not run:\n"
        yield from missing


def order_table(folder: Path, device: str) -> Iterator[str]:
    """Lines of Markdown."""
    sys.path.insert(0, str(TESTS))
    clips = importlib.import_module("clips")
    digests, source = clips.digests, clips.source

    module = existing.load(folder)
    core.num_threads = 8
    straight, shuffled = list(range(LENGTH)), random.Random(3).sample(range(LENGTH), LENGTH)

    def theirs(clip: Any) -> Any:  # noqa: ANN401
        with existing.on_the_cpu(module) if device == "cpu" else contextlib.nullcontext():
            return module.animesr(clip)

    def this(clip: Any) -> Any:  # noqa: ANN401
        return core.animesr.Upscale(clip, device=device, precision="fp32")

    yield f"| of {LENGTH} frames differ from a straight render | straight, in parallel | shuffled |"
    yield "|---|---|---|"
    for name, filtered in (("existing package", theirs), ("this package", this)):
        torch.set_num_threads(1)  # the images are tiny
        with existing.on_the_cpu(module) if device == "cpu" else contextlib.nullcontext():
            expected = digests(filtered(source(LENGTH)), straight)
            cells = [
                sum(found[n] != expected[n] for n in straight)
                for found in (
                    digests(filtered(source(LENGTH, uneven=0.2)), asked, IN_FLIGHT)
                    for asked in (straight, shuffled)
                )
            ]
        yield f"| {name} | {cells[0]} | {cells[1]} |"


def machine(device: str) -> str:
    """The processor's or the card's name, with the family and what makes it fast."""
    if device == "cuda":
        return torch.cuda.get_device_name()
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        facts = {k.strip(): v.strip() for k, _, v in (line.partition(":") for line in lines)}
        fast = [
            name for name in ("avx512_vnni", "avx512_bf16", "amx_tile") if name in facts["flags"]
        ]
        return f"{facts['model name']} ({facts['cpu family']}/{facts['model']}: {' '.join(fast)})"
    return platform.processor() or platform.machine()


def header(device: str) -> str:
    """When, where and with what."""
    versions = [f"Python {platform.python_version()}", f"torch {torch.__version__}"]
    for name in ("onnxruntime", "openvino", "ncnn"):
        if importlib.util.find_spec(name):
            versions.append(f"{name} {importlib.import_module(name).__version__.split('-')[0]}")
    hardware = f"{machine(device)}, {torch.get_num_threads()} threads"
    return (
        f"{datetime.date.today()}, {hardware}, {', '.join(versions)}, "
        f"OMP_WAIT_POLICY={os.environ.get('OMP_WAIT_POLICY', '')}, "
        f"load {os.getloadavg()[0]:.1f} at the start"
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", default="320x180")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--folder", type=Path, default=Path("out/peers"))
    parser.add_argument("--leave", nargs="*", default=[], help="rows whose names begin so")
    parser.add_argument("--part", choices=("speed", "order"), help="only this table")
    options = parser.parse_args(arguments)
    options.folder.mkdir(parents=True, exist_ok=True)
    width, height = map(int, options.size.split("x"))
    print(header(options.device), end="\n\n")
    if options.part != "order":
        for line in speed_table(
            options.folder, width, height, options.device, options.rounds, options.leave
        ):
            print(line, flush=True)
        print()
    if options.part != "speed":
        for line in order_table(options.folder, options.device):
            print(line, flush=True)


if __name__ == "__main__":
    main()
