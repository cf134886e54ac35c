r"""Draw sample.mkv: five seconds of 2D animation in three scenes, made as bad as an old download.

    pip install numpy pillow rlottie-python==1.3.8 imageio-ffmpeg==0.8.1
    npm pack lottie-web@5.13.0 && tar xf lottie-web-5.13.0.tgz
    apt-get download renpy-thequestion && dpkg -x renpy-thequestion_*.deb thequestion
    python examples/make_sample.py --lottie package/test/animations \
        --question thequestion/usr/share/games/renpy/the_question/game/images

Scene 1: a character on threes with held poses before a panning road. Scene 2: a Lottie cartoon on
ones in a park. Scene 3: the character again, close, in a hall that zooms. Drawn at 1280x720;
--crisp keeps that. Then 320x180 in H.264 at a low rate, BT.601, with a tune, a subtitle and
chapters. The same bytes every time. SOURCES.md says whose drawings these are.
"""

# pyright: reportMissingImports=none
import argparse
import json
import subprocess
import tempfile
import wave
from collections.abc import Iterator, Sequence
from pathlib import Path

import imageio_ffmpeg
import numpy as np
from PIL import Image
from rlottie_python.rlottie_wrapper import LottieAnimation

WIDTH, HEIGHT = 1280, 720
FPS = "24000/1001"
SCENES = (48, 36, 36)  # frames
POSES = 3  # frames a drawing is held: animation "on threes"
RATE = 48_000

META = """;FFMETADATA1
title=Sample of vapoursynth-animesr
[CHAPTER]
TIMEBASE=1001/24000
START=0
END=48
title=The road
[CHAPTER]
TIMEBASE=1001/24000
START=48
END=84
title=The visitor
[CHAPTER]
TIMEBASE=1001/24000
START=84
END=120
title=The hall
"""
SUBTITLE = "1\n00:00:00,500 --> 00:00:01,800\nWhat a fine day!\n"


def road(question: Path) -> Iterator[Image.Image]:
    """A pan; the character talks on threes, between held poses."""
    back = _wide(question / "bg meadow.jpg", 1.25)
    faces = _poses(question, "green", 1.55)
    talk = ["normal", "surprised", "smile", "surprised"]
    plan = ["normal"] * 4 + talk + ["smile"] * 3 + talk + ["giggle"]
    for n in range(SCENES[0]):
        x = round(n * 2.5)
        picture = back.crop((x, 60, x + WIDTH, 60 + HEIGHT))
        held = n // POSES
        bob = (0, 4, 8, 4)[held % 4]
        picture.paste(face := faces[plan[held % len(plan)]], (430 - 2 * held, 20 + bob), face)
        yield picture


def visitor(question: Path, lottie: Path) -> Iterator[Image.Image]:
    """A cartoon monster stamps through, drawn on ones."""
    back = _wide(question / "bg uni.jpg", 1.1)
    content = json.loads((lottie / "monster.json").read_text())
    content["layers"] = [layer for layer in content["layers"] if layer["nm"] != "fondo base"]
    animation = LottieAnimation.from_data(json.dumps(content))
    width, height = 860, 688
    for n in range(SCENES[1]):
        raw = animation.lottie_animation_render(frame_num=206 + n, width=width, height=height)
        bgra = np.frombuffer(raw, np.uint8).reshape(height, width, 4)
        monster = Image.fromarray(bgra[..., [2, 1, 0, 3]], "RGBa").convert("RGBA")
        picture = back.crop((60, 30, 60 + WIDTH, 30 + HEIGHT))
        picture.paste(monster, (210 + n, 25), monster)
        yield picture


def hall(question: Path) -> Iterator[Image.Image]:
    """A zoom on the background; the face close. The last twelve frames are one held drawing."""
    back = _wide(question / "bg lecturehall.jpg", 1.0)
    faces = _poses(question, "blue", 2.3)
    plan = ["surprised"] * 3 + ["normal"] * 2 + ["smile", "surprised", "smile"]
    for n in range(SCENES[2]):
        inset = 1.2 * min(n, 23)
        box = (inset, inset * 9 / 16, WIDTH - inset, HEIGHT - inset * 9 / 16)
        picture = back.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC, box)
        picture.paste(face := faces[plan[min(n // POSES, len(plan) - 1)]], (330, 30), face)
        yield picture


def _wide(path: Path, zoom: float) -> Image.Image:
    with Image.open(path) as image:
        size = (round(WIDTH * zoom), round(HEIGHT * zoom))
        return image.convert("RGB").resize(size, Image.Resampling.LANCZOS)


def _poses(question: Path, dress: str, zoom: float) -> dict[str, Image.Image]:
    found: dict[str, Image.Image] = {}
    for mood in ("giggle", "normal", "smile", "surprised"):
        with Image.open(question / f"sylvie {dress} {mood}.png") as image:
            size = (round(image.width * zoom), round(image.height * zoom))
            found[mood] = image.convert("RGBA").resize(size, Image.Resampling.LANCZOS)
    return found


def tune(path: Path) -> None:
    """Five seconds of a plucked pentatonic walk, ours."""
    notes = [0, 4, 7, 9, 12, 9, 7, 4, 2, 7]
    seconds = sum(SCENES) * 1001 / 24000
    t = np.arange(round(seconds * RATE)) / RATE
    sound = np.zeros_like(t)
    for i, note in enumerate(notes):
        since = t - i * seconds / len(notes)
        pitch = 262 * 2 ** (note / 12)
        pluck = np.exp(-5 * since) * np.sin(2 * np.pi * pitch * since)
        sound += np.where(since >= 0, pluck, 0)
    samples = (sound / np.abs(sound).max() * 20_000).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(samples.tobytes())


def encode(frames: Iterator[Image.Image], arguments: Sequence[str]) -> None:
    """Pipe frames into ffmpeg."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-loglevel", "error", "-f", "rawvideo"]
    command += ["-pix_fmt", "rgb24", "-s", f"{WIDTH}x{HEIGHT}", "-r", FPS, "-i", "-", *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as ffmpeg:
        assert ffmpeg.stdin
        for frame in frames:
            ffmpeg.stdin.write(frame.tobytes())
        ffmpeg.stdin.close()
        if ffmpeg.wait():
            raise SystemExit("make_sample: ffmpeg failed")


def main() -> None:
    """Draw and encode."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--lottie", type=Path, required=True)
    parser.add_argument("--question", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("sample.mkv"))
    parser.add_argument("--crisp", type=Path, help="also keep the lossless 1280x720 original here")
    options = parser.parse_args()
    scenes = [road(options.question), visitor(options.question, options.lottie)]
    frames = [frame for scene in (*scenes, hall(options.question)) for frame in scene]
    if options.crisp:
        encode(iter(frames), ["-c:v", "libx264rgb", "-qp", "0", str(options.crisp)])
    with tempfile.TemporaryDirectory() as folder:
        sound, meta, text = (Path(folder, name) for name in ("a.wav", "meta.txt", "text.srt"))
        tune(sound)
        meta.write_text(META)
        text.write_text(SUBTITLE)
        shrink = "scale=320:180:flags=area:out_color_matrix=smpte170m,gblur=sigma=0.45"
        shrink += ",setparams=colorspace=smpte170m:range=tv"
        shrink += ":color_primaries=smpte170m:color_trc=smpte170m"
        video = ["-vf", shrink, "-c:v", "libx264", "-crf", "31", "-preset", "fast", "-threads", "1"]
        video += ["-pix_fmt", "yuv420p"]
        encode(
            iter(frames),
            [
                *("-i", str(sound), "-i", str(text), "-i", str(meta)),
                *("-map", "0:v", "-map", "1:a", "-map", "2:s", "-map_metadata", "3"),
                *("-map_chapters", "3", *video, "-c:a", "aac", "-b:a", "64k", "-c:s", "srt"),
                *("-metadata:s:a:0", "language=zxx", "-metadata:s:s:0", "language=eng"),
                *("-fflags", "+bitexact", "-flags:v", "+bitexact", "-flags:a", "+bitexact"),
                *("-t", f"{sum(SCENES) * 1001 / 24000:.3f}", str(options.out)),
            ],
        )


if __name__ == "__main__":
    main()
