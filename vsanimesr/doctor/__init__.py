"""Is the installation sound, and if not, what is wrong and what helps?"""

from vsanimesr.doctor import files, gpus, host, plugins, runtimes
from vsanimesr.doctor.check import Check, tried

__all__ = ["Check", "checks"]


def checks() -> list[Check]:
    """Look at everything this package needs or can use; takes a few seconds."""
    found = [*tried("Python", host.python), *tried("VapourSynth", host.vapoursynth, "fail")]
    if found[-1].state != "fail":
        found += tried("plugin", plugins.plugins, "fail")
    for name, look in (
        ("runtimes", runtimes.runtimes),
        ("GPU", gpus.cuda),
        ("WebGPU", gpus.webgpu),
        ("auto", runtimes.auto),
        ("weights", files.weights),
        ("ffmpeg", files.ffmpeg),
        ("av, tqdm", files.modules),
        ("vspipe", host.vspipe),
        ("vs-jetpack", host.jetpack),
    ):
        found += tried(name, look)
    return found
