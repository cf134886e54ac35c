"""Losses and gradients of one iteration, against float64 computations written here."""

import copy
import hashlib
from itertools import pairwise

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from vsanimesr.errors import TrainingError
from vsanimesr.network import Network
from vsanimesr.training import checkpoint
from vsanimesr.training.networks import discriminator, trained, vgg
from vsanimesr.training.train import journal, loop, recipe, stages
from vsanimesr.training.train.losses import (
    Perceptual,
    gan_of_discriminator,
    gan_of_generator,
    sharpen,
)
from vsanimesr.training.train.samples import Sample


def convolution(x, kernel, bias, *, stride=1):
    """A correlation in numpy: x (n, c, h, w), a border of one zero."""
    size = kernel.shape[-1]
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (size, size), axis=(2, 3))
    windows = windows[:, :, ::stride, ::stride]
    return np.einsum("nchwij,ocij->nohw", windows, kernel) + bias[:, None, None]


def backbone(stages, seed=5):
    """Random convolutions of few channels."""
    random = np.random.default_rng(seed)
    widths = [3] + [4 + stage for stage, n in enumerate(stages) for _ in range(n)]
    shapes = [(out, into, 3, 3) for into, out in pairwise(widths)]
    return [(random.normal(0, 0.4, shape), random.normal(0, 0.1, shape[0])) for shape in shapes]


def tensors(convolutions, dtype):
    return [tuple(torch.from_numpy(a).to(dtype) for a in one) for one in convolutions]


def perceptual_in_numpy(made, wanted, convolutions, stages):
    def features(x):
        mean, deviation = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
        x = (x - np.reshape(mean, (3, 1, 1))) / np.reshape(deviation, (3, 1, 1))
        left = iter(convolutions)
        for stage, count in enumerate(stages):
            if stage:
                n, c, h, w = x.shape
                x = np.maximum(x, 0).reshape(n, c, h // 2, 2, w // 2, 2).max((3, 5))
            for i in range(count):
                x = convolution(np.maximum(x, 0) if i else x, *next(left))
            yield x

    weights = (0.1, 0.1, 1, 1, 1)
    pairs = zip(weights, features(made), features(wanted), strict=True)
    return sum(weight * np.abs(a - b).mean() for weight, a, b in pairs)


def test_perceptual_loss_and_its_gradient():
    stages_, random = (2, 2, 1, 1, 2), np.random.default_rng(0)
    convolutions = backbone(stages_)
    made, wanted, step = (random.random((2, 3, 32, 48)) for _ in range(3))
    loss = Perceptual(tensors(convolutions, torch.float64), stages_).double()
    x = torch.from_numpy(made).requires_grad_()
    value = loss(x, torch.from_numpy(wanted))
    value.backward()

    def reference(shift):
        return perceptual_in_numpy(made + shift * step, wanted, convolutions, stages_)

    assert value.item() == pytest.approx(reference(0), rel=1e-6)
    slope = (reference(1e-6) - reference(-1e-6)) / 2e-6
    assert (x.grad.numpy() * step).sum() == pytest.approx(slope, rel=1e-5)


def test_gan_losses():
    random = np.random.default_rng(1)
    real, made = ([random.normal(size=(2, 1, s, s)) for s in (6, 3)] for _ in range(2))
    to = [[torch.from_numpy(z).float() for z in maps] for maps in (real, made)]
    of_generator = np.mean([np.mean((z - 1) ** 2) for z in made])
    of_discriminator = np.mean(
        [np.mean((r - 1) ** 2) + np.mean(m**2) for r, m in zip(real, made, strict=True)]
    )
    assert gan_of_generator(to[1]).item() == pytest.approx(of_generator, rel=1e-6)
    assert gan_of_discriminator(*to).item() == pytest.approx(of_discriminator, rel=1e-6)


def test_sharpening_is_that_of_opencv():
    random = np.random.default_rng(2)
    image = cv2.GaussianBlur(random.random((60, 70, 3)), (0, 0), 2)
    image = (image - image.min()) / (image.max() - image.min())
    detail = image - cv2.GaussianBlur(image, (51, 51), 0)
    mask = cv2.GaussianBlur((np.abs(detail) * 255 > 10).astype(float), (51, 51), 0)
    sharp = np.clip(image + 0.3 * detail, 0, 1)
    wanted = mask * sharp + (1 - mask) * image
    found = sharpen(torch.from_numpy(image.transpose(2, 0, 1))[None])[0].numpy()
    assert 0.2 < mask.mean() < 0.98
    np.testing.assert_allclose(found.transpose(1, 2, 0), wanted, atol=1e-9)


def test_discriminator_shapes_and_what_it_sees():
    torch.manual_seed(0)
    judges = discriminator.MultiScaleDiscriminator()
    assert trained.count([judges]) == 8_294_211  # of the released one
    with torch.no_grad():
        assert [z.shape[-2:] for z in judges(torch.zeros(1, 3, 256, 256))] == [
            (30, 30), (14, 14), (6, 6)
        ]  # fmt: skip
        x = torch.rand(1, 3, 160, 160, requires_grad=True)
    judges(x)[0][0, 0, 8, 8].backward()
    rows = x.grad.abs().sum((0, 1, 3)).nonzero().flatten()
    assert rows[-1] - rows[0] + 1 == 70


def test_spectral_norm_by_power_iteration_and_svd():
    torch.manual_seed(0)
    judges = discriminator.MultiScaleDiscriminator(1).double()
    convolutions = [z for z in judges.modules() if isinstance(z, torch.nn.Conv2d)]
    assert len(convolutions) == 5
    for z in (convolutions[0], convolutions[2]):
        matrix = z.parametrizations.weight.original.detach().flatten(1).numpy()
        v = z.parametrizations.weight[0]._v.numpy().copy()
        u = matrix @ v
        u /= np.linalg.norm(u)
        v = matrix.T @ u
        v /= np.linalg.norm(v)
        with torch.no_grad():
            used = z.weight.flatten(1).numpy()
        np.testing.assert_allclose(used, matrix / (u @ matrix @ v), rtol=1e-9)
        with torch.no_grad():
            for _ in range(40):
                used = z.weight.flatten(1)
        assert torch.linalg.svdvals(used)[0].item() == pytest.approx(1, abs=0.01)


def test_the_single_scale_network_has_as_many_parameters():
    single, multi = (trained.count([trained.new(s)]) for s in ("single", "multi"))
    assert multi == 1_495_376
    assert single == 1_495_351


def recurrent_in_float64(frames, p):
    """The network as the paper draws it, on (t, 3, h, w)."""
    w = {name.removeprefix("recurrent_cell."): value for name, value in p.items()}

    def conv(x, name, stride=1):
        return F.conv2d(x, w[f"{name}.weight"], w[f"{name}.bias"], stride, 1)

    def block(x, name):
        return x + conv(conv(x, f"{name}.conv1").relu(), f"{name}.conv2")

    def up(x, scale):
        return F.interpolate(x, scale_factor=scale, mode="bilinear")

    def leaky(x):
        return F.leaky_relu(x, 0.1)

    t, _, h, width = frames.shape
    image, state = frames.new_zeros(1, 3, 4 * h, 4 * width), frames.new_zeros(1, 64, h, width)
    images = []
    for i in range(t):
        near = [frames[max(i - 1, 0)], frames[i], frames[min(i + 1, t - 1)]]
        x = torch.cat([torch.cat(near)[None], F.pixel_unshuffle(image, 4), state], 1)
        s1 = leaky(conv(x, "conv_s1_first.0"))
        s2 = leaky(conv(s1, "conv_s2_first.0", 2))
        s4 = leaky(conv(s2, "conv_s4_first.0", 2))
        for i1 in range(3):
            s1 = block(s1, f"body_s1_first.{i1}")
        s2 = block(s2, "body_s2_first.0")
        s1 = block(s1 + up(s2, 2), "body_s1_first.3")
        s2 = block(s2, "body_s2_first.1")
        s4 = block(s4, "body_s4_first.0")
        s1 = block(s1 + up(s2, 2) + up(s4, 4), "body_s1_first.4")
        s2 = block(s2 + up(s4, 2), "body_s2_first.2")
        s4 = block(s4, "body_s4_first.1")
        out = torch.cat([s1, up(s2, 2), up(s4, 4)], 1)
        out = conv(leaky(conv(out, "fusion.0")), "fusion.2")
        image = F.pixel_shuffle(out[:, :48], 4) + up(frames[i : i + 1], 4)
        state = leaky(out[:, 48:])
        images.append(image)
    return torch.cat(images)


class Judge:
    """One PatchGAN in float64: its parameters by name, and v of each power iteration."""

    def __init__(self, module):
        pairs = dict(copy.deepcopy(module).double().named_parameters())
        self.parameters = {n: v.detach().requires_grad_() for n, v in pairs.items()}
        self.v = [z.clone() for n, z in module.double().named_buffers() if n.endswith("_v")]

    def __call__(self, x):
        for i, layer in enumerate((0, 2, 4, 6, 8)):
            prefix = f"scales.0.{layer}"
            weight = self.parameters[f"{prefix}.parametrizations.weight.original"]
            matrix = weight.detach().flatten(1)
            u = F.normalize(matrix @ self.v[i], dim=0)
            self.v[i] = F.normalize(matrix.T @ u, dim=0)
            sigma = u @ weight.flatten(1) @ self.v[i]
            bias = self.parameters[f"{prefix}.bias"]
            x = F.conv2d(x, weight / sigma, bias, 2 if layer < 6 else 1, 1)
            x = F.leaky_relu(x, 0.2) if layer < 8 else x
        return x


def gradients(state, parameters, beta):
    """Of the first step, from Adam's running mean of them."""
    found = [one["exp_avg"] / (1 - beta) for one in state["state"].values()]
    return dict(zip(parameters, found, strict=True))


def assert_near(found, wanted):
    """Gradients in float32 beside those in float64, by the size of each tensor's own."""
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        error = (found[name].double() - value.grad).norm() / value.grad.norm()
        assert error < 2e-3, f"{name}: {error}"


def test_one_step_with_all_losses_through_15_frames(fixed_weights, tmp_path):
    stages_, beta, random = (1, 1, 1, 1, 1), 0.9, np.random.default_rng(7)
    convolutions = backbone(stages_)
    given = torch.from_numpy(random.random((15, 3, 8, 8), np.float32))
    crisp = torch.from_numpy(random.integers(0, 256, (15, 3, 32, 32), np.uint8))
    weights = (0.5, 0.7, 0.3)

    class One(torch.utils.data.Dataset):
        def __getitem__(self, number):
            return Sample(given, crisp)

    fabric = stages.processes("cpu")
    for checkpointing in (False, True):
        torch.manual_seed(3)
        loop.train(
            fabric,
            Network.from_weights(fixed_weights),
            One(),
            tmp_path / str(checkpointing),
            settings=recipe.Train(
                iterations=1, batch=1, tensorboard=False, checkpointing=checkpointing
            ),
            losses=recipe.Losses(
                l1=weights[0],
                perceptual=recipe.Perceptual(weight=weights[1]),
                gan=recipe.Gan(weight=weights[2], scales=1),
            ),
            optimizer=recipe.Optimizer(lr=1e-4, betas=(beta, 0.99)),
            perceptual=Perceptual(tensors(convolutions, torch.float32), stages_),
            record={},
        )

    p = {name: torch.from_numpy(a).double().requires_grad_() for name, a in fixed_weights.items()}
    torch.manual_seed(3)
    module = discriminator.MultiScaleDiscriminator(1)
    names = [name for name, _ in module.named_parameters()]
    judge = Judge(module)
    wanted = crisp.double() / 255
    made = recurrent_in_float64(given.double(), p)
    loss = Perceptual(tensors(convolutions, torch.float64), stages_).double()
    parts = {
        "l1": weights[0] * (made - wanted).abs().mean(),
        "perceptual": weights[1] * loss(made, wanted),
        "gan": weights[2] * ((judge(made) - 1) ** 2).mean(),
    }
    sum(parts.values()).backward()
    for value in judge.parameters.values():
        value.grad = None
    judged = judge(torch.cat([wanted, made.detach()]))
    parts["discriminator"] = ((judged[:15] - 1) ** 2).mean() + (judged[15:] ** 2).mean()
    parts["discriminator"].backward()

    order = [name for name, _ in Network().named_parameters()]
    for run in tmp_path.iterdir():
        state = checkpoint.load(checkpoint.stored(run)[0])
        assert_near(gradients(state["adam"], order, beta), p)
        assert_near(gradients(state["adam_of_discriminator"], names, beta), judge.parameters)
        (said,) = (line["losses"] for line in journal.read(run) if line["event"] == "step")
        assert said == pytest.approx({n: v.item() for n, v in parts.items()}, rel=1e-4)


def small_vgg(monkeypatch):
    monkeypatch.setattr(vgg, "WIDTHS", (2, 2, 3, 3, 4))


def torchvision_file(backbone):
    """State dict of a VGG with torchvision's names; the numbers count."""
    layer, table = 0, {}
    shapes = iter(vgg.shapes(backbone))
    for count in vgg.STAGES[backbone]:
        for _ in range(count):
            shape = next(shapes)
            table[f"features.{layer}.weight"] = torch.full(shape, float(layer))
            table[f"features.{layer}.bias"] = torch.full(shape[:1], layer + 0.5)
            layer += 2
        layer += 1
    return table | {"classifier.0.weight": torch.zeros(2, 2)}


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_vgg19_from_a_file_of_torchvision(tmp_path, monkeypatch, suffix):
    small_vgg(monkeypatch)
    path, table = tmp_path / f"vgg{suffix}", torchvision_file("vgg19")
    if suffix == ".pth":  # theirs has the older format
        torch.save(table, path, _use_new_zipfile_serialization=False)
    else:
        save_file(table, path)
    found = vgg.load("vgg19", path)
    places = [0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34]  # torchvision's model
    assert [weight.flatten()[0] for weight, _ in found] == places
    assert [bias[0] - 0.5 for _, bias in found] == places
    with pytest.raises(TrainingError, match=r"features.\d+ is not that of vgg16"):
        vgg.load("vgg16", path)


def test_vgg19_that_is_not_there(tmp_path, monkeypatch):
    monkeypatch.setenv("VSANIMESR_CACHE", str(tmp_path))
    with pytest.raises(TrainingError, match=r"vgg19-dcbb9e9d.pth is missing.*backbone = \"vgg16\""):
        vgg.load("vgg19", None)
    evil = tmp_path / "evil.pth"
    torch.save({"features.0.weight": Evil()}, evil)
    with pytest.raises(TrainingError, match=r"no weights of vgg19 that can be read"):
        vgg.load("vgg19", evil)


class Evil:
    def __reduce__(self):
        return exec, ("raise SystemExit('run')",)


def test_the_hash_in_the_name_of_a_file_is_compared(tmp_path):
    path = tmp_path / "mine.pth"
    torch.save({"a": torch.ones(1)}, path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    path = path.rename(tmp_path / f"mine-{digest[:8]}.pth")
    with pytest.raises(TrainingError, match=r"is not that of vgg16|no weights of vgg16"):
        vgg.load("vgg16", path)  # which has been compared, and looked into
    path = path.rename(tmp_path / "vgg16-397923af.pth")
    with pytest.raises(TrainingError, match=r"wanted one that begins with 397923af, as its name"):
        vgg.load("vgg16", path)
