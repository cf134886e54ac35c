#!/usr/bin/env bash
# Fetches into .webgpu/ what the tests of WebGPU want where there is no GPU; `tests/test_webgpu.py` finds it there.
#   site/    ONNX Runtime with that provider: a folder of its own, as it has the import name of onnxruntime
#   plugin/  the same provider as a plug-in for the onnxruntime that is installed
#   vulkan/  Vulkan's loader and SwiftShader, Vulkan on the processor, out of Debian's chromium-common (BSD, Apache-2.0)
# Some 120 MB go through the network. It needs apt-get and dpkg-deb, and root only where apt-get has no lists yet.
set -euo pipefail
cd "$(dirname "$0")/../.."
pins=$(grep -E '^onnxruntime-(ep-)?webgpu==' constraints.txt)
if [ "$(cat .webgpu/ready 2>/dev/null)" = "$pins" ]; then exit; fi

refuse() { echo "tests/webgpu/get.sh: $1" >&2; exit 1; }
for tool in apt-get dpkg-deb timeout; do
  command -v "$tool" >/dev/null || refuse "there is no $tool: these tests are for Debian and its like"
done
python=.venv/bin/python
if [ ! -x "$python" ]; then python=python3; fi

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
install() { timeout 120 "$python" -m pip install --quiet --disable-pip-version-check --no-deps --target "$1" "$2"; }
install "$scratch/site" "$(grep -v ep- <<<"$pins")"
install "$scratch/plugin" "$(grep ep- <<<"$pins")"

download() { (cd "$scratch" && timeout 120 apt-get download -qq chromium-common 2>"$scratch/said"); }
if ! download; then
  timeout 120 apt-get update -qq 2>>"$scratch/said" || true
  download || refuse "apt-get does not bring chromium-common: $(tail -n 1 "$scratch/said")"
fi
dpkg-deb -x "$scratch"/chromium-common_*.deb "$scratch/x"
mkdir "$scratch/vulkan"
for file in libvk_swiftshader.so libvulkan.so.1 vk_swiftshader_icd.json; do
  found=$(find "$scratch/x" -name "$file" -print -quit)
  [ -n "$found" ] || refuse "this chromium-common has no $file"
  cp "$found" "$scratch/vulkan/"
done

rm -rf .webgpu
mkdir .webgpu
mv "$scratch"/{site,plugin,vulkan} .webgpu/
echo "$pins" >.webgpu/ready
echo "tests/webgpu/get.sh: a WebGPU device for the tests is in .webgpu"
