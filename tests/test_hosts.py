"""Hosts as people use them: vspipe into an encoder, examples, a reloading previewer, threads."""

import os
import shutil
import subprocess
import sys
import sysconfig
import textwrap
from pathlib import Path

import av
import imageio_ffmpeg
import numpy as np
import pytest
import vapoursynth as vs
from clips import digests, source

TESTS = Path(__file__).parent
EXAMPLES = sorted((TESTS.parent / "examples").glob("*.vpy"))
OPTIONS = {"device": "cpu", "block": 16, "warmup": 2}


def environment(**more):
    """What a shell with the environment active has; threads sleep while they wait, for speed."""
    folder = sysconfig.get_path("scripts")
    path = folder + os.pathsep + os.environ["PATH"]
    own = {"PATH": path, "PYTHONPATH": str(TESTS), "OMP_WAIT_POLICY": "PASSIVE"}
    return os.environ | own | more


def vspipe(script, *arguments):
    return [Path(sysconfig.get_path("scripts")) / "vspipe", "-c", "y4m", *arguments, script, "-"]


def run(code, model):
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=environment(MODEL=str(model)),
    )
    assert done.returncode == 0, done.stderr
    return [line.split() for line in done.stdout.splitlines()]


def y4m(data):
    """Header words and the pixels of each frame; refuses a byte too many or too few."""
    header, rest = data.split(b"\n", 1)
    words = header.decode("ascii").split()
    assert words[0] == "YUV4MPEG2"
    size = {word[0]: int(word[1:]) for word in words if word[0] in "WH"}
    one = size["W"] * size["H"] * 3 // 2 * (2 if "C420p10" in words else 1)
    step = len(b"FRAME\n") + one
    assert len(rest) % step == 0
    parts = [rest[at : at + step] for at in range(0, len(rest), step)]
    assert all(part.startswith(b"FRAME\n") for part in parts)
    return words, [part[6:] for part in parts]


# A script whose source has no properties, so that the filter has warnings to give, too.
ENCODE = """
import os
import vapoursynth as vs
from clips import source
clip = source(24, 48, 32, cuts=(10,), format=vs.YUV420P8).std.RemoveFrameProps(["_Matrix"])
clip.animesr.Upscale(model=os.environ["MODEL"], format=vs.YUV420P10, **{options}).set_output()
"""


ENCODERS = [
    pytest.param(
        "x265 --y4m --input - --output-depth 10 --preset ultrafast --output",
        id="x265",
        marks=pytest.mark.skipif(not shutil.which("x265"), reason="x265 is not on PATH"),
    ),
    pytest.param(
        "ffmpeg -v error -f yuv4mpegpipe -i - -c:v libx265 -preset ultrafast -f hevc", id="ffmpeg"
    ),
]


@pytest.fixture
def encode_script(tmp_path):
    script = tmp_path / "encode.vpy"
    script.write_text(ENCODE.format(options=OPTIONS))
    return script


@pytest.mark.parametrize("encoder", ENCODERS)
def test_vspipe_into_an_encoder(encode_script, fixed_model, tmp_path, encoder):
    program, *arguments = encoder.split()
    if program == "ffmpeg":
        program = imageio_ffmpeg.get_ffmpeg_exe()
    out = tmp_path / "out.hevc"
    with (tmp_path / "vspipe.log").open("w+") as log:
        pipe = subprocess.Popen(
            vspipe(encode_script),
            stdout=subprocess.PIPE,
            stderr=log,
            env=environment(MODEL=str(fixed_model)),
        )
        done = subprocess.run(
            [program, *arguments, out],
            stdin=pipe.stdout,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        pipe.stdout.close()
        log.seek(0)
        assert pipe.wait(30) == 0, log.read()
    assert done.returncode == 0, done.stderr
    with av.open(out) as container:
        frames = [(f.width, f.height, f.format.name) for f in container.decode(video=0)]
    assert frames == [(192, 128, "yuv420p10le")] * 24


def test_nothing_but_y4m_on_standard_output(encode_script, fixed_model):
    done = subprocess.run(
        vspipe(encode_script),
        capture_output=True,
        timeout=120,
        check=False,
        env=environment(MODEL=str(fixed_model)),
    )
    assert done.returncode == 0, done.stderr
    assert b"Upscale: " in done.stderr, "the warning goes where it cannot hurt"
    words, frames = y4m(done.stdout)
    assert {"W192", "H128", "C420p10"} <= set(words)
    assert len(set(frames)) == len(frames) == 24


def test_an_encoder_that_dies_ends_vspipe(encode_script, fixed_model):
    pipe = subprocess.Popen(
        vspipe(encode_script),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(MODEL=str(fixed_model)),
    )
    pipe.stdout.read(20)
    pipe.stdout.close()
    message = pipe.stderr.read()
    pipe.stderr.close()
    assert pipe.wait(60) != 0
    assert b"Traceback" not in message


def test_the_examples_are_there():
    assert [path.name for path in EXAMPLES] == ["encode.vpy", "plain.vpy", "scenes.vpy"]


@pytest.fixture(scope="module")
def small_video(tmp_path_factory):
    path = tmp_path_factory.mktemp("video") / "small.mkv"
    with av.open(path, "w") as container:
        stream = container.add_stream("ffv1", rate=24)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        random = np.random.default_rng(5)
        for _ in range(6):
            pixels = random.integers(16, 235, (72, 64), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, "yuv420p")))
        container.mux(stream.encode())
    return path


@pytest.mark.weights
@pytest.mark.usefixtures("released")
@pytest.mark.parametrize("script", EXAMPLES, ids=lambda path: path.stem)
def test_examples(script, small_video):
    done = subprocess.run(
        vspipe(script, "-e", "2", "-a", f"source={small_video}"),
        capture_output=True,
        timeout=120,
        check=False,
        env=environment(),
    )
    assert done.returncode == 0, done.stderr
    words, frames = y4m(done.stdout)
    assert {"W256", "H192"} <= set(words)
    assert ("C420p10" in words) == (script.stem == "encode")
    assert len(set(frames)) == len(frames) == 3


@pytest.mark.weights
@pytest.mark.usefixtures("released")
@pytest.mark.parametrize("script", EXAMPLES, ids=lambda path: path.stem)
def test_examples_find_the_sample(script):
    """Named from another folder, which vspipe leaves for the script's own."""
    done = subprocess.run(
        vspipe(script.relative_to(TESTS.parent), "-e", "0"),
        capture_output=True,
        timeout=120,
        check=False,
        env=environment(),
        cwd=TESTS.parent,
    )
    assert done.returncode == 0, done.stderr
    words, frames = y4m(done.stdout)
    assert {"W1280", "H720"} <= set(words)
    assert len(frames) == 1


def test_a_script_reloaded_ten_times(fixed_model, tmp_path):
    """As previewers do it: one process, a new core each time, the old one thrown away."""
    script = tmp_path / "reload.vpy"
    script.write_text(
        "import os\nfrom clips import source\nclip = source(8, 40, 32, cuts=(5,))\n"
        f"clip.animesr.Upscale(model=os.environ['MODEL'], **{OPTIONS}).set_output()\n"
    )
    code = f"""
        import gc, sys
        import psutil
        from vsengine import GlobalStore, Policy, load_script
        from test_lifetime import trim
        from vsanimesr.vs import host

        with Policy(GlobalStore()) as policy:
            for i in range(10):
                with load_script({str(script)!r}, policy) as loaded, loaded.environment.use():
                    from clips import digest
                    clip = loaded.environment.outputs[0].clip
                    found = []
                    for n in (6, 1):
                        with clip.get_frame(n) as frame:
                            found.append(digest(frame))
                    del clip, frame
                for _ in range(4):  # cores are let go after some collections
                    gc.collect()
                if i == 0:
                    gc.freeze()  # what is imported by now is not looked through each time
                trim()
                print(psutil.Process().memory_info().rss, len(host._filters), *found)
        """
    rows = run(code, fixed_model)
    clip = source(8, 40, 32, cuts=(5,))
    clip = vs.core.animesr.Upscale(clip, model=str(fixed_model), **OPTIONS)
    expected = list(digests(clip, (6, 1)).values())
    assert [row[2:] for row in rows] == [expected] * 10
    assert max(int(row[1]) for row in rows) <= 1, "filters of earlier scripts are still there"
    sizes = [int(row[0]) for row in rows]
    assert min(sizes[7:]) < min(sizes[1:4]) * 1.05, "of three each: single figures vary by 5 %"


def test_a_plain_python_host_with_four_threads(fixed_model):
    code = f"""
        import os
        from concurrent.futures import ThreadPoolExecutor
        import vapoursynth as vs
        from clips import digest, source
        clip = source(40, 32, 24, cuts=(13,), uneven=0.005)
        clip = vs.core.animesr.Upscale(clip, model=os.environ["MODEL"], **{OPTIONS})
        def worker(first):
            found = {{}}
            for n in range(first, 40, 4):
                with clip.get_frame(n) as frame:
                    found[n] = digest(frame)
            return found
        with ThreadPoolExecutor(4) as pool:
            for found in pool.map(worker, range(4)):
                for n, text in found.items():
                    print(n, text)
        """
    rows = {int(n): text for n, text in run(code, fixed_model)}
    clip = source(40, 32, 24, cuts=(13,))
    clip = vs.core.animesr.Upscale(clip, model=str(fixed_model), **OPTIONS)
    assert rows == digests(clip, range(40))
