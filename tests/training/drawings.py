"""Real 2D animation for the trainer's tests: Lottie cartoons (tests/data/lottie), drawn by rlottie.

A camera moves over each cartoon, before a painted background, so that every frame has lines, flat
colours and motion. The same arguments give the same pixels.
"""

import gzip
from pathlib import Path

import av
import numpy as np
from rlottie_python.rlottie_wrapper import LottieAnimation

FOLDER = Path(__file__).parent.parent / "data" / "lottie"
NAMES = ("bacon", "banner", "dalek", "starfish")
SHARES = {"bacon": (0.0, 1.0), "banner": (0.0, 1.0), "dalek": (0.12, 0.62), "starfish": (0.2, 0.8)}
"""Part of each cartoon in which something moves."""


def render(name, count, size=(320, 192), zoom=2.0, seed=0):
    """`count` frames (t, h, w, 3), uint8 RGB, of the cartoon `name`; `size` is width, height."""
    path = FOLDER / f"{name}.json.gz"
    cartoon = LottieAnimation.from_data(gzip.decompress(path.read_bytes()).decode())
    width, height = size
    large_w, large_h = int(width * zoom), int(height * zoom)
    total = cartoon.lottie_animation_get_totalframe()
    begin, end = (int(share * total) for share in SHARES[name])
    random = np.random.default_rng(seed)
    offset = int(random.integers(end - begin))
    phase = random.uniform(0, 2 * np.pi, 2)
    background = paint(large_w, large_h, random)
    frames = []
    for n in range(count):
        drawn = begin + (offset + n) % (end - begin)
        data = cartoon.lottie_animation_render(frame_num=drawn, width=large_w, height=large_h)
        sway = 0.5 + 0.5 * np.sin(phase + n * np.array((0.05, 0.035)))
        x, y = int(sway[0] * (large_w - width)), int(sway[1] * (large_h - height))
        seen = np.s_[y : y + height, x : x + width]
        bgra = np.frombuffer(data, np.uint8).reshape(large_h, large_w, 4)[seen].astype(np.float32)
        cover = bgra[..., 3:] / 255
        whole = bgra[..., 2::-1] + (1 - cover) * background[seen]
        frames.append(np.clip(whole + 0.5, 0, 255).astype(np.uint8))
    return np.stack(frames)


def paint(width, height, random):
    """A background (h, w, 3), float32 of 0 to 255: a soft gradient with hard-edged shapes."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    top, bottom = random.uniform(60, 230, (2, 3))
    picture = top + (bottom - top) * (y / height)[..., None] + np.zeros((width, 1))
    for _ in range(24):
        centre = random.uniform(0, 1, 2) * (width, height)
        radius, angle = random.uniform(0.02, 0.16) * width, random.uniform(0, np.pi)
        left, up = np.maximum(centre - radius - 3, 0).astype(int)  # nothing is drawn farther out
        right, down = (centre + radius + 4).astype(int)
        near = np.s_[up:down, left:right]
        u = (x[near] - centre[0]) * np.cos(angle) + (y[near] - centre[1]) * np.sin(angle)
        v = (y[near] - centre[1]) * np.cos(angle) - (x[near] - centre[0]) * np.sin(angle)
        shape = np.abs(u) + np.abs(v) if random.random() < 0.5 else np.hypot(u, 2 * v)
        colour = random.uniform(0, 255, 3).astype(np.float32)
        inside = np.clip(radius - shape + 0.5, 0, 1)[..., None]  # antialiased over a pixel
        outline = np.clip(2 - np.abs(shape - radius), 0, 1)[..., None]
        picture[near] += inside * (colour - picture[near])
        picture[near] *= 1 - outline
    return picture.astype(np.float32)


def film(path, clips, fps=24, crf=12):
    """Write clips (t, h, w, 3), one after the other with hard cuts, as H.264."""
    height, width = clips[0].shape[1:3]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = {"crf": str(crf), "preset": "veryfast", "threads": "1"}
        for clip in clips:
            for frame in clip:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return path
