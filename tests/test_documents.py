"""What the documents say can be typed: every script and command of the site is run."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from importlib.metadata import metadata
from pathlib import Path

import pytest
import vapoursynth as vs
from links import broken_in_site
from sybil import Sybil
from sybil.parsers.markdown import CodeBlockParser, PythonCodeBlockParser

from vsanimesr import cli, options
from vsanimesr.encode.common.ffmpeg import find_ffmpeg

ROOT = Path(__file__).parent.parent
DOCS = sorted((ROOT / "docs").glob("*.md"))
BIN = Path(sys.executable).parent


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """A film of eight small frames, and a script that enlarges it."""
    path = tmp_path_factory.mktemp("film") / "in.mkv"
    made = "testsrc2=size=64x48:rate=24:duration=0.333"
    command = [str(find_ffmpeg()), "-v", "error", "-f", "lavfi", "-i", made]
    subprocess.run([*command, "-pix_fmt", "yuv420p", str(path)], check=True, timeout=60)
    return path


@pytest.fixture
def place(tmp_path, film, monkeypatch):
    """A folder with that film, where documents' commands and scripts find what they name."""
    shutil.copy(film, tmp_path / "in.mkv")
    index = (ROOT / "docs" / "index.md").read_text()
    script = re.search(r"```python\n(.+?)```", index, re.DOTALL)
    (tmp_path / "script.vpy").write_text(script[1])
    monkeypatch.setenv("PATH", os.pathsep.join([str(BIN), os.environ["PATH"]]))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def shell(example):
    """Run a block of commands as one would who types them.

    Where it is of this package's command alone, in this process: to start it takes far longer than
    to enlarge a tiny film, and the other blocks do start it.
    """
    lines = [shlex.split(line, comments=True) for line in example.parsed.splitlines()]
    if all(words[0] == "vsanimesr" for words in lines):
        for words in lines:
            assert cli.main(words[1:]) == 0, words
        return
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", example.parsed],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, f"{example.parsed}\n{done.stdout}{done.stderr}"


@pytest.mark.weights
@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.stem)
def test_scripts_and_commands_work(path, place):
    document = Sybil(
        parsers=[PythonCodeBlockParser(), CodeBlockParser("sh", evaluator=shell)],
    ).parse(path)
    for example in document.examples():
        vs.clear_outputs()
        example.evaluate()


@pytest.mark.parametrize("path", [*DOCS, ROOT / "README.md"], ids=lambda path: path.stem)
def test_extras_that_are_named_exist(path):
    extras = set(metadata("vapoursynth-animesr").get_all("Provides-Extra"))
    for asked in re.findall(r"vapoursynth-animesr\[([a-z,-]+)\]", path.read_text()):
        assert set(asked.split(",")) <= extras


def test_programs_that_are_named_are_there():
    """`python benchmarks/x.py --option`: the file, and the options it takes."""
    named = 0
    for path in [*DOCS, ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("training/*.md")]:
        text = path.read_text()
        for file, rest in re.findall(r"python ((?:benchmarks|examples)/\S+\.py)([^`\n]*)", text):
            source = ROOT / file
            assert source.is_file(), f"{path.name} names {file}"
            for option in re.findall(r"(--[a-z-]+)", rest):
                assert f'"{option}"' in source.read_text(), f"{path.name}: {file} has no {option}"
            named += 1
    assert named > 10


def test_the_table_of_arguments():
    assert options.table() in (ROOT / "docs" / "arguments.md").read_text()


@pytest.mark.slow
def test_the_site_is_built_and_its_links_lead_somewhere(tmp_path):
    """Strictly: a warning is an error. LinkChecker as root wants to read what others may not."""
    pytest.importorskip("zensical", reason="wants the group `docs`")
    build = [sys.executable, "-m", "zensical", "build", "--clean", "--strict"]
    subprocess.run(build, cwd=ROOT, check=True, timeout=120)
    site = ROOT / "out" / "site"
    assert (site / "api.html").read_text().count("doc-heading") > 20, "the reference is there"
    links = [str(BIN / "linkchecker"), "--no-status", "--no-warnings", str(site / "index.html")]
    done = subprocess.run(links, capture_output=True, text=True, timeout=120, check=False)
    assert re.search(r"That's it. \d{2,} links in .* 0 errors found", done.stdout), done.stdout
    wrong, named = broken_in_site(site)
    assert wrong == []
    assert named > 100
