"""Stored clips: whole or not there. Patches: every pixel from its place, by seed and number."""

import errno
import os
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vsanimesr.errors import TrainingError
from vsanimesr.training.clips import ClipStore
from vsanimesr.training.train.patches import PatchDataset

WIDTH, HEIGHT, COUNT = 200, 150, 50


def frames(count=COUNT, width=WIDTH, height=HEIGHT, clip=0):
    """Pixels that hold the number of their frame (and clip), their row and their column."""
    rows, columns = np.mgrid[:height, :width].astype(np.uint8)
    return [np.stack([np.full_like(rows, clip + n), rows, columns], -1) for n in range(count)]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    store = ClipStore(tmp_path_factory.mktemp("store"))
    for number, name in enumerate(("a", "b", "c")):
        store.write(name, frames(clip=60 * number), "train", {"note": name})
    store.write("t", frames(20, 40, 30), "test", {})
    return store


def test_what_is_written_is_read(store):
    assert store.names() == ["a", "b", "c", "t"]
    assert store.names("train") == ["a", "b", "c"]
    assert store.names("test") == ["t"]
    assert (store.size("t"), store.frames("t")) == ((40, 30), 20)
    assert store.meta("b")["note"] == "b"
    assert np.array_equal(store.read("t"), np.stack(frames(20, 40, 30)))
    assert store.damaged() == []


@settings(
    deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_every_pixel_comes_from_its_place(store, data):
    x, y = data.draw(st.integers(0, WIDTH - 1)), data.draw(st.integers(0, HEIGHT - 1))
    w, h = data.draw(st.integers(1, WIDTH - x)), data.draw(st.integers(1, HEIGHT - y))
    indices = data.draw(st.lists(st.integers(0, COUNT - 1), max_size=4))
    wanted = np.stack(frames())[indices, y : y + h, x : x + w]
    assert np.array_equal(store.read("a", indices, (x, y, w, h)), wanted)


def place(patch):
    """(clip, frames, left, top, sideways, upside down, swapped) of a patch, from its pixels."""
    numbers, rows, columns = patch.numpy().astype(int).transpose(1, 0, 2, 3)
    swapped = bool(rows[0, 0, 0] != rows[0, 0, 1])
    if swapped:
        rows, columns = rows.transpose(0, 2, 1), columns.transpose(0, 2, 1)
    side = rows.shape[1]
    assert (numbers == numbers[:, :1, :1]).all()
    for held, axis in ((rows, 1), (columns, 2)):
        steps = np.diff(held, axis=axis)
        assert abs(steps[0, 0, 0]) == 1
        assert (steps == steps[0, 0, 0]).all()
        assert (held == held[:1]).all()
        assert held.max() - held.min() == side - 1
    clip, first = divmod(int(numbers[0, 0, 0]), 60)
    indices = [first + int(n) for n in numbers[:, 0, 0] - numbers[0, 0, 0]]
    sideways, upside_down = columns[0, 0, 0] > columns[0, 0, 1], rows[0, 0, 0] > rows[0, 1, 0]
    return clip, indices, columns.min(), rows.min(), bool(sideways), bool(upside_down), swapped


def test_what_a_patch_is_drawn_from(store):
    dataset = PatchDataset(store, frames=15, patch=32, seed=5)
    count = 360
    drawn = [place(dataset[number]) for number in range(count)]
    steps = [indices[1] - indices[0] for _, indices, *_ in drawn]
    for (_, indices, *_), step in zip(drawn, steps, strict=True):
        assert np.diff(indices).tolist() == [step] * 14
        assert min(indices) >= 0
        assert max(indices) < COUNT
    # Four standard deviations of a share of 1/2 and of 1/3 of 360 draws.
    assert all(abs(n / count - 1 / 3) < 0.1 for n in Counter(map(abs, steps)).values())
    assert sorted(Counter(map(abs, steps))) == [1, 2, 3]
    assert abs(np.mean([step < 0 for step in steps]) - 0.5) < 0.105
    for column in (4, 5, 6):
        assert abs(np.mean([one[column] for one in drawn]) - 0.5) < 0.105
    lefts, tops = np.array([one[2:4] for one in drawn]).T
    assert lefts.min() < 9
    assert lefts.max() > WIDTH - 32 - 9
    assert lefts.max() <= WIDTH - 32
    assert tops.min() < 7
    assert tops.max() > HEIGHT - 32 - 7
    assert tops.max() <= HEIGHT - 32
    for epoch in range(0, count, 3):
        assert sorted(one[0] for one in drawn[epoch : epoch + 3]) == [0, 1, 2]
    orders = {tuple(one[0] for one in drawn[epoch : epoch + 3]) for epoch in range(0, count, 3)}
    assert len(orders) == 6


def test_a_sample_is_a_function_of_seed_and_number(store):
    numbers = [7, 0, 1000, 3, 7]
    first, again = (PatchDataset(store, frames=5, patch=32, seed=1) for _ in range(2))
    forwards = {number: again[number] for number in sorted(numbers)}
    assert all(torch.equal(first[number], forwards[number]) for number in numbers)
    other = PatchDataset(store, frames=5, patch=32, seed=2)
    assert not any(torch.equal(other[number], forwards[number]) for number in numbers)


def test_what_is_switched_off_stays_off(store):
    dataset = PatchDataset(
        store, frames=4, patch=32, intervals=(2,), reverse=0, flips=False, transpose=False
    )
    for number in range(24):
        _, indices, *_, sideways, upside_down, swapped = place(dataset[number])
        assert np.diff(indices).tolist() == [2, 2, 2]
        assert not sideways
        assert not upside_down
        assert not swapped


def test_clips_that_are_too_short_for_an_interval_take_a_smaller_one(store):
    dataset = PatchDataset(store, split="test", frames=15, patch=16)
    steps = {abs(int(np.diff(dataset[n][:, 0, 0, 0].int())[0])) for n in range(12)}
    assert steps == {1}  # 20 frames hold 15 at an interval of 1 only


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"split": "test", "patch": 32}, r"clip t has 20 frames of 40x30, wanted 15 of 32x32"),
        ({"split": "test", "patch": 16, "frames": 21}, r"wanted 21 of 16x16"),
        ({"patch": 151}, r"clip a has 50 frames of 200x150"),
    ],
)
def test_clips_that_hold_no_patch_are_refused(store, options, said):
    with pytest.raises(TrainingError, match=said):
        PatchDataset(store, **options)


def test_a_store_without_clips_is_refused(tmp_path):
    with pytest.raises(TrainingError, match="no clips to train"):
        PatchDataset(ClipStore(tmp_path))


@pytest.mark.parametrize(
    ("indices", "crop"),
    [
        ([50], None),
        ([-1], None),
        ([0], (0, 0, 201, 8)),
        ([0], (-1, 0, 8, 8)),
        ([0], (0, 143, 8, 8)),
        ([0], (0, 0, 0, 8)),
    ],
)
def test_what_lies_outside_is_refused(store, indices, crop):
    with pytest.raises(TrainingError, match="clip a, which has 50 of 200x150"):
        store.read("a", indices, crop)


@pytest.mark.parametrize(
    ("name", "split", "given", "said"),
    [
        ("x", "train", [], "no frames"),
        ("x", "train", [*frames(1, 8, 8), *frames(1, 8, 9)], "frame 1 is 8x9, the first one 8x8"),
        ("x", "train", [np.zeros((8, 8, 3), np.float32)], "float32"),
        ("x", "train", [np.zeros((8, 8), np.uint8)], "wanted RGB"),
        ("x", "val", frames(1, 8, 8), "split 'val'"),
        ("../x", "train", frames(1, 8, 8), "clip '../x'"),
        ("", "train", frames(1, 8, 8), "clip ''"),
    ],
)
def test_what_is_no_clip_is_refused_and_leaves_nothing(tmp_path, name, split, given, said):
    store = ClipStore(tmp_path)
    with pytest.raises(TrainingError, match=said):
        store.write(name, given, split, {})
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_there_is_no_such_clip(store):
    with pytest.raises(TrainingError, match="clip nobody cannot be read"):
        store.frames("nobody")


def test_a_full_disk_leaves_the_clip_before(tmp_path, monkeypatch):
    store = ClipStore(tmp_path)
    store.write("x", frames(3, 16, 16), "train", {})

    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(TrainingError, match=r"x cannot be written: .*No space left"):
        store.write("x", frames(4, 16, 16), "train", {})
    assert store.frames("x") == 3
    assert store.damaged() == []
    assert [path.name for path in (tmp_path / "clips").iterdir()] == ["x"]


def test_a_clip_takes_the_place_of_another(tmp_path):
    store = ClipStore(tmp_path)
    store.write("x", frames(3, 16, 16), "train", {})
    assert store.read("x").max() == 15
    store.write("x", frames(4, 16, 16, clip=90), "test", {})
    assert store.frames("x") == 4
    assert store.names("test") == ["x"]
    assert store.read("x")[..., 0].min() == 90
    store.remove("x")
    assert store.names() == []


KILLED = """
import os, signal, sys
import numpy as np
from pathlib import Path
from vsanimesr.training.clips import ClipStore
def frames():
    for n in range(50):
        if n == 20:
            os.kill(os.getpid(), signal.SIGKILL)
        yield np.full((64, 64, 3), n, np.uint8)
ClipStore(Path(sys.argv[1])).write("x", frames(), "train", {})
"""


@pytest.mark.skipif(os.name == "nt", reason="no SIGKILL")
def test_a_killed_writer_leaves_the_clip_before(tmp_path):
    store = ClipStore(tmp_path)
    store.write("x", frames(3, 16, 16), "train", {})
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], timeout=120, check=False)
    assert done.returncode == -9
    assert len(list((tmp_path / "clips").iterdir())) == 2  # it was at it
    assert store.names() == ["x"]
    assert np.array_equal(ClipStore(tmp_path).read("x"), np.stack(frames(3, 16, 16)))


def test_damage_is_found(tmp_path):
    store = ClipStore(tmp_path)
    for name in ("gone", "sound", "short", "turned"):
        store.write(name, frames(3, 16, 16), "train", {})
    path = {name: tmp_path / "clips" / name / "frames.b2nd" for name in store.names()}
    path["gone"].unlink()
    path["short"].write_bytes(path["short"].read_bytes()[:-1])
    data = bytearray(path["turned"].read_bytes())
    data[len(data) // 2] ^= 1
    path["turned"].write_bytes(data)
    assert store.damaged() == ["gone", "short", "turned"]
