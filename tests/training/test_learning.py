"""An operator learns what the basic ones cannot do; benchmarks/operators.py has the whole story."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "operators.py"


@pytest.mark.slow
def test_an_operator_comes_nearer_to_a_degradation_than_the_basic_ones(tmp_path):
    line = [sys.executable, str(BENCHMARK), str(tmp_path), "--network", "0", "--operator", "4000"]
    subprocess.run(line, check=True, timeout=600)
    near = json.loads((tmp_path / "operators.json").read_text())["nearness"]
    learnt = near.pop("learnt operator")
    assert len(near) == 2
    assert learnt > max(near.values()) + 1  # dB
