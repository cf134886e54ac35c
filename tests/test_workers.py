"""Who is blamed for a worker's death: what it was doing, not what waited for it."""

import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from vsanimesr.encode.chunks import Chunk
from vsanimesr.encode.verify import Made
from vsanimesr.encode.workers.crew import run
from vsanimesr.encode.workers.lane import ENDS, FED, WAITS, Hands, Lane
from vsanimesr.encode.workers.news import News
from vsanimesr.encode.workers.work import Work
from vsanimesr.encode.workers.worker import Died
from vsanimesr.errors import EncodeError

CHUNKS = [Chunk(n, 10 * n, 10 * n + 10) for n in range(4)]


def work(**others):
    given = {
        "chunks": CHUNKS,
        "touch": CHUNKS[0],
        "folder": Path(),
        "accept": lambda _: "",
        "enter": lambda *_: None,
        "moved": lambda _: None,
        "report": lambda _: None,
    }
    return Work(**given | others)


# Here: two chunks at a time


@pytest.mark.parametrize(
    ("stages", "own", "guilty"),
    [
        ((FED, WAITS), False, [True, False]),
        ((ENDS, FED), False, [False, True]),
        ((ENDS, WAITS), False, [True, False]),
        ((ENDS, ENDS), False, [True, True]),
        ((WAITS, WAITS), False, [True, True]),
        ((ENDS, FED), True, [True, False]),  # the first says itself what is wrong with it
    ],
)
def test_of_what_a_worker_had_it_died_of_what_it_was_doing(stages, own, guilty):
    hands = Hands()
    lanes = [Lane(chunk, Path(), hands.turn) for chunk in CHUNKS[:2]]
    for lane, stage in zip(lanes, stages, strict=True):
        lane.stage = stage
        hands.take(lane)
    assert [hands.died_of(lane, own=own) for lane in lanes] == guilty


class Mortal:
    """A worker that dies of chunk 1, with the end of chunk 0 still before it."""

    def __init__(self):
        self._dead = threading.Event()

    def facts(self, touch, folder):
        return {}

    def render(self, chunk, path, moved, fed):
        if self._dead.is_set():
            raise Died("it was dead")
        moved(0)
        if chunk == CHUNKS[1]:
            self._dead.set()
        else:
            fed()
            if chunk == CHUNKS[0]:
                self._dead.wait(2)
        if self._dead.is_set():
            raise Died("it was killed")
        return Made(sha256="", size=0, frames=10, pixels="", head="")

    def close(self):
        self._dead.set()


def test_a_chunk_that_was_there_when_others_killed_its_worker_is_not_named():
    """Chunk 0 is there at all three deaths, and would be named first: it is given back first."""
    with pytest.raises(EncodeError, match=r"3 workers died of chunk 1 \(frames 10 to 19\)"):
        run(work(), [Mortal])


# On a cluster: what Dask's topics tell


class Client:
    def __init__(self):
        self.heard = {}

    def subscribe_topic(self, topic, hear):
        self.heard[topic] = hear


@pytest.fixture
def cluster():
    client, moved = Client(), []
    news = News(work(moved=moved.append), "topic", client)

    def tell(number, what):
        client.heard["topic"]((0.0, (number, what)))

    def gone(worker, expected=False):
        about = {"action": "remove-worker", "worker": worker, "expected": expected}
        client.heard["all"]((0.0, about))
        client.heard["all"]((0.0, {"action": "add-worker", "worker": worker}))

    return SimpleNamespace(news=news, tell=tell, gone=gone, moved=moved)


def test_a_chunk_that_waited_for_dead_workers_is_not_named(cluster):
    for worker in ("a", "b", "c"):
        cluster.tell(1, {"begun": worker})
        cluster.tell(1, {"fed": worker})
        cluster.tell(0, {"begun": worker})
        cluster.tell(1, 4)
        cluster.gone(worker)
    with pytest.raises(EncodeError, match=r"3 workers died of chunk 1 .*: c is gone; what else"):
        cluster.news.follow()


def test_an_end_that_another_chunk_has_brought_about_is_not_counted(cluster):
    for worker in ("a", "b", "c", "d"):
        cluster.tell(0, {"begun": worker})
        cluster.tell(0, {"ends": worker})
        cluster.tell(int(worker == "d") + 2, {"fed": worker})  # thrice 2, once 3
        if worker == "c":
            cluster.gone(worker, expected=True)
        else:
            cluster.gone(worker)
    cluster.news.follow()  # nobody has killed three
    cluster.tell(2, {"fed": "e"})
    cluster.gone("e")
    with pytest.raises(EncodeError, match="3 workers died of chunk 2 "):
        cluster.news.follow()


def test_what_was_left_or_is_made_is_not_to_blame(cluster):
    made = CHUNKS[2]
    for worker in ("a", "b", "c"):
        cluster.tell(0, {"fed": worker})
        cluster.tell(0, {"left": worker})
        cluster.tell(1, {"begun": worker})
        cluster.tell(2, {"fed": worker})
        if worker == "a":
            cluster.news.done(made)
        cluster.gone(worker)
    cluster.news.follow()


def test_frames_of_a_chunk_begun_anew_count_anew(cluster):
    for worker in ("a", "b"):
        cluster.tell(0, {"begun": worker})
        cluster.tell(0, {"fed": worker})
        cluster.tell(0, 4)
    cluster.news.follow()
    assert cluster.moved == [4, -4, 4]
    cluster.news.done(CHUNKS[0])
    assert sum(cluster.moved) == 10
