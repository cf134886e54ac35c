"""Ctrl-C and other signals while a node is being made: they reach the script, and harm nothing."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from vsanimesr.interrupts import held

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals")

SAMPLE = Path(__file__).parents[1] / "examples" / "sample.mkv"
START = """
import importlib.abc, os, signal, sys
import vapoursynth as vs
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have it ignored

class At(importlib.abc.MetaPathFinder):
    "Sends a signal when a module is imported."
    def __init__(self, name, number):
        self.name, self.number = name, number
        sys.meta_path.insert(0, self)
    def find_spec(self, name, path, target=None):
        if name == self.name:
            sys.meta_path.remove(self)
            os.kill(os.getpid(), self.number)

clip = vs.core.std.BlankClip(None, 16, 16, vs.RGBS, length=3)
def upscale(**options):
    return clip.animesr.Upscale(model=os.environ["MODEL"], device="cpu", **options)
"""


def run(code: str, model: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", START + textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=os.environ | {"MODEL": str(model)},
    )


def test_an_interrupt_reaches_the_script_and_the_next_call_works(fixed_model: Path) -> None:
    """While any part is imported, or weights are read; vs.Error would be taken for ours."""
    code = """
        parts = ["vsanimesr.vs.entry", "numpy.linalg", "torch.nn"]
        for part in parts:
            At(part, signal.SIGINT)
            try:
                upscale(backend="torch")
            except KeyboardInterrupt:
                print(part)
        from vsanimesr import weights
        working = weights.load
        def load(*arguments, **options):
            os.kill(os.getpid(), signal.SIGINT)
            for _ in range(10): pass
            raise SystemError("not interrupted")
        weights.load = load
        try:
            upscale(backend="torch")
        except KeyboardInterrupt:
            print("weights")
        weights.load = working
        with upscale(backend="torch").get_frame(1) as frame:
            print(frame.width)
        """
    done = run(code, fixed_model)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [
        "vsanimesr.vs.entry",
        "numpy.linalg",
        "torch.nn",
        "weights",
        "64",
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("backend", "parts"),
    [
        ("onnx", ["onnx", "onnx.helper"]),
        ("openvino", ["openvino", "openvino._pyopenvino"]),
        ("ncnn", ["ncnn", "ncnn.ncnn"]),
        ("torch", ["torch", "torch.autograd"]),
    ],
)
def test_an_interrupt_while_any_runtime_is_imported(
    backend: str, parts: list[str], fixed_model: Path
) -> None:
    pytest.importorskip(backend)
    code = f"""
        for part in {parts}:
            At(part, signal.SIGINT)
            try:
                upscale(backend={backend!r})
            except KeyboardInterrupt:
                print(part)
        with upscale(backend={backend!r}).get_frame(1) as frame:
            print(frame.width)
        """
    done = run(code, fixed_model)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [*parts, "64"]


@pytest.mark.parametrize(
    ("number", "handler", "status", "said"),
    [
        (signal.SIGINT, "signal.default_int_handler", -signal.SIGINT, "KeyboardInterrupt"),
        (signal.SIGTERM, "lambda number, _: sys.exit(128 + number)", 143, ""),
        (signal.SIGALRM, "signal.SIG_DFL", -signal.SIGALRM, ""),
    ],
)
def test_the_host_ends_as_the_signal_says(
    number: int, handler: str, status: int, said: str, fixed_model: Path
) -> None:
    code = f"""
        signal.signal({int(number)}, {handler})
        At("onnxruntime", {int(number)})
        upscale(backend="onnx")
        print("not interrupted")
        """
    done = run(code, fixed_model)
    assert (done.returncode, done.stdout) == (status, "")
    assert said in done.stderr
    assert "vapoursynth.Error" not in done.stderr


def test_the_very_exception_of_a_handler_is_raised(fixed_model: Path) -> None:
    """Such as a timeout's, which is an Exception, and so an error of the filter, or is not."""
    code = """
        class Timeout(BaseException):
            def __init__(self, limit, *, unit):
                super().__init__(f"after {limit} {unit}")
        raised = Timeout(3, unit="s")
        def handler(number, frame):
            raise raised
        signal.signal(signal.SIGALRM, handler)
        At("onnxruntime", signal.SIGALRM)
        try:
            upscale(backend="onnx")
        except Timeout as error:
            print(error is raised, error)
        """
    done = run(code, fixed_model)
    assert (done.returncode, done.stdout) == (0, "True after 3 s\n"), done.stderr


def test_it_reaches_a_script_that_an_editor_evaluates(fixed_model: Path, tmp_path: Path) -> None:
    script = tmp_path / "script.vpy"
    script.write_text(
        "import os, signal, vapoursynth as vs\n"
        "clip = vs.core.std.BlankClip(None, 16, 16, vs.RGBS, length=3)\n"
        "clip.animesr.Upscale(model=os.environ['MODEL'], backend='onnx').set_output()\n"
    )
    code = f"""
        from vsengine import GlobalStore, Policy, load_script
        with Policy(GlobalStore()) as policy:
            for name in ("onnxruntime", ""):
                At(name, signal.SIGINT)
                try:
                    with load_script({str(script)!r}, policy) as loaded, loaded.environment.use():
                        print(loaded.environment.outputs[0].clip.width)
                except BaseException as error:
                    print(type(getattr(error, "parent_error", error)).__name__)
        """
    start = START.split("clip = ")[0]
    done = subprocess.run(
        [sys.executable, "-c", start + textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=os.environ | {"MODEL": str(fixed_model)},
    )
    assert done.stdout.split() == ["KeyboardInterrupt", "64"], done.stderr


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_command_says_that_it_was_interrupted(
    number: int, status: int, fixed_model: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.mkv"
    code = f"""
        from vsanimesr.cli import main
        At("onnxruntime", {int(number)})
        sample = {str(SAMPLE)!r}
        options = ["--model", os.environ["MODEL"], "--backend", "onnx", "--device", "cpu"]
        sys.exit(main(["upscale", *options, sample, {str(out)!r}]))
        """
    done = run(code, fixed_model)
    assert (done.returncode, done.stdout) == (status, ""), done.stderr
    assert ("interrupted" in done.stderr) == (number == signal.SIGINT)
    assert "cannot be used" not in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.fixture
def handler():
    """What came, by the handlers of two signals."""
    came: list[int] = []
    numbers = (signal.SIGUSR1, signal.SIGUSR2)
    before = [signal.signal(number, lambda n, _: came.append(n)) for number in numbers]
    yield came
    for number, old in zip(numbers, before, strict=True):
        signal.signal(number, old)


def test_signals_wait_and_come_in_order(handler: list[int]) -> None:
    with held():
        signal.raise_signal(signal.SIGUSR2)
        with held():
            signal.raise_signal(signal.SIGUSR1)
        signal.raise_signal(signal.SIGUSR2)
        assert handler == []
    assert handler == [signal.SIGUSR2, signal.SIGUSR1, signal.SIGUSR2]
    signal.raise_signal(signal.SIGUSR1)
    assert len(handler) == 4


def test_signals_come_after_a_failure_too(handler: list[int]) -> None:
    def fail() -> None:
        with held():
            signal.raise_signal(signal.SIGUSR1)
            raise ValueError("inside")

    with pytest.raises(ValueError, match="inside"):
        fail()
    assert handler == [signal.SIGUSR1]


def test_other_threads_hold_nothing(handler: list[int]) -> None:
    def inside() -> None:
        with held():
            entered.set()
            assert left.wait(60)

    entered, left = threading.Event(), threading.Event()
    thread = threading.Thread(target=inside)
    thread.start()
    assert entered.wait(60)
    signal.raise_signal(signal.SIGUSR1)
    assert handler == [signal.SIGUSR1]
    left.set()
    thread.join()
