"""What the README says of its limits, as it is: a change here is a change there."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import vapoursynth as vs
from clips import digests, source

from vsanimesr.engines.torch.engine import TorchEngine

SMALL = {"width": 16, "height": 12, "cuts": ()}


def upscale(clip, model, **options):
    return clip.animesr.Upscale(model=str(model), backend="torch", device="cpu", **options)


def test_one_made_for_each_frame_runs_up_to_each(fixed_model, monkeypatch):
    """`std.FrameEval` that calls `Upscale`: the same bytes, for as many steps as a jump costs."""
    steps = []
    step = TorchEngine.step
    monkeypatch.setattr(
        TorchEngine, "step", lambda self, *given: (steps.append(1), step(self, *given))[1]
    )
    clip = source(20, **SMALL)
    options = {"block": 16, "warmup": 3, "dedup": -1}
    once = upscale(clip, fixed_model, **options)
    wanted = digests(once, range(20))
    assert len(steps) == 20 + 3
    steps.clear()
    each = vs.core.std.FrameEval(once, lambda n: upscale(clip, fixed_model, **options))
    assert digests(each, range(20)) == wanted
    run_up = [n + 1 if n < 16 else 3 + n - 16 + 1 for n in range(20)]
    assert len(steps) == sum(run_up)


def test_a_matte_stays_as_it_is_and_can_be_enlarged_beside(fixed_model):
    clip = source(3, **SMALL)
    matte = clip.std.ShufflePlanes(0, vs.GRAY)
    large = upscale(clip.std.ClipToProp(matte, "_Alpha"), fixed_model)
    kept = large.std.PropToClip("_Alpha")
    assert digests(kept, range(3)) == digests(matte, range(3))
    both = large.std.ClipToProp(upscale(kept, fixed_model), "_Alpha")
    alpha = both.get_frame(2).props["_Alpha"]
    assert (alpha.width, alpha.height, alpha.format.id) == (64, 48, vs.GRAYS)


FORKED = """
import os, signal, warnings
import vapoursynth as vs
from clips import source
clip = source(5, 16, 12, cuts=()).animesr.Upscale(model=os.environ["MODEL"], device="cpu")
clip.get_frame(0).close()
warnings.simplefilter("ignore")
child = os.fork()
if child == 0:
    signal.alarm(5)
    clip.get_frame(1)
    os._exit(0)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
clip.get_frame(1).close()
print("parent")
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="fork")
def test_a_forked_child_never_gets_a_frame(fixed_model):
    """VapourSynth's threads are not in it; the parent goes on."""
    done = subprocess.run(
        [sys.executable, "-c", FORKED],
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
        env=os.environ | {"MODEL": str(fixed_model), "PYTHONPATH": str(Path(__file__).parent)},
    )
    assert done.stdout.split() == ["-14", "parent"]
