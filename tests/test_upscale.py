"""`vsanimesr upscale`: what it takes, what it says, what it refuses at once."""

import io
import json
import re
import sys
from fractions import Fraction

import av
import pytest
import vapoursynth as vs
from enlargers import By
from safetensors.numpy import save_file
from test_survival import film, index_elsewhere, run

from vsanimesr import encode
from vsanimesr.cli import main
from vsanimesr.encode import AnimeSR, Encoding, Progress, display
from vsanimesr.encode.common import messages
from vsanimesr.encode.common.ffmpeg import Process
from vsanimesr.encode.common.progress import Pace
from vsanimesr.encode.inputs import items
from vsanimesr.errors import EncodeError, OptionError

__all__ = ["film", "index_elsewhere"]  # fixtures


@pytest.fixture
def cheap(monkeypatch):
    monkeypatch.setattr(encode, "AnimeSR", lambda _: By())


QUICK = ["--preset", "ultrafast"]


# Inputs


def test_a_folder_becomes_a_folder(film, tmp_path, cheap, capsys):
    source, output = tmp_path / "in", tmp_path / "out"
    (source / "deep").mkdir(parents=True)
    for name in ("b.mkv", "a.webm", "deep/c.mkv", ".hidden.mkv", "text.txt"):
        (source / name).write_bytes(film.read_bytes())
    (source / "bad.mkv").write_bytes(b"no video")
    assert main(["upscale", str(source), str(output), *QUICK]) == 3
    assert sorted(p.name for p in output.iterdir()) == ["a.mkv", "b.mkv"]
    said = capsys.readouterr().err
    assert "bad.mkv is not a video that can be read" in said
    assert said.splitlines()[-1].startswith("vsanimesr: 1 of 3 files failed: ")
    (source / "bad.mkv").unlink()
    before = (output / "a.mkv").stat().st_mtime_ns
    assert main(["upscale", str(source), str(output), "--recursive", *QUICK]) == 0
    out = capsys.readouterr().out.splitlines()
    assert sum(line.endswith("done before") for line in out) == 2
    assert (output / "a.mkv").stat().st_mtime_ns == before
    assert (output / "deep" / "c.mkv").is_file()


def test_two_that_become_one_are_told(tmp_path):
    for name in ("a.avi", "a.mkv"):
        (tmp_path / name).touch()
    first, second = items([tmp_path], tmp_path / "out")
    assert first.output == second.output == tmp_path / "out" / "a.mkv"
    assert (first.clash, second.clash) == (None, tmp_path / "a.avi")
    (tmp_path / "file").touch()
    with pytest.raises(EncodeError, match="is a file; wanted: a folder"):
        items([tmp_path], tmp_path / "file")
    with pytest.raises(EncodeError, match=r"folder .*file/out cannot be made \(Not a directory\)"):
        items([tmp_path], tmp_path / "file" / "out")
    (tmp_path / "empty").mkdir()
    with pytest.raises(EncodeError, match="no video in"):
        items([tmp_path / "empty"], tmp_path / "out")


def test_a_script_is_a_source(film, tmp_path):
    script, output, said = tmp_path / "film.vpy", tmp_path / "out.mkv", []
    script.write_text(
        "import vapoursynth as vs\nprint('to the user')\n"
        f"clip = vs.core.bs.VideoSource({str(film)!r}, cachemode=0)\n"
        "clip[4:20].std.AssumeFPS(fpsnum=50).set_output()\n"
    )
    result = run(script, output, sound_from=film, report=said.append)
    assert result.frames == 16
    assert any(f"film.vpy names {film}; what else it reads is not known" in s for s in said)
    with av.open(str(output)) as container:
        assert [s.type for s in container.streams] == ["video", "audio"]
        assert container.streams.video[0].average_rate == Fraction(50)
    script.write_text("1 / 0")
    with pytest.raises(EncodeError, match=r"film\.vpy failed: ZeroDivisionError"):
        run(script, tmp_path / "other.mkv")
    script.write_text("")
    with pytest.raises(EncodeError, match="has no video as output 0"):
        run(script, tmp_path / "other.mkv")


def test_a_script_without_a_rate_states_durations(tmp_path):
    script, output = tmp_path / "film.vpy", tmp_path / "out.mkv"
    script.write_text(
        "import vapoursynth as vs\nblank = vs.core.std.BlankClip\n"
        "made = dict(width=32, height=24, format=vs.YUV420P8, length=3)\n"
        "parts = [blank(fpsnum=rate, **made) for rate in (25, 50, 10)]\n"
        "clip = vs.core.std.Splice(parts)\nassert not clip.fps\n"
        "clip.set_output()\n"
    )
    run(script, output, chunk=2)
    with av.open(str(output)) as container:
        stream = container.streams.video[0]
        pts = sorted(
            (p.pts or 0) * stream.time_base * 1000 for p in container.demux(stream) if p.size
        )
        assert pts == [0, 40, 80, 120, 140, 160, 180, 280, 380]
        assert container.duration == 480_000
    text = script.read_text().replace("clip.set", "clip.std.RemoveFrameProps('_DurationNum').set")
    script.write_text(text)
    with pytest.raises(EncodeError, match=r"film.vpy says no duration, .*AssumeFPS"):
        run(script, tmp_path / "other.mkv")


def test_other_weights_are_refused_on_resume(film, fixed_weights, tmp_path):
    """By what is in the file, whatever it is called."""
    model, output = tmp_path / "mine.safetensors", tmp_path / "out.mkv"

    class Mine(By):
        def arguments(self):
            return AnimeSR({"model": str(model)}).arguments()

    def stop(progress):
        if progress.stage == "chunks" and progress.done > 30:
            raise KeyboardInterrupt

    save_file(fixed_weights, model)
    with pytest.raises(KeyboardInterrupt):
        run(film, output, upscale=Mine(), chunk=12, progress=stop)
    save_file({name: value * 1.01 for name, value in fixed_weights.items()}, model)
    with pytest.raises(
        EncodeError, match=r"weights [0-9a-f]+ then and [0-9a-f]+ now; give --fresh"
    ):
        run(film, output, upscale=Mine(), chunk=12)
    save_file(fixed_weights, model)
    assert run(film, output, upscale=Mine(), chunk=12).resumed > 0


# What is refused before anything takes its time


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("-c:v libx264 -pass 2", "it wants the whole film"),
        ("-c:v libx265 -x265-params pass=2", "two passes cannot be used"),
        ("-c:v ffv1 -t 5", "every frame of the source has to come out once"),
        ("-c:v ffv1 -c:a aac", "only the video is encoded"),
        ("-c:v ffv1 -i other.mkv", "there is one input"),
        ("-c:v ffv1 other.mkv", "other.mkv is no option"),
    ],
)
def test_arguments_that_chunks_cannot_have(words, reason):
    with pytest.raises(OptionError, match=reason):
        Encoding(arguments=tuple(words.split()))
    assert Encoding(arguments=("-c:v", "libvvenc", "-qp", "-2"))


def test_a_format_that_the_encoder_would_change(film, tmp_path):
    encoding = Encoding(encoder="x264", format="yuv422p12")
    with pytest.raises(EncodeError, match="does not take yuv422p12 and would make yuv422p10le"):
        run(film, tmp_path / "out.mkv", encoding=encoding)
    assert list(tmp_path.iterdir()) == []


def test_a_size_that_the_encoder_refuses(film, tmp_path):
    class Wide(By):
        def size(self, clip, format_id):
            return 20_000, 32

    with pytest.raises(EncodeError, match=r"frames of 20000x32 in yuv420p10 cannot be encoded"):
        run(film, tmp_path / "out.mkv", encoding=Encoding(encoder="x264"), upscale=Wide())


def test_the_first_error_is_kept():
    code = "import sys; [print('cause' if n == 0 else n, file=sys.stderr) for n in range(30)]"
    process = Process([sys.executable, "-c", f"{code}; sys.exit(1)"])
    with pytest.raises(EncodeError, match=r"status 1: cause \| 22 \| .* \| 29$"):
        process.finish()


# What is said


def test_a_line_now_and_then_without_a_terminal(monkeypatch):
    monkeypatch.setattr(display, "EVERY", 0.0)
    out, err = io.StringIO(), io.StringIO()
    shown = display.Text(out, err)
    shown.move(Progress(stage="chunks", done=10, total=100, rate=2.5))
    assert err.getvalue() == "vsanimesr: chunks: 10 of 100, 2.50 a second, 0:36 left\n"
    assert display.clock(3725) == "1:02:05"


def test_a_name_cannot_write_on_the_terminal(film, tmp_path, cheap, capsys):
    """Control characters in names are shown, not sent."""
    output = tmp_path / "a\n\x1b[31mred.mkv"
    assert main(["upscale", str(film), str(output), *QUICK]) == 0
    assert main(["upscale", str(film), str(output), *QUICK]) == 1
    out, err = capsys.readouterr()
    assert "a\\n\\x1b[31mred.mkv: 48 frames in" in out
    assert "a\\n\\x1b[31mred.mkv exists; give --overwrite" in err
    assert "\x1b" not in out + err


def test_the_bar_of_a_terminal():
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    err = Terminal()
    shown = display.Text(io.StringIO(), err)
    for stage, total in (("index", 100), ("scenes", 240), ("chunks", 240), ("join", 240)):
        for done in (0, total):
            shown.move(Progress(stage=stage, done=done, total=total, rate=2.0 * done))
        shown.say(f"of {stage}")
    shown.close()
    lines = [line.strip() for line in re.split(r"[\r\n]", err.getvalue()) if line.strip()]
    for stage in ("index", "scenes", "chunks", "join"):
        assert any(re.match(rf"{stage} +0% \| +\|", line) for line in lines)
        assert f"vsanimesr: of {stage}" in lines
    assert lines[-1] == "vsanimesr: of join"


def test_how_far_the_index_is_is_heard(film):
    seen = []
    with messages.indexing(seen.append):
        vs.core.log_message(vs.MESSAGE_TYPE_INFORMATION, "VideoSource track #0 index progress 7%")
        vs.core.log_message(vs.MESSAGE_TYPE_INFORMATION, "something else 8%")
    vs.core.log_message(vs.MESSAGE_TYPE_INFORMATION, "VideoSource track #0 index progress 9%")
    assert seen == [7]


def test_what_is_left_is_reckoned_from_what_this_run_has_made(monkeypatch):
    now, told = [0.0], []
    monkeypatch.setattr("vsanimesr.encode.common.progress.time.monotonic", lambda: now[0])
    pace = Pace("chunks", 1000, told.append, done=500)
    for _ in range(11):
        pace.moved()
        now[0] += 2
    assert (told[0].left, told[1].left) == (None, None)
    assert told[-1].rate == pytest.approx(0.5)
    assert told[-1].left == pytest.approx((1000 - 511) * 2)


def test_events_for_programs(film, tmp_path, cheap, capsys):
    output = tmp_path / "out.mkv"
    assert main(["upscale", str(film), str(output), "--json", *QUICK]) == 0
    out, err = capsys.readouterr()
    events = [json.loads(line) for line in out.splitlines()]
    assert err == ""
    assert events[0] == {"event": "begin", "file": str(film), "output": str(output)}
    stages = dict.fromkeys(e["stage"] for e in events if e["event"] == "progress")
    assert list(stages) == ["index", "scenes", "chunks", "join"]  # nothing to check
    assert events[-1]["event"] == "done"
    assert (events[-1]["frames"], events[-1]["size"]) == (48, output.stat().st_size)


def test_a_failure_is_an_event(tmp_path, cheap, capsys):
    assert main(["upscale", "absent.mkv", str(tmp_path / "out.mkv"), "--json"]) == 1
    out, err = capsys.readouterr()
    event = json.loads(out.splitlines()[-1])
    assert event["event"] == "failed"
    assert "absent.mkv is not there" in event["text"]
    assert "absent.mkv is not there" in err


def test_a_name_that_cannot_be_printed_is_no_failure(film, tmp_path, cheap, monkeypatch):
    buffer = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(buffer, "ascii"))
    output = tmp_path / "ü.mkv"
    assert main(["upscale", str(film), str(output), *QUICK]) == 0
    sys.stdout.flush()
    assert b"\\xfc.mkv: 48 frames" in buffer.getvalue()
    assert output.is_file()
