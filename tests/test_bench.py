"""`vsanimesr bench`: the smallest table, and the arithmetic of its floor."""

import re

import pytest

from vsanimesr import bench, cli
from vsanimesr.bench import Peak, Subject, floor, work


def test_the_work_of_a_step():
    """Multiply-adds a source pixel as counted by hooks on the released network."""
    assert work(4, 4)[0] == 16 * 1_127_232
    assert work(320, 180)[0] == 320 * 180 * 1_127_232


def test_the_floor_is_work_over_peak():
    subject = Subject(
        backend="torch",
        precision="bf16",
        device="cpu",
        width=4,
        height=4,
        formats=(),
        model="v2",
        seconds=1,
    )
    products, values = work(4, 4)
    assert floor(subject, Peak(flops=2 * products, bytes=4 * values)) == (1.0, 0.5)


def test_smallest_table(fixed_model, capsys):
    """One engine, one format, one tiny size, through the command."""
    words = "bench --backends torch --precisions fp32 --sizes 16x12 --formats YUV420P8 --device cpu"
    words += f" --seconds 0.01 --model {fixed_model}"
    assert cli.main(words.split()) == 0
    said = capsys.readouterr()
    assert "torch fp32 16x12" in said.err
    head, _, peak, _, titles, rule, row = said.out.splitlines()
    assert re.match(r"\d{4}-\d\d-\d\d; .*torch \d.*", head)
    assert titles.count("|") == rule.count("|") == row.count("|")
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[0] == "16x12"
    assert ", cpu, fp32" in cells[1]
    step, least, bound, share, fps, memory = (float(cell.rstrip("%")) for cell in cells[2:])
    assert 0 < least <= step
    assert 0 < bound <= step
    assert 0 < share <= 100
    assert fps > 0
    assert 10 < memory < 10_000
    assert re.match(r"Peak of fp32: \d.* TFLOP/s, \d+ GB/s", peak)


def test_a_device_that_cannot_be_measured_is_an_error(capsys):
    assert cli.main(["bench", "--device", "webgpu"]) == 1
    assert "device=webgpu, but only cpu and cuda can be measured" in capsys.readouterr().err


def test_what_does_not_run_is_said(fixed_model, monkeypatch):
    """An engine that a machine lacks is a line below the table, and never the end."""
    monkeypatch.setattr(bench, "_alone", lambda function, *arguments: function(*arguments))
    monkeypatch.setattr(bench, "measure_peak", lambda *_: Peak(flops=1e12, bytes=1e10))
    lines = bench.run(
        backends=["torch"],
        precisions=["tf32"],
        sizes=["16x12"],
        formats=[],
        device="cpu",
        model=str(fixed_model),
        seconds=0.01,
    )
    found = "\n".join(lines)
    assert "Did not run:" in found
    assert "- torch tf32 16x12: precision=tf32 is a mode of NVIDIA GPUs" in found


def test_a_size_that_is_none(fixed_model, capsys):
    words = f"bench --precisions fp32 --sizes large --device cpu --model {fixed_model}"
    assert cli.main([*words.split(), "--seconds", "0"]) == 1
    assert "size large, wanted width and height such as 640x360" in capsys.readouterr().err


@pytest.mark.parametrize("words", ["bench --backends nothing", "bench --seconds soon"])
def test_wrong_usage(words):
    with pytest.raises(SystemExit, match="2"):
        cli.main(words.split())
