"""The command: words in, status and streams out."""

import json
import subprocess
import sys

import pytest

from vsanimesr import __version__, doctor, encode, weights
from vsanimesr.cli import main
from vsanimesr.doctor import Check
from vsanimesr.encode import FORMATS, Encoding, Progress, Result
from vsanimesr.encode.arguments import OWN
from vsanimesr.errors import EncodeError, WeightsError
from vsanimesr.models import RELEASES
from vsanimesr.options import defaults


@pytest.fixture
def job(monkeypatch):
    """Record what `upscale` would do instead of doing it."""
    calls = []

    def upscale_file(source, output, **options):
        calls.append({"source": source, "output": output} | options)
        options["report"]("a note")
        for n in range(3):
            options["progress"](Progress(stage="chunks", done=n + 1, total=3, rate=0.0))
        return Result(
            output=output, frames=3, seconds=2.0, rendered=3, resumed=0, chunks=1, size=5_000_000
        )

    monkeypatch.setattr(encode, "upscale_file", upscale_file)
    return calls


def test_defaults_are_those_of_the_library(job, capsys):
    assert main(["upscale", "in.mkv", "out.mkv"]) == 0
    (call,) = job
    assert call["encoding"] == Encoding()
    assert call["overwrite"] is False
    assert call["upscale"].options == {n: v for n, v in defaults().items() if n not in OWN}
    assert (call["scenes"], call["workers"], call["fresh"]) == ("detect", 0, False)
    out, err = capsys.readouterr()
    assert out == "out.mkv: 3 frames in 0:02, 1.50 frames/s, 5.0 MB\n"
    assert err == "vsanimesr: a note\n"  # no bar where standard error is no terminal


def test_every_choice_arrives(job):
    words = "--overwrite --encoder x264 --crf 12.5 --preset slow --format yuv444p10 --model v1"
    words += " --scale 2 --backend torch --device cpu --precision fp32 --block 0 --warmup 4"
    words += " --scenes 0 --prefetch 3 --cache 9 --matrix 1 --range 1 --providers cpu --dither 1"
    words += " --dedup 0.5 --strips 2 --memory 99 --compile 1"
    assert main(["upscale", "in.mkv", "out.mkv", *words.split()]) == 0
    (call,) = job
    assert call["overwrite"] is True
    assert call["encoding"] == Encoding(encoder="x264", crf=12.5, preset="slow", format="yuv444p10")
    assert call["scenes"] == "0"
    assert call["upscale"].options == {
        **{"model": "v1", "scale": 2.0, "backend": "torch", "device": "cpu", "precision": "fp32"},
        **{
            "block": 0,
            "warmup": 4,
            "prefetch": 3,
            "cache": 9,
            "matrix": 1,
            "range": 1,
            "providers": "cpu",
            "dither": 1,
            "dedup": 0.5,
            "strips": 2,
            "memory": 99,
            "compile": 1,
        },
    }


def test_scene_detection_and_ffmpeg_arguments(job):
    words = ["--scenes", "detect", "--ffmpeg-args=-c:v libvvenc -qp 24 -tag 'a b'"]
    assert main(["upscale", "in.mkv", "out.mkv", *words]) == 0
    (call,) = job
    assert call["scenes"] == "detect"
    assert call["encoding"].arguments == ("-c:v", "libvvenc", "-qp", "24", "-tag", "a b")


def test_help_states_the_defaults_of_the_code(capsys):
    with pytest.raises(SystemExit) as status:
        main(["upscale", "--help"])
    assert status.value.code == 0
    said = " ".join(capsys.readouterr().out.split())
    for name in defaults().keys() - set(OWN):
        assert f"(default: {defaults()[name]})" in said
    assert all(name in said for name in FORMATS)
    assert "(18 for x265, 16 for x264, 20 for svtav1)" in said
    assert "(.mkv, .mp4, .m4v, .mov)" in said


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["upscale"],
        ["upscale", "in.mkv"],
        ["upscale", "in.mkv", "out.mkv", "--encoder", "mpeg2"],
        ["upscale", "in.mkv", "out.mkv", "--block", "many"],
        ["weights"],
        ["nonsense"],
    ],
)
def test_wrong_usage_is_status_2(words, capsys):
    with pytest.raises(SystemExit) as status:
        main(words)
    assert status.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("usage: vsanimesr")


def test_version(capsys):
    with pytest.raises(SystemExit) as status:
        main(["--version"])
    assert status.value.code == 0
    assert capsys.readouterr().out == f"vsanimesr {__version__}\n"


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (EncodeError("upscale: a | b\n c"), "vsanimesr: upscale: a | b c\n"),
        (WeightsError("v9 is unknown"), "vsanimesr: v9 is unknown\n"),
        (
            PermissionError(13, "Permission denied", "x"),
            "vsanimesr: [Errno 13] Permission denied: 'x'\n",
        ),
        (KeyError("x"), "vsanimesr: KeyError: 'x' (--debug shows where)\n"),
    ],
)
def test_errors_are_one_line(monkeypatch, capsys, error, line):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(encode, "upscale_file", fail)
    assert main(["upscale", "in.mkv", "out.mkv"]) == 1
    assert capsys.readouterr() == ("", line)
    assert main(["upscale", "in.mkv", "out.mkv", "--debug"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("Traceback")
    assert said.endswith(line)


def test_interrupted(monkeypatch, capsys):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(encode, "upscale_file", stop)
    assert main(["upscale", "in.mkv", "out.mkv"]) == 130
    assert capsys.readouterr().err == "\nvsanimesr: interrupted\n"


def test_weights(monkeypatch, capsys, tmp_path):
    def fetch(name, log):
        log(f"fetching {name}")
        return tmp_path / name

    releases = list(RELEASES.values())
    monkeypatch.setattr(weights, "fetch", fetch)
    monkeypatch.setattr(
        weights, "listing", lambda: list(zip(releases, [None, tmp_path], strict=True))
    )
    assert main(["weights", "fetch"]) == 0
    out, err = capsys.readouterr()
    assert out.split() == [str(tmp_path / name) for name in RELEASES]
    assert err == "".join(f"fetching {name}\n" for name in RELEASES)
    assert main(["weights", "fetch", "v1"]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'v1'}\n"
    assert main(["weights", "list"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.endswith("not here; vsanimesr weights fetch v1")
    assert second.endswith(str(tmp_path))
    assert main(["weights", "path", "v2"]) == 0
    assert capsys.readouterr().out == f"{weights.locate('v2')}\n"
    assert main(["weights", "path", "v9"]) == 1
    assert "v9" in capsys.readouterr().err


@pytest.mark.parametrize(("state", "status"), [("ok", 0), ("warn", 0), ("fail", 1)])
def test_doctor_fails_only_on_failures(monkeypatch, capsys, state, status):
    found = [
        Check(name="a", state="ok", found="1"),
        Check(name="longer", state=state, found="2", why="because", advice="do it"),
    ]
    monkeypatch.setattr(doctor, "checks", lambda: found)
    assert main(["doctor"]) == status
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "ok    a       1"
    assert lines[1] == f"{state:<4}  longer  2"
    assert lines[2:4] == ["              because", "              do it"]
    assert lines[4] == ("1 of 2 checks failed" if status else "ready")


def test_the_module_runs_and_stays_light():
    code = "import sys; from vsanimesr.cli import main\n"
    code += "try: main(['--version'])\nexcept SystemExit: pass\n"
    code += "print(*({'torch', 'vapoursynth', 'av', 'numpy'} & set(sys.modules)))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout == f"vsanimesr {__version__}\n\n"
    said = subprocess.run(
        [sys.executable, "-m", "vsanimesr", "--version"], capture_output=True, text=True, check=True
    )
    assert said.stdout == f"vsanimesr {__version__}\n"


@pytest.mark.skipif(sys.platform == "win32", reason="file descriptors")
@pytest.mark.parametrize("how", [">&-", "2>&-", ">&- 2>&- <&-", "| true", ">/dev/full 2>&1"])
@pytest.mark.parametrize("words", ["", "--json"])
def test_streams_that_nobody_reads_are_no_failure(how, words):
    """The job is done; what is said of it is lost."""
    code = "import sys, vsanimesr.encode as e; from vsanimesr.encode import Result\n"
    code += "def do(source, output, report, progress, **_):\n    report('note ü')\n"
    code += "    return Result(output=output, frames=3, seconds=2.0, rendered=3, resumed=0,\n"
    code += "                  chunks=1, size=5)\n"
    code += "e.upscale_file = do\nfrom vsanimesr.cli import main\n"
    code += f"sys.exit(main('upscale {words} a.mkv b.mkv'.split()))"
    command = f'"$0" -c "$1" {how}; exit ${{PIPESTATUS[0]}}'
    status = subprocess.run(["bash", "-c", command, sys.executable, code], check=False).returncode
    assert status == 0


def test_names_in_events_are_utf_8_whatever_the_locale():
    code = "from vsanimesr.encode.events import Events; import sys; from pathlib import Path\n"
    code += "import os; Events(sys.stdout).begin(Path(os.fsdecode(b'\\xc3\\xbc')), Path('o'))"
    said = subprocess.run(
        [sys.executable, "-X", "utf8=0", "-c", code],
        env={"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0"},
        capture_output=True,
        check=True,
    ).stdout
    assert json.loads(said)["file"] == "ü"
