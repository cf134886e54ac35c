"""Encodes that are ended, disturbed and shared out, and come out byte for byte the same."""

import errno
import hashlib
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
import vapoursynth as vs
from enlargers import By, Different, Failing

from vsanimesr.encode import AnimeSR, Encoding, steps, upscale_file
from vsanimesr.encode.chunks import Chunk
from vsanimesr.encode.common.ffmpeg import find_ffmpeg
from vsanimesr.encode.journal import journal
from vsanimesr.encode.verify import Made
from vsanimesr.encode.workers import hire, worker
from vsanimesr.errors import EncodeError

HERE = Path(__file__).parent
FAST = Encoding(preset="ultrafast")
FRAMES = 48


@pytest.fixture(autouse=True)
def index_elsewhere(tmp_path_factory, monkeypatch):
    """Keep BestSource's index of test files out of the user's cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


def make(path, *words, frames=FRAMES, size="32x24"):
    film = f"testsrc=s={size}:r=24000/1001,format=yuv420p"
    command = [str(find_ffmpeg()), "-v", "error", "-y", "-f", "lavfi", "-i", film]
    command += ["-f", "lavfi", "-i", "sine=d=2", "-frames:v", str(frames), "-bf", "2"]
    command += ["-c:v", "libx264", "-c:a", "flac", *words, str(path)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    return path


@pytest.fixture(scope="session")
def film(tmp_path_factory):
    return make(tmp_path_factory.mktemp("film") / "film.mkv")


@pytest.fixture(scope="session")
def wanted(film, tmp_path_factory):
    """SHA-256 of what an undisturbed run makes of it."""
    output = tmp_path_factory.mktemp("wanted") / "out.mkv"
    result = run(film, output)
    assert (result.chunks, result.resumed, result.rendered) == (4, 0, FRAMES)
    return sha(output)


def run(source, output, **options):
    given = {"upscale": By(), "encoding": FAST, "chunk": 12} | options
    return upscale_file(source, output, **given)


def sha(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def parts(output):
    return output.with_name(f".{output.name}.parts")


def interrupted(source, output, done=30, stage="chunks", **options):
    """Run until so many frames are done."""

    def stop(progress):
        if progress.stage == stage and progress.done >= done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(source, output, progress=stop, **options)


# The end of the process


def survivor(film, output, at, **options):
    """Run in a process that ends itself, with its children, at the `at`-th thing it does."""
    words = [sys.executable, str(HERE / "survivor.py"), str(film), str(output), str(at)]
    given = {"chunk": 12} | options
    return subprocess.run([*words, json.dumps(given)], capture_output=True, text=True, check=False)


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_killed_again_and_again(film, wanted, tmp_path):
    """A third of all there is to do is done each time."""
    output = tmp_path / "out.mkv"
    for at in (60, 160, 100):
        assert survivor(film, output, at).returncode == -9
        assert not output.exists()
    result = run(film, output)
    assert result.resumed > 0
    assert sha(output) == wanted
    assert list(tmp_path.iterdir()) == [output]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_killed_at_thirty_moments(film, wanted, tmp_path):
    output = tmp_path / "out.mkv"
    much = int(survivor(film, output, 0).stdout.split()[-1])
    moments = random.Random(2026).sample(range(1, much), 30)
    for at in moments:
        output.unlink()
        assert survivor(film, output, at).returncode == -9
        run(film, output, overwrite=True)
        assert sha(output) == wanted, at
        assert list(tmp_path.iterdir()) == [output]


def test_an_interrupted_run_goes_on(film, wanted, tmp_path):
    output, said = tmp_path / "out.mkv", []
    interrupted(film, output, report=said.append)
    assert said[-1] == "what is done is kept in .out.mkv.parts; the same command goes on"
    result = run(film, output)
    assert 1 <= result.resumed < result.chunks
    assert result.rendered == FRAMES - 12 * result.resumed
    assert sha(output) == wanted


def test_the_join_can_be_repeated(film, wanted, tmp_path, monkeypatch):
    output = tmp_path / "out.mkv"
    interrupted(film, output, stage="join", done=10)
    monkeypatch.setattr(hire, "Renderer", None)  # nothing is to be rendered
    assert run(film, output).resumed == 4
    assert sha(output) == wanted


def test_a_film_of_one_chunk_leaves_no_trace(film, tmp_path):
    interrupted(film, tmp_path / "out.mkv", done=20, chunk=240)
    assert list(tmp_path.iterdir()) == []


# Damage


SLOW = pytest.mark.slow
HOW = [pytest.param("cut", marks=SLOW), "changed", pytest.param("gone", marks=SLOW)]


@pytest.mark.parametrize("name", ["film.json", "maker.json", "scenes.json", "00000000.json"])
@pytest.mark.parametrize("how", HOW)
def test_a_damaged_record_costs_what_it_says(film, wanted, tmp_path, name, how):
    output = tmp_path / "out.mkv"
    interrupted(film, output, stage="join", done=10)
    record = parts(output) / name
    data = record.read_bytes()
    if how == "gone":
        record.unlink()
    else:
        record.write_bytes(data[: len(data) // 2] if how == "cut" else data[:-3] + b"?}\n")
    assert run(film, output).resumed == (3 if name == "00000000.json" else 4)
    assert sha(output) == wanted


@pytest.mark.parametrize("how", HOW)
def test_a_damaged_chunk_costs_that_chunk(film, wanted, tmp_path, how):
    output = tmp_path / "out.mkv"
    interrupted(film, output, stage="join", done=10)
    chunk = parts(output) / "00000012.mkv"
    data = bytearray(chunk.read_bytes())
    if how == "gone":
        chunk.unlink()
    elif how == "cut":
        chunk.write_bytes(data[:100])
    else:
        data[len(data) // 2] ^= 1
        chunk.write_bytes(data)
    result = run(film, output)
    assert (result.resumed, result.rendered) == (3, 12)
    assert sha(output) == wanted


@pytest.mark.parametrize("calls", [0, 3])
def test_a_disk_that_is_full_for_a_while(film, wanted, tmp_path, monkeypatch, calls):
    output, publish, left = tmp_path / "out.mkv", journal.publish, [calls]

    def full(path, name):
        if not left[0]:
            raise OSError(errno.ENOSPC, "No space left on device", str(name))
        left[0] -= 1
        return publish(path, name)

    monkeypatch.setattr(journal, "publish", full)
    with pytest.raises(EncodeError, match="No space left on device"):
        run(film, output)
    assert not output.exists()
    monkeypatch.undo()
    assert run(film, output).resumed >= min(calls, 3)
    assert sha(output) == wanted


def test_chunks_of_another_maker_are_not_mixed_where_its_record_is_lost(tmp_path):
    """A damaged record costs what it says; what it hid is still noticed."""
    chunk, made = Chunk(0, 0, 12), Made(sha256="", size=0, frames=12, pixels="", head="")
    first = journal.Journal(tmp_path, tmp_path / "out.mkv")
    first.agree({"source": "a"})
    first.enter_scenes([])
    assert first.accept({"ffmpeg": "8"}) == ""
    (tmp_path / "tmp").touch()
    first.enter(chunk, tmp_path / "tmp", made)
    (tmp_path / "maker.json").write_text("{")
    second = journal.Journal(tmp_path, tmp_path / "out.mkv")
    second.agree({"source": "a"})
    assert "what made the chunks before is lost, and was another" in second.accept({"ffmpeg": "9"})
    assert second.accept({"ffmpeg": "8"}) == ""
    assert "ffmpeg 8 then and 9 now" in second.accept({"ffmpeg": "9"})


@pytest.mark.parametrize("number", [errno.EINVAL, errno.EOPNOTSUPP])
@pytest.mark.skipif(os.name != "posix", reason="folders are not synced")
def test_a_disk_that_knows_no_sync(film, wanted, tmp_path, monkeypatch, number):
    """As CIFS, of folders, and some network disks, of files."""

    def refuse(_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", refuse)
    said, output = [], tmp_path / "out.mkv"
    run(film, output, report=said.append)
    assert said == [f"{output} is whole, but cannot be synced to the disk: {os.strerror(number)}"]
    assert sha(output) == wanted


def test_a_disk_that_fails_is_no_disk_that_knows_no_sync(film, tmp_path, monkeypatch):
    def fail(_):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(EncodeError, match="Input/output error"):
        run(film, tmp_path / "out.mkv")
    assert not (tmp_path / "out.mkv").exists()


# Other arguments, other sources


def test_what_differs_is_told_and_refused(film, wanted, tmp_path):
    source, output = tmp_path / "in.mkv", tmp_path / "out.mkv"
    source.write_bytes(film.read_bytes())
    interrupted(source, output)
    before = {path.name: path.read_bytes() for path in parts(output).iterdir()}

    def refused(match, **options):
        with pytest.raises(EncodeError, match=match) as error:
            run(source, output, **options)
        assert "out.mkv was begun otherwise" in str(error.value)
        assert "give --fresh to forget what is done" in str(error.value)
        assert {path.name: path.read_bytes() for path in parts(output).iterdir()} == before

    refused(
        r"encoder -c libx265.* -crf 18 .* then and .* -crf 20 .* now",
        encoding=Encoding(preset="ultrafast", crf=20),
    )
    refused("upscale nearest then and other now", upscale=By(name="other"))
    refused("chunk 12 then and 24 now", chunk=24)
    refused("scenes detect then and 0 now", scenes="0")
    data = bytearray(source.read_bytes())
    data[-20] ^= 1
    source.write_bytes(data)
    refused("the source's ends [0-9a-f]{12} then and [0-9a-f]{12} now")
    source.write_bytes(film.read_bytes())
    refused("the source's time [0-9]+ then and [0-9]+ now")
    assert run(source, output, fresh=True).resumed == 0
    assert sha(output) == wanted


# Two at a time, and what is there meanwhile


def test_a_second_run_is_kept_out(film, wanted, tmp_path):
    output, met = tmp_path / "out.mkv", []

    def second(progress):
        if progress.stage == "chunks" and progress.done == 20:
            with pytest.raises(EncodeError) as error:
                run(film, output, overwrite=True)
            met.append(str(error.value))

    run(film, output, progress=second)
    assert f"out.mkv is being made by process {os.getpid()} on " in met[0]
    assert sha(output) == wanted


def test_a_result_that_appears_meanwhile_is_kept(film, wanted, tmp_path):
    output = tmp_path / "out.mkv"

    def appear(progress):
        if progress.stage == "join":
            output.write_bytes(b"precious")

    with pytest.raises(EncodeError, match="exists; give --overwrite"):
        run(film, output, progress=appear)
    assert output.read_bytes() == b"precious"
    assert run(film, output, overwrite=True).resumed == 4
    assert sha(output) == wanted


def test_the_file_a_link_leads_to_is_made(film, wanted, tmp_path):
    (tmp_path / "far").mkdir()
    link = tmp_path / "out.mkv"
    link.symlink_to(tmp_path / "far" / "film.mkv")
    run(film, link)
    assert link.is_symlink()
    assert sha(tmp_path / "far" / "film.mkv") == wanted


def test_a_folder_that_cannot_be_written_into_is_noticed_first(film, tmp_path, monkeypatch):
    def deny(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(steps, "plan", None)  # nothing else was looked at
    monkeypatch.setattr(Path, "mkdir", deny)
    with pytest.raises(EncodeError, match=r"cannot write beside .*out.mkv: .*Permission denied"):
        run(film, tmp_path / "out.mkv")


# Workers


@pytest.mark.parametrize("count", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_processes_make_the_same_bytes(film, wanted, tmp_path, count):
    run(film, tmp_path / "out.mkv", workers=count)
    assert sha(tmp_path / "out.mkv") == wanted


def test_threads_make_the_same_bytes(film, wanted, tmp_path, monkeypatch):
    def three(of, first):
        others = [hire.Renderer(of) for _ in range(2)]
        return [lambda one=one: worker.Here(one) for one in (first, *others)]

    monkeypatch.setattr(hire, "here", three)
    run(film, tmp_path / "out.mkv", scenes="0")
    monkeypatch.undo()
    run(film, tmp_path / "one.mkv", scenes="0")
    assert sha(tmp_path / "out.mkv") == sha(tmp_path / "one.mkv") == wanted


@pytest.mark.skipif(sys.platform != "linux", reason="signals and limits")
@pytest.mark.parametrize(
    ("how", "cause"),
    [
        ("kill", "was ended by SIGKILL"),
        pytest.param("stop", "has said nothing for 2 s", marks=pytest.mark.slow),
        pytest.param("memory", "", marks=pytest.mark.slow),
    ],
)
def test_a_worker_that_ends_gives_its_chunk_back(film, wanted, tmp_path, monkeypatch, how, cause):
    monkeypatch.setattr(hire.Child.__init__, "__defaults__", (None, lambda _: None, 2.0))
    flags = tmp_path / "flags"
    flags.mkdir()
    said, output = [], tmp_path / "out.mkv"
    run(film, output, upscale=Failing(flags=str(flags), how=how), workers=2, report=said.append)
    assert any("is given to another worker" in line and cause in line for line in said)
    assert sha(output) == wanted


@pytest.mark.slow
def test_a_chunk_that_workers_die_of_is_named(film, wanted, tmp_path):
    flags = tmp_path / "flags"
    flags.mkdir()
    output = tmp_path / "out.mkv"
    upscale = Failing(flags=str(flags), times=3)
    with pytest.raises(EncodeError, match=r"3 workers died of chunk 0 \(frames 0 to 11\)"):
        run(film, output, upscale=upscale, workers=2)
    run(film, output, upscale=upscale, workers=2)
    assert sha(output) == wanted


@pytest.mark.slow
def test_a_worker_that_would_make_other_bytes_is_not_used(film, wanted, tmp_path):
    flags = tmp_path / "flags"
    flags.mkdir()
    said, output = [], tmp_path / "out.mkv"
    run(film, output, upscale=Different(flags=str(flags)), workers=2, report=said.append)
    line = next(line for line in said if "is not used" in line)
    assert "it would make other bytes: runtime torch 8 then and torch 9 now" in line
    assert sha(output) == wanted


# The picture


def pictures(path):
    clip = vs.core.bs.VideoSource(str(path), cachemode=0, showprogress=False)
    return [hashlib.sha256(b"".join(f.readchunks())).hexdigest() for f in clip.frames()]


@pytest.mark.parametrize(
    ("pixels", "scenes", "dedup", "chunk", "block"),
    [
        ("yuv420p10", "detect", -1.0, 4, 4),
        pytest.param("yuv420p8", "0", 0.0, 4, 4, marks=pytest.mark.slow),
        pytest.param("yuv420p8", "detect", 2.0, 1, 1, marks=pytest.mark.slow),
        pytest.param("yuv420p10", "0", -1.0, 1, 1, marks=pytest.mark.slow),
        pytest.param("yuv420p8", "detect", -1.0, 5, 8, marks=pytest.mark.slow),
    ],
)
def test_chunks_are_the_frames_of_the_whole(
    tmp_path, fixed_model, pixels, scenes, dedup, chunk, block
):
    words = [
        "-vf",
        "negate=enable='between(n,6,11)',select='not(mod(n\\,5))+mod(n\\,2)'",
        "-fps_mode",
        "vfr",
    ]
    source = make(tmp_path / "in.mkv", *words, frames=14, size="16x16")
    options = {"model": str(fixed_model), "block": block, "warmup": 2, "dedup": dedup}
    options |= {"device": "cpu", "precision": "fp32"}
    given = {
        "upscale": AnimeSR(options),
        "encoding": Encoding(format=pixels, arguments=("-c:v", "ffv1")),
        "scenes": scenes,
    }
    whole = run(source, tmp_path / "whole.mkv", chunk=1000, **given)
    parted = run(source, tmp_path / "parted.mkv", chunk=chunk, **given)
    assert whole.chunks == 1
    assert parted.chunks >= 2
    assert pictures(tmp_path / "parted.mkv") == pictures(tmp_path / "whole.mkv")


def test_a_film_of_one_frame(tmp_path):
    source = make(tmp_path / "in.mkv", frames=1)
    assert run(source, tmp_path / "out.mkv").frames == 1
    assert len(pictures(tmp_path / "out.mkv")) == 1
