"""`vsanimesr bench`: the smallest table, and the arithmetic of its floor."""

import re

import pytest

from vsanimesr import cli
from vsanimesr.bench import quick, table
from vsanimesr.bench.floor import Peak, floor, work
from vsanimesr.engines.choice import Choice, Machine
from vsanimesr.errors import EngineError


def test_the_work_of_a_step():
    """Multiply-adds a source pixel as counted by hooks on the released network."""
    assert work(4, 4)[0] == 16 * 1_127_232
    assert work(320, 180)[0] == 320 * 180 * 1_127_232


def test_the_floor_is_work_over_peak():
    products, values = work(4, 4)
    assert floor(4, 4, "bf16", Peak(flops=2 * products, bytes=4 * values)) == (1.0, 0.5)


def test_smallest_table(fixed_model, capsys):
    """One engine, one format, one tiny size, through the command."""
    words = "bench --backends native --precisions fp32 --sizes 16x12 --formats YUV420P8"
    words += f" --device cpu --seconds 0.01 --model {fixed_model}"
    assert cli.main(words.split()) == 0
    said = capsys.readouterr()
    assert "native fp32 16x12" in said.err
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
    assert cli.main(["bench", "--device", "abacus"]) == 1
    assert "device=abacus, but only cpu and cuda and webgpu" in capsys.readouterr().err


def test_what_does_not_run_is_said(fixed_model, monkeypatch):
    """An engine that a machine lacks is a line below the table, and never the end."""
    monkeypatch.setattr(table, "alone", lambda function, *arguments: function(*arguments))
    monkeypatch.setattr(table, "measure_peak", lambda *_: Peak(flops=1e12, bytes=1e10))
    lines = table.run(
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


# --quick


def test_quick_tells_what_is_fastest_and_what_auto_takes(fixed_model, monkeypatch):
    """Two backends that are there and one that fails, on a tiny frame."""
    machine = Machine(processor="avx2", installed=frozenset({"torch", "onnx", "openvino"}))
    monkeypatch.setattr(quick, "alone", lambda function, *arguments: function(*arguments))
    monkeypatch.setattr(quick, "here", lambda _: machine)
    monkeypatch.setattr(quick, "SIZE", (16, 12))
    monkeypatch.setattr(quick, "SECONDS", 0.0)
    prepared = quick.prepared

    def fail(subject):
        if subject.backend == "openvino":
            raise EngineError("broken here")
        return prepared(subject)

    monkeypatch.setattr(quick, "prepared", fail)
    told = []
    lines = list(quick.run(device="cpu", model=str(fixed_model), report=told.append))
    assert told == ["torch", "onnx", "openvino"]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if "|" in line][2:]
    assert {tuple(row[:2]) for row in rows} >= {("torch", "fp32"), ("onnx", "fp32")}
    times = [float(row[2]) for row in rows]
    assert times == sorted(times)
    assert rows[0][3] == "1.00"
    said = "\n".join(lines)
    assert "- openvino: broken here" in said
    assert f"Fastest here: {rows[0][0]} {rows[0][1]}" in said
    assert "auto takes torch" in said or "auto takes onnx" in said


def test_quick_ends_when_the_time_is_up(fixed_model, monkeypatch):
    monkeypatch.setattr(quick, "alone", lambda function, *arguments: function(*arguments))
    monkeypatch.setattr(quick, "LIMIT", -1.0)
    said = "\n".join(quick.run(device="cpu", model=str(fixed_model)))
    assert "- torch: the time was up" in said
    assert "Fastest" not in said


TORCH = Choice("torch", "bf16", "so")


@pytest.mark.parametrize(
    ("found", "auto", "said"),
    [
        ({("torch", "bf16"): 0.1, ("onnx", "fp32"): 0.2}, TORCH, "They agree."),
        ({("torch", "bf16"): 0.104, ("onnx", "fp32"): 0.1}, TORCH, "They agree."),
        (
            {("torch", "bf16"): 0.2, ("onnx", "fp32"): 0.1},
            TORCH,
            "They differ: onnx fp32 takes 0.50 of its time here; backend=onnx, precision=fp32",
        ),
        ({("onnx", "fp32"): 0.1}, TORCH, "It did not run here."),
        (
            {("torch", "fp16"): 0.1, ("torch", "fp32"): 0.2},
            Choice("torch", "auto", "runs on the GPU (cuda)"),
            "They agree.",
        ),
    ],
)
def test_the_verdict(found, auto, said):
    assert said in "\n".join(quick.verdict(found, auto))


def test_the_command_has_it(monkeypatch, capsys):
    monkeypatch.setattr(quick, "run", lambda **_: iter(["one", "two"]))
    assert cli.main(["bench", "--quick"]) == 0
    assert capsys.readouterr().out == "one\ntwo\n"
