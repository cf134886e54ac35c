"""The host survives: shutdown under load, errors in the middle, nodes made and freed."""

import collections
import ctypes
import gc
import itertools
import os
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
import vapoursynth as vs
from clips import digest, source

from vsanimesr.colour import FULL_RGB
from vsanimesr.engines import Setup
from vsanimesr.engines.native.engine import NativeEngine
from vsanimesr.engines.ncnn.engine import NcnnEngine
from vsanimesr.engines.onnx.engine import OnnxEngine
from vsanimesr.engines.onnx.session import Session
from vsanimesr.engines.torch.engine import TorchEngine
from vsanimesr.errors import DeviceLostError, EngineError

TESTS = str(Path(__file__).parent)


ENGINES = {"torch": TorchEngine, "ncnn": NcnnEngine, "native": NativeEngine}
each_engine = pytest.mark.parametrize("backend", ENGINES)


def upscale(clip, model, **options):
    return clip.animesr.Upscale(
        **({"model": str(model), "device": "cpu", "backend": "native"} | options)
    )


def render(clip, frames):
    """Digests of the frames that come, messages of those that fail."""
    found, failed = {}, {}
    for n in frames:
        try:
            with clip.get_frame(n) as frame:
                found[n] = digest(frame)
        except vs.Error as error:
            failed[n] = str(error)
    return found, failed


def run(code, model, timeout=120):
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        env=os.environ | {"PYTHONPATH": TESTS, "MODEL": str(model)},
    )


@pytest.mark.parametrize(
    ("wait", "backend"),
    [
        (0.05, "torch"),
        pytest.param(0.0, "torch", marks=pytest.mark.slow),
        pytest.param(0.5, "torch", marks=pytest.mark.slow),
        (0.0, "native"),
        (0.2, "native"),
        (0.2, "ncnn"),
        (0.2, "openvino"),
    ],
)
def test_interpreter_shutdown_with_requests_in_flight(fixed_model, wait, backend):
    code = f"""
        import os, time
        import vapoursynth as vs
        from clips import source
        clip = source(100, 32, 24, uneven=0.01)
        clip = clip.animesr.Upscale(model=os.environ["MODEL"], backend="{backend}")
        clip.get_frame(0).close()
        futures = [clip.get_frame_async(n) for n in range(1, 60)]
        time.sleep({wait})
        print("leaving")
        """
    done = run(code, fixed_model)
    assert (done.returncode, done.stdout) == (0, "leaving\n"), done.stderr
    assert "Traceback" not in done.stderr
    assert "Fatal" not in done.stderr


def test_leaving_while_a_thread_renders(fixed_model):
    code = """
        import os, threading, time
        import vapoursynth as vs
        from clips import source
        clip = source(100, 64, 48).animesr.Upscale(model=os.environ["MODEL"])
        def render():
            for frame in clip.frames(): frame.close()
        threading.Thread(target=render, daemon=True).start()
        time.sleep(1)
        print("leaving")
        """
    done = run(code, fixed_model)
    assert (done.returncode, done.stdout) == (0, "leaving\n"), done.stderr


def test_nothing_is_printed_on_standard_output(fixed_model):
    code = """
        import os
        import vapoursynth as vs
        from clips import source
        clip = source(4, 16, 16, cuts=(), format=vs.YUV420P8).std.RemoveFrameProps("_Matrix")
        out = clip.animesr.Upscale(model=os.environ["MODEL"])
        out.get_frame(3).close()
        try:
            clip.animesr.Upscale(model="nothing")
        except vs.Error:
            pass
        """
    done = run(code, fixed_model)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


@each_engine
def test_an_engine_error_in_the_middle(fixed_model, monkeypatch, backend):
    clip = source(20, 32, 24, cuts=())
    whole = upscale(clip, fixed_model, backend=backend).frames(close=True)
    whole = [digest(frame) for frame in whole]
    out = upscale(clip, fixed_model, backend=backend)
    working = ENGINES[backend].step
    steps = []

    def breaking(self, *arguments):
        steps.append(1)
        if len(steps) == 8:
            raise ValueError("the device fell off")
        return working(self, *arguments)

    monkeypatch.setattr(ENGINES[backend], "step", breaking)
    found, failed = render(out, range(20))
    assert found == {n: whole[n] for n in range(20) if n != 7}
    assert failed == {7: "Upscale: frame 7: ValueError: the device fell off"}


@each_engine
def test_a_source_that_breaks_at_frame_37(fixed_model, backend):
    """The frames whose run needs it fail with its message; all others are as ever."""
    options = {"block": 16, "warmup": 4, "backend": backend}
    good = upscale(source(60, 32, 24, cuts=(45,)), fixed_model, **options)
    bad = upscale(source(60, 32, 24, cuts=(45,), fail_at=37), fixed_model, **options)
    found, failed = render(bad, range(60))
    assert list(failed) == list(range(36, 45)), "36 sees it ahead; the scene ends before 45"
    assert all("source broke at 37" in message for message in failed.values())
    expected, _ = render(good, found)
    assert found == expected


@pytest.fixture
def many_threads():
    before = vs.core.num_threads
    vs.core.num_threads = 16
    yield
    vs.core.num_threads = before


@pytest.mark.parametrize("prefetch", [-1, 0, 32])
@pytest.mark.parametrize("order", [range(60), range(59, -1, -1)], ids=["forth", "back"])
def test_a_broken_frame_costs_only_those_that_need_it(fixed_model, many_threads, order, prefetch):
    """Neither those before it, when frames ahead are asked for, nor those of the next scene."""
    clip = source(60, 16, 16, cuts=(30, 45), fail_at=37)
    bad = upscale(clip, fixed_model, block=0, prefetch=prefetch)
    _, failed = render(bad, order)
    assert sorted(failed) == list(range(36, 45))
    for broken, lost in ((44, range(43, 45)), (45, range(45, 60))):
        clip = source(60, 16, 16, cuts=(30, 45), fail_at=broken)
        _, failed = render(upscale(clip, fixed_model, block=0, prefetch=prefetch), order)
        assert sorted(failed) == list(lost), broken


@pytest.mark.parametrize("dedup", [-1.0, 0.0])
@pytest.mark.parametrize("prefetch", [-1, 32])
def test_a_source_that_gives_five_frames_ahead(fixed_model, many_threads, prefetch, dedup):
    """As a live one: the next only when the frame five before it has been used."""
    used, late = [-1], []
    changed = threading.Condition()

    def wait(n, f):
        with changed:
            if not changed.wait_for(lambda: n <= used[0] + 5, timeout=10):
                late.append(n)
        return f

    clip = source(40, 16, 16, cuts=())
    live = clip.std.ModifyFrame(clip, wait)
    out = upscale(live, fixed_model, prefetch=prefetch, dedup=dedup)
    for n in range(40):
        out.get_frame(n).close()
        with changed:
            used[0] = n
            changed.notify_all()
    assert late == []


def test_a_source_frame_is_made_once(fixed_model, many_threads):
    """Though it is asked for ahead and again in earnest."""
    made = collections.Counter()

    def count(n, f):
        made[n] += 1
        return f

    clip = source(60, 16, 16, cuts=())
    out = upscale(clip.std.ModifyFrame(clip, count), fixed_model)
    for n in range(60):
        out.get_frame(n).close()
    assert set(made.values()) == {1}


@pytest.mark.parametrize("options", [{}, {"scenes": 0}, {"dedup": 0.0}])
def test_an_endless_clip(fixed_model, options):
    """`std.Loop` and previewers make clips of 2**31 - 1 frames."""
    process = psutil.Process()
    upscale(source(2, 16, 16, cuts=()), fixed_model).get_frame(0).close()
    clip = vs.core.std.Loop(source(8, 16, 16, cuts=()), 0)
    assert len(clip) == 2**31 - 1
    before, begin = process.memory_info().rss, time.perf_counter()
    out = upscale(clip, fixed_model, block=8, warmup=2, **options)
    for n in (0, 1, 2, len(clip) - 1, len(clip) - 2, len(clip) // 2):
        out.get_frame(n).close()
    assert time.perf_counter() - begin < 10
    assert process.memory_info().rss - before < 200 * 2**20


def trim():
    """Have the C library give back what is free: what it likes to hold back is no leak."""
    if sys.platform == "linux":
        ctypes.CDLL(None).malloc_trim(0)


@pytest.mark.parametrize("backend", ["torch", "onnx", "openvino", "ncnn", "native"])
@pytest.mark.parametrize(
    ("first", "count"), [(8, 20), pytest.param(20, 100, marks=pytest.mark.slow)]
)
def test_nodes_made_and_freed_leave_nothing(fixed_model, backend, first, count):
    """So many nodes, each rendered a little: memory after the last is that after the first few.

    The least of the last three looks: threads that end leave now more, now less behind. The weights
    alone, 6 MB a node, would be more than what is allowed.
    """
    process = psutil.Process()
    sizes = {}
    for i in range(1, count + 1):
        clip = upscale(source(8, 32, 24, cuts=()), fixed_model, cache=64, backend=backend)
        clip.get_frame(i % 3).close()
        del clip
        if i in (first, count - 4, count - 2, count):
            gc.collect()
            vs.core.clear_cache()
            trim()
            sizes[i] = process.memory_info().rss
    before, *last = sizes.values()
    assert min(last) < before + 40 * 2**20


@each_engine
def test_frames_outlive_their_node(fixed_model, backend):
    clip = upscale(source(4, 16, 16, cuts=()), fixed_model, backend=backend)
    frame = clip.get_frame(2)
    expected = digest(frame)
    del clip
    gc.collect()
    assert digest(frame) == expected
    frame.close()


@each_engine
def test_freed_while_a_request_runs(fixed_model, backend):
    done = threading.Event()
    clip = upscale(source(60, 32, 24, cuts=()), fixed_model, backend=backend)
    clip.get_frame_async(50).add_done_callback(lambda future: (future.result().close(), done.set()))
    del clip
    gc.collect()
    assert done.wait(60)


@pytest.fixture
def losing(monkeypatch):
    """Engines of ONNX Runtime whose device is lost at the downloads, and set-ups, named."""
    downloads, set_ups = itertools.count(), itertools.count()
    lost, refused = set(), set()
    run, set_up = Session.__call__, OnnxEngine._set_up

    def running(self, inputs, *, fetch=False):
        if fetch and next(downloads) in lost:
            raise RuntimeError("Failed to download data from buffer: [Device] is lost.")
        return run(self, inputs, fetch=fetch)

    def setting_up(self):
        if next(set_ups) in refused:
            raise EngineError("onnxruntime cannot set up it: no adapter")
        return set_up(self)

    monkeypatch.setattr(Session, "__call__", running)
    monkeypatch.setattr(OnnxEngine, "_set_up", setting_up)
    return SimpleNamespace(lost=lost, refused=refused, set_ups=set_ups)


@pytest.mark.parametrize("order", [range(8), (5, 2, 7, 0, 6, 1, 3, 4)])
def test_a_lost_device_fails_one_frame_and_is_started_anew(fixed_model, losing, order):
    options = {"backend": "onnx", "precision": "fp32", "block": 4, "warmup": 1}
    clip = source(8, 16, 12)
    wanted, _ = render(upscale(clip, fixed_model, **options), range(8))
    assert next(losing.set_ups) == 1
    losing.lost.add(8 + 3)
    clip = upscale(source(8, 16, 12), fixed_model, **options)
    found, failed = render(clip, order)
    assert list(failed) == [order[3]]
    assert "Upscale: the device was lost (Failed to download data from" in failed[order[3]]
    assert "is lost.): the next frame starts anew on it" in failed[order[3]]
    assert found == {n: wanted[n] for n in order if n != order[3]}
    assert next(losing.set_ups) == 4  # one at the beginning, one anew, and the one asked for above
    assert render(clip, [order[3]]) == ({order[3]: wanted[order[3]]}, {})


def test_a_lost_device_that_does_not_come_back_says_why(fixed_model, losing):
    losing.lost.add(1)
    losing.refused.update((1, 2))
    clip = upscale(source(6, 16, 12), fixed_model, backend="onnx", precision="fp32")
    found, failed = render(clip, range(6))
    assert list(found) == [0, 4, 5]
    assert "the device was lost" in failed[1]
    for n in (2, 3):
        assert "Upscale: onnxruntime cannot set up it: no adapter" in failed[n]
    assert len(set(found.values())) == 3


def test_states_from_before_a_loss_are_refused(fixed_weights, losing):
    losing.lost.add(0)
    engine = OnnxEngine(fixed_weights, Setup(width=8, height=8, device="cpu", precision="fp32"))
    planes = list(np.zeros((3, 8, 8), np.float32))
    image = engine.upload(planes, FULL_RGB)
    state = engine.step(image, image, image, None)
    made = list(np.empty((3, 32, 32), np.float32))
    with pytest.raises(DeviceLostError, match="the next frame starts anew"):
        engine.write(state, made, FULL_RGB)
    with pytest.raises(DeviceLostError, match="the device was lost, and with it what this frame"):
        engine.write(state, made, FULL_RGB)
    image = engine.upload(planes, FULL_RGB)
    engine.write(engine.step(image, image, image, None), made, FULL_RGB)
