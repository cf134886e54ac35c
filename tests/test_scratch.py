"""Folders for a while."""

import os
import tempfile
import time

from vsanimesr import scratch


def test_a_folder_goes_and_those_of_the_dead_go_too(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    then = time.time() - scratch.OLD - 60
    for name in ("vsanimesr-dead", "vsanimesr-young", "other-dead"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").touch()
        if name.endswith("dead"):
            os.utime(tmp_path / name, (then, then))
    with scratch.folder() as made:
        (made / "file").touch()
        names = {path.name for path in tmp_path.iterdir()}
        assert names == {made.name, "vsanimesr-young", "other-dead"}
    assert not made.exists()
