"""Encodes on a Dask cluster of real worker processes."""

import pytest
from enlargers import Different, Failing
from test_survival import FRAMES, film, index_elsewhere, run, sha, wanted

from vsanimesr.errors import EncodeError

distributed = pytest.importorskip("distributed")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]
__all__ = ["film", "index_elsewhere", "wanted"]  # fixtures


@pytest.fixture
def cluster(tmp_path_factory):
    import dask.config

    # A worker that dies begins anew; where the machine is busy that takes more than 15 s.
    patient = dask.config.set({"distributed.deploy.lost-worker-timeout": "200s"})
    with (
        patient,
        distributed.LocalCluster(
            n_workers=3,
            threads_per_worker=2,
            processes=True,
            dashboard_address=":0",
            local_directory=str(tmp_path_factory.mktemp("dask")),
        ) as found,
    ):
        yield found


def test_the_same_bytes(cluster, film, wanted, tmp_path):
    done, said = [], []

    def move(progress):
        if progress.stage == "chunks":
            done.append(progress.done)

    output = tmp_path / "out.mkv"
    run(film, output, scheduler=cluster.scheduler_address, progress=move, report=said.append)
    assert sha(output) == wanted
    assert done[-1] == FRAMES
    assert len(done) > 5
    assert any("Dask shows" in line for line in said)
    assert list(tmp_path.iterdir()) == [output]


def test_a_worker_that_is_killed(cluster, film, wanted, tmp_path):
    flags = tmp_path / "flags"
    flags.mkdir()
    output = tmp_path / "out.mkv"
    upscale = Failing(flags=str(flags), how="kill", times=2)
    run(film, output, upscale=upscale, scheduler=cluster.scheduler_address)
    assert len(list(flags.iterdir())) == 2
    assert sha(output) == wanted


def test_a_worker_that_differs_is_not_used(cluster, film, wanted, tmp_path):
    flags = tmp_path / "flags"
    flags.mkdir()
    said, output = [], tmp_path / "out.mkv"
    run(
        film,
        output,
        upscale=Different(flags=str(flags)),
        scheduler=cluster.scheduler_address,
        report=said.append,
    )
    lines = [line for line in said if "is not used" in line]
    assert all("runtime torch 8 then and torch 9 now" in line for line in lines)
    assert sha(output) == wanted


def test_a_scheduler_that_is_restarted(film, wanted, tmp_path):
    output = tmp_path / "out.mkv"
    first = distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, processes=True, dashboard_address=":0"
    )

    def end(progress):
        if progress.stage == "chunks" and progress.done >= 24:
            first.close()

    with pytest.raises(EncodeError, match=r"scheduler is gone|cannot be made"):
        run(film, output, scheduler=first.scheduler_address, progress=end)
    assert not output.exists()
    with distributed.LocalCluster(n_workers=2, processes=True, dashboard_address=":0") as second:
        result = run(film, output, scheduler=second.scheduler_address)
    assert result.resumed >= 1
    assert sha(output) == wanted


def test_nobody_there(film, tmp_path, monkeypatch):
    monkeypatch.setattr("vsanimesr.encode.workers.cluster.SECONDS", 1.0)
    with pytest.raises(EncodeError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:9"):
        run(film, tmp_path / "out.mkv", scheduler="tcp://127.0.0.1:9")


def test_a_chunk_that_workers_die_of_is_named(cluster, film, wanted, tmp_path):
    """After the third, on different workers; what else is done is kept."""
    flags = tmp_path / "flags"
    flags.mkdir()
    output = tmp_path / "out.mkv"
    upscale = Failing(flags=str(flags), how="kill", at=45, times=3)
    with pytest.raises(EncodeError, match=r"3 workers died of chunk 3 \(frames 36 to 47\), the"):
        run(film, output, upscale=upscale, scheduler=cluster.scheduler_address)
    assert len(list(flags.iterdir())) == 3
    result = run(film, output, upscale=upscale, scheduler=cluster.scheduler_address)
    assert result.resumed >= 1
    assert sha(output) == wanted


def test_a_worker_that_stalls_is_helped_out(cluster, film, wanted, tmp_path):
    """Its chunk is tried by another once that has nothing else to do."""
    flags = tmp_path / "flags"
    flags.mkdir()
    output = tmp_path / "out.mkv"
    upscale = Failing(flags=str(flags), how="stop", at=20)
    result = run(film, output, upscale=upscale, scheduler=cluster.scheduler_address)
    assert len(list(flags.iterdir())) == 1
    assert sha(output) == wanted
    assert result.seconds < 200  # Dask takes it for dead after 300
