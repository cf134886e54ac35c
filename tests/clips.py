"""Clips that no pass-through can fake: every frame is its own picture. For .vpy files, too."""

import hashlib
import random
import time

import numpy as np
import vapoursynth as vs

CUTS = (37, 71)


def source(length=100, width=32, height=24, cuts=CUTS, uneven=0.0, format=vs.RGBS, fail_at=None):
    """Moving waves with scene cuts marked in the properties.

    `uneven`: some frames take up to so many seconds. They are drawn by eight filters side by side,
    for one `ModifyFrame` draws its frames one after the other, and so in order.
    """
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    costs = random.Random(7)
    slow = [uneven * costs.choice((0, 0, 0, 0.1, 1)) for _ in range(length)]

    def draw(n, f):
        if n == fail_at:
            raise RuntimeError(f"source broke at {n}")
        scene = sum(n >= cut for cut in cuts)
        frame = f.copy()
        for plane in range(3):
            phase = 0.4 * n + 1.3 * plane + 2.0 * scene
            wave = 0.5 + 0.45 * np.sin(0.37 * y + 0.21 * x * (1 + scene) + phase)
            np.copyto(np.asarray(frame[plane]), wave)
        frame.props["_SceneChangePrev"] = int(n in cuts)
        frame.props["_SceneChangeNext"] = int(n + 1 in cuts)
        frame.props["number"] = n
        return frame

    blank = vs.core.std.BlankClip(
        width=width, height=height, format=vs.RGBS, length=length, keep=True
    )
    clip = blank.std.ModifyFrame(blank, draw)
    if uneven:
        clip = vs.core.std.Interleave([_delayed(clip[i::8], slow[i::8]) for i in range(8)])[:length]
    if format != vs.RGBS:
        matrix = {} if vs.core.get_video_format(format).color_family == vs.RGB else {"matrix": 6}
        clip = clip.resize.Bicubic(format=format, **matrix)
    return clip


def _delayed(clip, seconds):
    def wait(n, f):
        time.sleep(seconds[n])
        return f

    return clip.std.ModifyFrame(clip, wait)


def digest(frame):
    """SHA-256 of a frame's pixels."""
    sha = hashlib.sha256()
    for plane in range(frame.format.num_planes):
        sha.update(np.ascontiguousarray(np.asarray(frame[plane])))
    return sha.hexdigest()


def digests(clip, order, in_flight=1):
    """Digest of each frame, asked for in this order with so many requests in flight."""
    found = {}
    waiting = list(order)[::-1]
    running = []
    while waiting or running:
        while waiting and len(running) < in_flight:
            n = waiting.pop()
            running.append((n, clip.get_frame_async(n)))
        n, future = running.pop(0)
        with future.result() as frame:
            found[n] = digest(frame)
    return found
