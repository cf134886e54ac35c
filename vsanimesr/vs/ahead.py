"""Source frames asked for before an output frame needs them, so that upstream runs on all threads.

They are requests apart from those of output frames, made as a host makes them: one that fails, or
never comes, concerns nobody. (VapourSynth fails an output frame for any frame that was asked for in
its name, needed or not.) What comes lies in the cache of the node until it is asked for in earnest.

A source that lets them wait, as a live one, keeps a thread of VapourSynth for each, and others may
wait behind them. So one thread is always left to what is needed, and no frame is asked for that is
`AT_ONCE` or more after one that has not come: of a source that gives 5 frames ahead, and no more
before its first frame has been used, none of these is the sixth.
"""

import ctypes
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from ctypes import byref
from functools import cache

from vsanimesr.lru import Lru
from vsanimesr.vs.api import API, MAP_REPLACE, CoreInfo, set_data

STD = b"com.vapoursynth.std"
NOTHING = "vsanimesr: no such property"
AT_ONCE = 4
"""Frames under way at once; as in native/animesr.c."""
REMEMBERED = 256
"""Frames asked for last, which are not asked for again."""
CACHED = 20
"""Frames that a cache of VapourSynth holds by itself at first (`VSNode::setCacheMode`)."""


def cached(api: API, core: int, source: int, prefetch: int) -> int:
    """A node of the same frames whose cache has room for `prefetch` ahead. Takes over `source`.

    Requests for one frame of it, from here and for an output frame, become one of the source's.
    """
    call = api.createMap()
    api.mapConsumeNode(call, b"clip", source, MAP_REPLACE)
    set_data(api, call, b"props", NOTHING)
    answer = api.invoke(api.getPluginByID(STD, core), b"RemoveFrameProps", call)
    api.freeMap(call)
    node = api.mapGetNode(answer, b"clip", 0, None)
    api.freeMap(answer)
    api.setCacheOptions(node, 0, CACHED + prefetch, -1)
    return node


class Ahead:
    """Asks for frames of one node. Any thread may call it; nothing here waits."""

    def __init__(self, api: API, core: int, shim: ctypes.CDLL, node: int) -> None:
        """For a node of `core`, of which a reference is kept until the last frame has come."""
        self._api, self._core, self._shim = api, core, shim
        self._handle = shim.animesr_ahead_new(api.addNodeRef(node), api.address)
        self._asked = Lru[int, bool](REMEMBERED)
        self._lock = threading.Lock()  # held for some microseconds only

    def ask(self, frames: Iterable[int], needed: int = -1) -> None:
        """Ask for these, nearest first, as far as threads are free and they have not been asked.

        Those up to `needed` are in any case: their threads serve what is needed already.
        """
        try:
            _thread().submit(self._ask, tuple(frames), needed)
        except RuntimeError:  # the interpreter shuts down
            return

    def forget(self) -> None:
        """Have what was asked for before asked for again."""
        with self._lock:
            self._asked.clear()

    def close(self) -> None:
        """Ask for nothing more."""
        with self._lock:
            if self._handle:
                self._shim.animesr_ahead_free(self._handle)
            self._handle = None

    def _ask(self, frames: tuple[int, ...], needed: int) -> None:
        info = CoreInfo()
        with self._lock:
            if not self._handle:
                return
            self._api.getCoreInfo(self._core, byref(info))
            for n in frames:
                places = (self._shim.animesr_ahead_pending(self._handle, i) for i in range(AT_ONCE))
                pending = [t for t in places if t >= 0]
                if sum(t > needed for t in pending) >= info.num_threads - 1:
                    return
                if n in self._asked or (pending and n >= min(pending) + AT_ONCE):
                    continue
                if not self._shim.animesr_ahead_ask(self._handle, n):
                    return
                self._asked.put(n, True)


@cache
def _thread() -> ThreadPoolExecutor:
    """The process's one thread that asks: VapourSynth forbids it inside a filter's callback."""
    return ThreadPoolExecutor(1, "vsanimesr-ahead")
