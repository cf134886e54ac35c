"""The network against the authors' weights, known numbers and a plain second implementation."""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.numpy import save_file
from torch import Tensor

from vsanimesr import weights
from vsanimesr.errors import OptionError
from vsanimesr.models import BLOCKS, FEATURES, FIRST, IMAGE, SCALE, parameter_shapes
from vsanimesr.network import Network, image_of

BUNNY = Path(__file__).parent / "data" / "bunny_64x48.npz"

# Frames of `waves` through the authors' own code in float64. After model and frame: mean, standard
# deviation, least and greatest of the image, its red value at row 0, column 0 and its green value
# at row 64, column 96, mean and greatest magnitude of the state.
GOLDEN = """
v1 0 0.51710203 0.39318300 -0.169496 1.246316 0.53516550 0.39785669 -0.02908431 1.040823
v1 1 0.52110758 0.39293708 -0.170030 1.233888 0.78396241 0.64787490 -0.02926752 1.031235
v1 4 0.52317496 0.40154086 -0.164369 1.253808 0.85718124 1.00504662 -0.01796388 1.309128
v2 0 0.51285589 0.44172797 -0.230846 1.304211 0.53460690 0.34501264 -0.00742196 0.814962
v2 1 0.51171207 0.44435917 -0.230778 1.368412 0.79035636 0.64779151 -0.00815930 0.870059
v2 4 0.51773136 0.43652137 -0.228806 1.381562 0.87219031 0.99802901 -0.00728201 0.809272
""".strip().splitlines()
PRINTED = 1e-6  # the last digit of the table
SINGLE = 1e-5  # float32, other kernels or another order of additions
DOUBLE = 1e-10


def waves() -> Tensor:
    y, x, c, t = np.ogrid[0:32, 0:48, 0:3, 0:5]
    frames = 0.5 + 0.5 * np.sin(0.37 * y + 0.23 * x + 1.1 * c + 0.6 * t)
    return torch.tensor(frames).permute(3, 2, 0, 1)[None]  # (1, t, 3, h, w)


def bunny() -> Tensor:
    with np.load(BUNNY) as data:
        return torch.tensor(data["input"]).permute(0, 3, 1, 2)[None] / 255  # (1, t, 3, h, w)


def little() -> Tensor:
    """Part of it: a CPU without float16 arithmetic takes a second for each of its steps."""
    return bunny()[:, 3:, :, 16:32, 24:40].contiguous()


def stream(network: Network, frames: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Image (n, 3, 4h, 4w) and state of each frame (n, t, 3, h, w)."""
    n, last, _, h, w = frames.shape
    image, state = frames.new_zeros(n, IMAGE, h, w), frames.new_zeros(n, FEATURES, h, w)
    for t in range(last):
        near = [frames[:, min(max(i, 0), last - 1)] for i in (t - 1, t, t + 1)]
        image, state = network.step(torch.cat(near, 1), image, state)
        yield image_of(image), state


def plain_step(
    p: Mapping[str, Tensor], window: Tensor, feedback: Tensor | None, state: Tensor
) -> tuple[Tensor, Tensor]:
    """One step as the paper draws it, with the image (n, 3, 4h, 4w) at full size.

    Without feedback, that of VQD-SR: its first convolution sees window and state alone.
    """

    def conv(name: str, z: Tensor, stride: int = 1) -> Tensor:
        name = f"recurrent_cell.{name}"
        return F.conv2d(z, p[f"{name}.weight"], p[f"{name}.bias"], stride, padding=1)

    def lrelu(z: Tensor) -> Tensor:
        return F.leaky_relu(z, 0.1)

    def up(z: Tensor, scale: int) -> Tensor:
        return F.interpolate(z, scale_factor=scale, mode="bilinear", align_corners=False)

    s: dict[int, Tensor] = {}
    fed = () if feedback is None else (F.pixel_unshuffle(feedback, SCALE),)
    z = torch.cat((window, *fed, state), 1)
    for scale, stride in (1, 1), (2, 2), (4, 2):
        z = s[scale] = lrelu(conv(f"conv_s{scale}_first.0", z, stride))
    for i in range(5):
        before = dict(s)
        for scale, blocks in BLOCKS.items():
            own = i - (5 - blocks)  # right-aligned
            for coarse in (2, 4):
                if own > 0 and coarse > scale and i > 5 - BLOCKS[coarse]:
                    s[scale] = s[scale] + up(before[coarse], coarse // scale)
            if own >= 0:
                name = f"body_s{scale}_first.{own}"
                residual = conv(f"{name}.conv2", F.relu(conv(f"{name}.conv1", s[scale])))
                s[scale] = s[scale] + residual
    z = torch.cat((s[1], up(s[2], 2), up(s[4], 4)), 1)
    z = conv("fusion.2", lrelu(conv("fusion.0", z)))
    image = F.pixel_shuffle(z[:, :IMAGE], SCALE) + up(window[:, 3:6], SCALE)
    return image, lrelu(z[:, IMAGE:])


def decibels(got: Tensor, wanted: Tensor) -> float:
    return -10 * F.mse_loss(got.double(), wanted.double()).log10().item()  # equal: infinite


@pytest.fixture
def network(fixed_weights: dict[str, np.ndarray]) -> Network:
    return Network.from_weights(fixed_weights).requires_grad_(False)


@pytest.mark.weights
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("row", GOLDEN)
def test_golden_numbers(row: str, dtype: torch.dtype, released: dict[str, Path]) -> None:
    name, frame, *numbers = row.split()
    network = Network.from_weights(weights.read(released[name])).requires_grad_(False).to(dtype)
    image, state = list(stream(network, waves().to(dtype)))[int(frame)]
    found = [image.mean(), image.std(correction=0), image.min(), image.max()]
    found += [image[0, 0, 0, 0], image[0, 1, 64, 96], state.mean(), state.abs().max()]
    tolerance = PRINTED if dtype == torch.float64 else SINGLE
    assert [x.item() for x in found] == pytest.approx([float(x) for x in numbers], abs=tolerance)


@pytest.mark.weights
@pytest.mark.parametrize("name", ["v1", "v2"])
def test_a_real_clip(name: str, released: dict[str, Path]) -> None:
    network = Network.from_weights(weights.read(released[name])).requires_grad_(False)
    with np.load(BUNNY) as data:
        wanted = torch.tensor(data[name]).float().permute(0, 3, 1, 2)
    rounding = 2**-11  # half of a float16 step between 1 and 2
    torch.testing.assert_close(network(bunny())[0], wanted, rtol=0, atol=rounding + SINGLE)


@pytest.mark.weights
@pytest.mark.parametrize(
    ("name", "dtype", "least"),  # measured: 62.1, 71.0, 67.0, 82.0
    [
        ("v1", torch.bfloat16, 60),
        ("v1", torch.float16, 69),
        ("v2", torch.bfloat16, 65),
        ("v2", torch.float16, 80),
    ],
)
def test_mixed_precision_is_close(
    name: str, dtype: torch.dtype, least: float, released: dict[str, Path]
) -> None:
    network = Network.from_weights(weights.read(released[name])).requires_grad_(False)
    clip = little()
    exact = network(clip)
    network.to(dtype)
    mixed = decibels(network(clip), exact)
    assert mixed > least
    if dtype == torch.bfloat16:
        assert mixed > decibels(network(clip.to(dtype)), exact) + 3


@pytest.mark.parametrize(("height", "width"), [(4, 4), (4, 12), (20, 8), (24, 40)])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, SINGLE), (torch.float64, DOUBLE)])
def test_a_step_is_the_plain_step(
    height: int, width: int, dtype: torch.dtype, tolerance: float, network: Network
) -> None:
    network.to(dtype)
    random = torch.Generator().manual_seed(1)
    frames = torch.rand(2, 4, 3, height, width, generator=random).to(dtype)
    parameters = dict(network.named_parameters())
    plain = frames.new_zeros(2, 3, SCALE * height, SCALE * width)
    hidden = frames.new_zeros(2, FEATURES, height, width)
    for t, (image, state) in enumerate(stream(network, frames)):
        window = torch.cat([frames[:, min(max(i, 0), 3)] for i in (t - 1, t, t + 1)], 1)
        plain, hidden = plain_step(parameters, window, plain, hidden)
        torch.testing.assert_close(image, plain, rtol=0, atol=tolerance)
        torch.testing.assert_close(state, hidden, rtol=0, atol=tolerance)


def check_a_network_without_its_image(tensors: dict[str, np.ndarray], path: Path) -> None:
    first = tensors[FIRST]
    cut = tensors | {FIRST: np.concatenate((first[:, :9], first[:, 57:]), axis=1)}
    save_file(cut, path)
    network = Network.from_weights(weights.load(str(path))).requires_grad_(False)
    plain = {name: torch.tensor(array) for name, array in cut.items()}
    assert plain[FIRST].shape == (64, 73, 3, 3)
    frames = waves()[:, :3].float()
    hidden = frames.new_zeros(1, FEATURES, *frames.shape[-2:])
    for t, (image, state) in enumerate(stream(network, frames)):
        window = torch.cat([frames[:, min(max(i, 0), 2)] for i in (t - 1, t, t + 1)], 1)
        wanted, hidden = plain_step(plain, window, None, hidden)
        torch.testing.assert_close(image, wanted, rtol=0, atol=SINGLE)
        torch.testing.assert_close(state, hidden, rtol=0, atol=SINGLE)


def test_a_network_without_its_image(fixed_weights: dict[str, np.ndarray], tmp_path: Path) -> None:
    check_a_network_without_its_image(fixed_weights, tmp_path / "cut.safetensors")


@pytest.mark.weights
def test_v2_without_its_image(released: dict[str, Path], tmp_path: Path) -> None:
    check_a_network_without_its_image(weights.read(released["v2"]), tmp_path / "cut.safetensors")


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_enlarging_is_bilinear(dtype: torch.dtype, network: Network) -> None:
    frame = torch.rand(2, 3, 5, 7, generator=torch.Generator().manual_seed(2)).double()
    wanted = F.pixel_unshuffle(F.interpolate(frame, scale_factor=4, mode="bilinear"), SCALE)
    got = network.to(dtype).recurrent_cell.enlarge(frame)  # the stencil is exact in bfloat16
    torch.testing.assert_close(got, wanted, rtol=0, atol=1e-15)


@pytest.mark.parametrize("length", [1, 2, 3])
def test_clips_of_any_length(length: int, network: Network) -> None:
    clip = bunny()[:, :length, :, :8, :12]
    images = torch.stack([image for image, _ in stream(network, clip)], 1)
    assert images.shape == (1, length, 3, 32, 48)
    assert torch.equal(network(clip), images)


def test_history_matters(network: Network) -> None:
    """Or the tests with fixed weights could not see a lost state or feedback."""
    clip = bunny()
    assert decibels(network(clip)[:, -1], network(clip[:, 6:])[:, -1]) < 40


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_types_and_layouts(
    dtype: torch.dtype, layout: torch.memory_format, network: Network
) -> None:
    exact = list(stream(network, little()))[-1]
    network.to(dtype).to(memory_format=layout)
    clip = little()[0].to(memory_format=layout)[None]
    image, state = list(stream(network, clip))[-1]
    assert image.dtype == state.dtype == torch.float32
    assert decibels(image, exact[0]) > (110 if dtype == torch.float32 else 50)
    assert decibels(state, exact[1]) > (110 if dtype == torch.float32 else 50)


def test_a_wider_first_convolution_gives_the_same(network: Network) -> None:
    frames = waves()[:, :2].double()
    network = network.double()
    plain = network(frames)
    network.widen()
    first = network.recurrent_cell.conv_s1_first[0]
    assert isinstance(first, torch.nn.Conv2d)
    assert first.weight.shape == (64, 128, 3, 3)
    assert (network(frames) - plain).abs().max() < DOUBLE


def test_sizes_that_do_not_fit(network: Network) -> None:
    with pytest.raises(OptionError, match=r"frames of 30x8, wanted .* multiples of 4: pad or crop"):
        network(torch.zeros(1, 1, 3, 8, 30))


def test_parameters() -> None:
    state = Network().state_dict()
    assert {name: tuple(tensor.shape) for name, tensor in state.items()} == parameter_shapes()
    assert len(state) == 50
    assert sum(tensor.numel() for tensor in state.values()) == 1_495_376


def test_initial_values() -> None:
    torch.manual_seed(3)
    state = Network().state_dict()
    bounds = {"conv_s1_first.0": 121, "conv_s2_first.0": 64, "fusion.0": 192, "fusion.2": 224}
    for name, channels in bounds.items():
        for kind in ("weight", "bias"):
            greatest = state[f"recurrent_cell.{name}.{kind}"].abs().max().item()
            assert 0.9 / math.sqrt(9 * channels) < greatest <= 1.0001 / math.sqrt(9 * channels)
    block = "recurrent_cell.body_s2_first.1.conv2"
    assert state[f"{block}.weight"].std().item() == pytest.approx(0.00589, rel=0.02)
    assert not state[f"{block}.bias"].any()


def test_weights_are_copied_and_chance_is_left_alone(fixed_weights: dict[str, np.ndarray]) -> None:
    before = torch.random.get_rng_state()
    network = Network.from_weights(fixed_weights)
    assert torch.equal(torch.random.get_rng_state(), before)
    for name, tensor in network.state_dict().items():
        assert np.array_equal(tensor.numpy(), fixed_weights[name])
        assert not np.shares_memory(tensor.numpy(), fixed_weights[name])


def test_every_parameter_learns(fixed_weights: dict[str, np.ndarray]) -> None:
    network = Network.from_weights(fixed_weights)
    with torch.autocast("cpu", torch.bfloat16):
        images = network(bunny()[:, :2, :, :8, :8])
    assert images.dtype == torch.float32
    images.square().mean().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name
