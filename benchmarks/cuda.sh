#!/usr/bin/env bash
# Everything that needs a GPU, in one run of a few minutes: the tests on CUDA, then a table of
# milliseconds a step and frames/s through the node.   benchmarks/cuda.sh [FOLDER]
# Needs the package installed with its torch extra and the test group (README, second command).
set -euo pipefail
out=${1:-out/cuda}
mkdir -p "$out"
{
  nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader
  git rev-parse --short HEAD && date -I
} | tee "$out/machine.txt"
python -m pytest -m gpu -q 2>&1 | tee "$out/tests.txt"
for size in 320x180 640x480 1280x720; do
  for precision in fp32 fp16 bf16; do
    python benchmarks/steps.py --size "$size" --precision "$precision" --device cuda
  done
done 2>&1 | tee "$out/steps.txt"
python benchmarks/node.py --size 640x480 --frames 200 2>&1 | tee "$out/node.txt"
