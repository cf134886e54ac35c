"""Jump about in a previewer and reload its script: milliseconds a jump, memory after each reload.

    pip install 'vapoursynth-animesr[torch,encode]' psutil, and one of
    pip install vsview==0.14.0
    pip install vspreview==0.20.1 'vsjetpack<2'     (in an environment of its own)
    QT_QPA_PLATFORM=offscreen python benchmarks/previewer.py vsview examples/plain.vpy --out shots

Without QT_QPA_PLATFORM it opens the window. It asks for the frames through the previewer's own
functions and saves the window after each as a PNG. A jump is over when the picture is painted.
vspreview keeps its settings in `.vsjet` beside the script, the last frame shown among them.

What it showed on 22 November 2026 (examples/plain.vpy: 320x180 to 1280x720, v2 in bf16 on two Xeon
cores that other jobs used as well, so times are upper bounds; commit 180bd82, from a wheel):

    vsview 0.14.0      frames 10, 90, 45: 2.4, 17.6, 10.3 s    MB after reloads: 1384 to 1394
    vspreview 0.20.1   frames 10, 90, 45: 1.3, 9.9, 5.4 s      MB after reloads: 1271 to 1337

Those jumps take 10, 80 and 46 steps in both, so the time is the network's: 0.12 s a step, 0.22 s
while more was going on beside vsview. A reload shows the frame again and takes as long as that.
Twelve reloads at frame 2 leave vsview between 867 and 911 MB. Of forty in vspreview the first left
787 MB, the 38th 794, those looked at in between up to 839. Frames 10, 90 and 45, asked for in
this order in vspreview, had the bytes of a straight render in another process.
docs/previewer.png is frame 90 in vsview, made smaller, in 128 colours.
"""

import argparse
import ctypes
import gc
import sys
import time
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import psutil

PATIENCE = 300  # seconds for one jump


class Previewer(Protocol):
    """What is done to a previewer here; `window` is a QWidget, `app` a QApplication."""

    app: Any
    window: Any

    def ready(self) -> bool:
        """Whether a script is loaded and nothing is being rendered."""
        ...

    def jump(self, n: int) -> None:
        """Ask for frame n."""
        ...

    def reload(self) -> None:
        """Evaluate the script again."""
        ...


class VSView:
    """Renders and loads in threads of its own."""

    def __init__(self, script: Path) -> None:
        main: Any = import_module("vsview.app.main")
        self.app: Any = main.Application([sys.argv[0]], no_settings=True)
        import_module("vsview.app.plugins.manager").PluginManager.load()
        self.window: Any = main.MainWindow()
        self.window.resize(1280, 800)
        self.window.show()
        button, self.loading = self.window.load_new_script(script)
        self.work: Any = button.workspace

    def ready(self) -> bool:
        """Whether nothing is being loaded or rendered."""
        playback = self.work.playback
        busy = playback.is_rendering or playback.has_pending_frame
        return self.loading.done() and playback.can_reload and not busy

    def jump(self, n: int) -> None:
        """Ask for frame n."""
        self.work.playback.seek_to_frame_coalesced(n)

    def reload(self) -> None:
        """Evaluate the script again."""
        self.loading = self.work.reload_content()


class VSPreview:
    """Renders and loads in the window's own thread: each call returns when it is done."""

    def __init__(self, script: Path) -> None:
        init: Any = import_module("vspreview.init")
        self.app: Any = init.QApplication([sys.argv[0]])
        init.set_vsengine_loop()
        self.window: Any = init.MainWindow(script.parent, True, True, False)
        self.window.resize(1280, 800)
        self.window.load_script(script, [], False, None, script.name, None)

    def ready(self) -> bool:
        """Whether the script was evaluated."""
        return not self.window.script_exec_failed

    def jump(self, n: int) -> None:
        """Ask for frame n."""
        self.window.switch_frame(n)

    def reload(self) -> None:
        """Evaluate the script again."""
        self.window.reload_script()


def wait(previewer: Previewer, until: Callable[[], bool]) -> None:
    """Let the previewer work until something is so."""
    deadline = time.monotonic() + PATIENCE
    while not until():
        previewer.app.processEvents()
        time.sleep(0.002)
        if time.monotonic() > deadline:
            raise TimeoutError(f"not done in {PATIENCE} s")
    for _ in range(5):  # paint
        previewer.app.processEvents()


def timed(previewer: Previewer, action: Callable[[], None]) -> float:
    """Milliseconds until the previewer is ready again."""
    start = time.perf_counter()
    action()
    wait(previewer, previewer.ready)
    return 1000 * (time.perf_counter() - start)


def memory() -> float:
    """MB of this process, without what the C library holds back."""
    gc.collect()
    if sys.platform == "linux":
        ctypes.CDLL(None).malloc_trim(0)
    return psutil.Process().memory_info().rss / 2**20


def main(arguments: Sequence[str] | None = None) -> None:
    """See the top of this file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("previewer", choices=("vsview", "vspreview"))
    parser.add_argument("script", type=Path)
    parser.add_argument("--frames", type=int, nargs="+", default=[10, 90, 45])
    parser.add_argument("--reloads", type=int, default=5)
    parser.add_argument("--out", type=Path, help="folder for the screenshots")
    parser.add_argument(
        "--change",
        nargs=2,
        metavar=("OLD", "NEW"),
        help="edit the script and reload it at the end",
    )
    chosen = parser.parse_args(arguments)
    start = time.perf_counter()
    kind = {"vsview": VSView, "vspreview": VSPreview}[chosen.previewer]
    previewer: Previewer = kind(chosen.script.resolve())
    wait(previewer, previewer.ready)
    print(f"loaded: {1000 * (time.perf_counter() - start):.0f} ms, {memory():.0f} MB", flush=True)
    for n in chosen.frames:
        print(f"frame {n}: {timed(previewer, lambda n=n: previewer.jump(n)):.0f} ms", flush=True)
        grab(previewer, chosen.out, f"{chosen.previewer}-{n}")
    for i in range(1, chosen.reloads + 1):
        took = timed(previewer, previewer.reload)
        print(f"reload {i}: {took:.0f} ms, {memory():.0f} MB", flush=True)
    grab(previewer, chosen.out, f"{chosen.previewer}-reloaded")
    if chosen.change:
        old, new = chosen.change
        text = chosen.script.read_text()
        if old not in text:
            parser.error(f"{old!r} is not in {chosen.script}")
        chosen.script.write_text(text.replace(old, new))
        took = timed(previewer, previewer.reload)
        print(f"changed: {took:.0f} ms, {memory():.0f} MB", flush=True)
        grab(previewer, chosen.out, f"{chosen.previewer}-changed")
    previewer.window.close()
    wait(previewer, lambda: not previewer.window.isVisible())
    print("closed", flush=True)


def grab(previewer: Previewer, folder: Path | None, name: str) -> None:
    """Save what the window shows."""
    if folder:
        folder.mkdir(parents=True, exist_ok=True)
        previewer.window.grab().save(str(folder / f"{name}.png"))


if __name__ == "__main__":
    main()
