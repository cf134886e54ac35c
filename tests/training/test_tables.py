"""The paper's tables in small: interrupted and resumed, they are the same tables."""

# pyright: reportMissingImports=none

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
ROWS = ["BasicOP-only"]


@pytest.fixture
def tables(monkeypatch):
    """The script, with two iterations a row on the smallest of drawings."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import learning
    import table_clips
    import table_rows
    import tables

    monkeypatch.setattr(learning, "TRAIN_SIZE", (64, 64))
    monkeypatch.setattr(learning, "TEST_SIZE", (64, 64))
    monkeypatch.setattr(learning, "ZOOMS", (1.0,))
    monkeypatch.setattr(learning, "FLAT", 0.0)
    monkeypatch.setattr(table_clips, "write_videos", lambda folder, sizes: None)
    tiny = msgspec.structs.replace(table_rows.BUDGETS["tiny"], patch=64)
    monkeypatch.setitem(table_rows.BUDGETS, "tiny", tiny)
    return tables


def words(folder, *more):
    return ["tables.py", *more, str(folder), "--budget", "tiny", "--seeds", "1"]


def do(tables, monkeypatch, capsys, *line):
    monkeypatch.setattr(sys, "argv", list(line))
    tables.main()
    return capsys.readouterr().out


def whole(tables, monkeypatch, capsys, folder):
    """Run, measure and show; the tables, but for times."""
    run = [*words(folder, "run"), "--rows", *ROWS, "--peers", "bicubic"]
    do(tables, monkeypatch, capsys, *run)
    do(tables, monkeypatch, capsys, *words(folder, "measure"), "--measures", "psnr")
    shown = do(tables, monkeypatch, capsys, *words(folder, "show"), "--measures", "psnr")
    return shown.partition("\ncosts\n")[0]  # times are never the same


def test_tables_that_were_interrupted_are_the_same(tables, tmp_path, monkeypatch, capsys):
    shown = whole(tables, monkeypatch, capsys, tmp_path / "whole")
    assert all(f"| {row} | 1 |" in shown for row in ["bicubic", "plain", *ROWS])

    train = tables.stages.run
    begun = []

    def stopped(stage, place, device):
        begun.append(place)
        if len(begun) != 2:
            return train(stage, place, device)
        part = msgspec.structs.replace(
            stage, train=msgspec.structs.replace(stage.train, iterations=1)
        )
        train(part, place, device)
        raise KeyboardInterrupt

    monkeypatch.setattr(tables.stages, "run", stopped)
    with pytest.raises(SystemExit, match="the same command goes on"):
        whole(tables, monkeypatch, capsys, tmp_path / "resumed")
    assert whole(tables, monkeypatch, capsys, tmp_path / "resumed") == shown
    assert [place.parent.name for place in begun] == ["plain", ROWS[0], *ROWS]


def test_a_job_that_another_process_is_at_is_left_to_it(tables, tmp_path):
    budget = tables.table_rows.BUDGETS["tiny"]
    job = tables.table_rows.jobs(tmp_path, budget, 1)[0]
    with tables.claim(tmp_path / "runs" / job.name / "claim") as free:
        assert free
        assert not tables.attempt(tmp_path, job, budget, "cpu")
    assert not tables.finished(tmp_path, job)


def test_jobs_come_after_what_they_need_and_seed_by_seed(tables, tmp_path):
    jobs = tables.table_rows.jobs(tmp_path, tables.table_rows.BUDGETS["cpu"], 3)
    names = [job.name for job in jobs]
    assert len(set(names)) == len(names)
    for place, job in enumerate(jobs):
        assert set(job.after) <= set(names[:place])
    seeds = [job.seed for job in jobs if "rescaled" not in job.row and job.row != "own weights"]
    assert seeds == sorted(seeds)
    for job in jobs:
        path = BENCHMARKS.parent / "training" / job.recipe
        stage = tables.config.load(path, tables.recipe.Stage, tables.table_rows.overrides(job))
        assert stage.train.iterations in (1200, 2000, 300, 120, 50, 600)


@pytest.mark.slow
def test_all_rows_stopped_by_the_clock_again_and_again(tmp_path):
    """Slow: every row, two processes, each time stopped after 20 seconds."""
    line = [sys.executable, str(BENCHMARKS / "tables.py"), "run", str(tmp_path)]
    line += ["--budget", "tiny", "--seeds", "1", "--peers", "bicubic", "--minutes", "0.33"]
    for _ in range(40):
        pair = [subprocess.Popen(line, stderr=subprocess.DEVNULL) for _ in range(2)]
        ends = [process.wait(120) for process in pair]
        if ends == [0, 0]:
            break
    made = {path.parent.name for path in tmp_path.glob("outputs/*/0.npz")}
    assert len(made) == 15
