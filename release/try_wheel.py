"""Install a wheel where nothing else is, follow the doctor's advice, and look at what comes out.

    python -m release.try_wheel dist --runtime onnx --python python3.13

In a new environment, a new home and an empty cache, with no program on PATH but the environment's
own: no compiler, no ffmpeg. First the two commands that lead to a frame: installs the wheel, alone
or with the extra of another runtime, and renders two frames through `vspipe`, which fetches the
weights and is held against what the authors' code gave. Then, with a new home again, runs every
command that `vsanimesr doctor` advises, word for word, until it is content, and enlarges a file.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hatch_build import TARGETS, this_platform

ROOT = Path(__file__).parent.parent
GOLDEN = ROOT / "tests" / "data" / "bunny_64x48.npz"
"""Frames, and what the authors' code made of them: arrays `input` and `v2`."""
RUNTIMES = {
    "native": "native",
    "torch": "PyTorch",
    "onnx": "ONNX Runtime",
    "openvino": "OpenVINO",
    "ncnn": "ncnn",
}
"""What can be asked for, and what the doctor calls it. The first is in the wheel itself."""
ROUNDS = 6
"""The doctor is asked this often at most: something installed may lack something else."""
TOLERANCE = 2e-3
"""Greatest difference to the golden values, which are half floats, on a range of [0, 1]."""
SCRIPT = """
import numpy as np
import vapoursynth as vs

frames = np.load({golden!r})["input"][:3]


def fill(n, f):
    made = f.copy()
    for plane in range(3):
        np.copyto(np.asarray(made[plane]), frames[n, :, :, plane])
    return made


clip = vs.core.std.BlankClip(width=64, height=48, format=vs.RGB24, length=len(frames))
clip = clip.std.ModifyFrame(clip, fill)
clip.animesr.Upscale(format=vs.RGBS, block=0, precision="fp32", backend={backend!r}).set_output()
"""


@dataclass(frozen=True)
class Home:
    """An environment, a home and a cache, all new, in one folder."""

    folder: Path
    links: Path
    """Where the wheel lies: the doctor may advise to install this package with an extra."""

    @property
    def scripts(self) -> Path:
        """Where the environment's commands lie."""
        return self.folder / "env" / ("Scripts" if os.name == "nt" else "bin")

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command as somebody would who activated the environment."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "VIRTUAL_ENV"))}
        home = str(self.folder / "home")
        new = dict.fromkeys(("HOME", "USERPROFILE", "LOCALAPPDATA", "APPDATA"), home)
        new |= {"XDG_CACHE_HOME": f"{home}/cache", "PIP_FIND_LINKS": str(self.links)}
        new |= {"PIP_DISABLE_PIP_VERSION_CHECK": "1"}
        new["PATH"] = str(self.scripts)
        if os.name == "nt":  # its own libraries are found by it
            new["PATH"] += os.pathsep + os.environ["PATH"]
        # Windows looks for the program by the PATH of the caller.
        program = self.scripts / f"{command[0]}{'.exe' if os.name == 'nt' else ''}"
        words = [str(program) if program.is_file() else command[0], *command[1:]]
        return subprocess.run(
            words,
            env=kept | new,
            cwd=self.folder,
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            timeout=1800,
            check=False,
        )

    def must(self, *command: str) -> str:
        """Run a command that must succeed; what it printed.

        Raises:
            RuntimeError: It failed; with what it said.
        """
        done = self.run(*command)
        if done.returncode:
            raise RuntimeError(f"{shlex.join(command)} failed:\n{done.stdout}{done.stderr}")
        return done.stdout


@dataclass(frozen=True)
class Finding:
    """What the doctor says about one thing."""

    state: str
    name: str
    advice: tuple[str, ...]
    """Commands, word for word."""


def findings(text: str) -> list[Finding]:
    """Read what the doctor printed: `state name found`, then lines that stand further in."""
    found: list[Finding] = []
    for line in text.splitlines():
        if head := re.match(r"(ok|warn|fail) +(.+?)(  |$)", line):
            found.append(Finding(head[1], head[2], ()))
        elif found and line.startswith(" "):
            words = line.strip()
            command = (words,) if words.startswith(("pip ", "vsanimesr ")) else ()
            last = found.pop()
            found.append(Finding(last.state, last.name, last.advice + command))
    return found


def follow(home: Home, runtime: str) -> list[str]:
    """Run what the doctor advises until nothing fails; the commands in their order.

    Of the runtimes only the one called `runtime` is looked at, for one is enough.

    Raises:
        RuntimeError: A command failed, or the doctor is not content in the end.
    """
    others = set(RUNTIMES.values()) - {RUNTIMES[runtime]}
    run: list[str] = []
    said = ""
    for _ in range(ROUNDS):
        done = home.run("vsanimesr", "doctor")
        said = done.stdout + done.stderr
        open_ = [f for f in findings(done.stdout) if f.state != "ok" and f.name not in others]
        commands = [words for f in open_ for words in f.advice if words not in run]
        if not commands:
            if done.returncode:
                raise RuntimeError(f"the doctor has no more advice:\n{said}")
            return run
        for words in dict.fromkeys(commands):
            home.must(*shlex.split(words))
            run.append(words)
    raise RuntimeError(f"the doctor is not content after {ROUNDS} rounds:\n{said}")


def frames_differ_by(home: Home, backend: str) -> float:
    """Render two frames through vspipe; the greatest difference to the golden values."""
    script, raw = home.folder / "golden.vpy", home.folder / "golden.raw"
    script.write_text(SCRIPT.format(golden=str(GOLDEN), backend=backend), encoding="utf-8")
    home.must("vspipe", "-s", "0", "-e", "1", str(script), str(raw))
    made = np.fromfile(raw, np.float32).reshape(2, 3, 192, 256)
    with np.load(GOLDEN) as golden:
        wanted = golden["v2"][:2].astype(np.float32).transpose(0, 3, 1, 2)
    # vspipe writes green, blue, red
    return float(np.abs(made[:, [2, 0, 1]] - wanted).max())


def enlarge(home: Home, backend: str) -> str:
    """Make a small file and enlarge it by the command; what the command said."""
    python = str(home.scripts / "python")
    ffmpeg = "import imageio_ffmpeg as f; print(f.get_ffmpeg_exe())"
    program = home.must(python, "-c", ffmpeg).strip()
    made = "testsrc2=size=32x24:rate=24:duration=0.2"
    home.must(program, "-v", "error", "-f", "lavfi", "-i", made, "in.mkv")
    home.must("vsanimesr", "upscale", "--backend", backend, "in.mkv", "out.mkv")
    look = "import av; s = av.open('out.mkv').streams.video[0]; print(s.width, s.height)"
    return home.must(python, "-c", look).strip()


def main() -> int:
    """Try the wheel for this machine; print what was done and how long it took."""
    parser = argparse.ArgumentParser(description="Install a wheel in a new environment and use it.")
    parser.add_argument("folder", type=Path, help="the wheels, as release.wheels makes them")
    parser.add_argument("--runtime", choices=RUNTIMES, default="native")
    parser.add_argument("--python", default=sys.executable, help="the interpreter to use")
    arguments = parser.parse_args()
    tag = TARGETS[this_platform()].tag
    (wheel,) = arguments.folder.resolve().glob(f"*-{tag}.whl")
    with tempfile.TemporaryDirectory(prefix="vsanimesr-", ignore_cleanup_errors=True) as place:
        home = Home(Path(place), wheel.parent)
        (home.folder / "home").mkdir()
        subprocess.run([arguments.python, "-m", "venv", str(home.folder / "env")], check=True)
        extra = "" if arguments.runtime == "native" else f"[{arguments.runtime}]"
        start = time.monotonic()
        home.must("pip", "install", "--quiet", f"{wheel}{extra}")
        ready = time.monotonic()
        print(home.must("python", "-VV").strip())
        print(f"installed in {ready - start:.0f} s")
        ready = time.monotonic()
        difference = frames_differ_by(home, arguments.runtime)
        print(f"first frames after {time.monotonic() - ready:.1f} s, {difference:.1e} from golden")
        shutil.rmtree(home.folder / "home")
        (home.folder / "home").mkdir()
        for command in follow(home, arguments.runtime):
            print(f"advised: {command}")
        size = enlarge(home, arguments.runtime)
        print(f"vsanimesr upscale: 32x24 became {size}")
    return 0 if difference <= TOLERANCE and size == "128 96" else 1


if __name__ == "__main__":
    sys.exit(main())
