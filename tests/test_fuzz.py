"""Arguments and recipes drawn at random: each is taken, or refused in a line of our own words."""

import random
import re
import shutil
import time
from pathlib import Path

import pytest
import vapoursynth as vs

from vsanimesr.options import PRECISIONS, defaults
from vsanimesr.training import config
from vsanimesr.training.config import ConfigError
from vsanimesr.training.train import recipe

ROOT = Path(__file__).parents[1]
SECONDS = 10.0

TEXTS = [
    *("", "auto", "x", "cpu,cuda", "cuda:99999999999", "v2\0x", "~nosuchuser/x.pth", "\x1b[2J\n"),
    *(5000 * "x", "\u202e", "/", ".", "../../etc/passwd", "%s%n", "nul.pth", "x" * 300 + ".pth"),
    *("torch", "onnx", "openvino", "ncnn", "native", *PRECISIONS, "cpu", "cuda", "tensorrt"),
]
INTS = [
    *(0, 1, 2, 3, 4, 5, 7, 8, 9, 12, 15, 240, -1, -2, 2**31 - 1, 2**31, 2**32, 2**32 + 1),
    *(2**63 - 1, -(2**63), int(vs.YUV420P8), int(vs.GRAY8), int(vs.RGBS), int(vs.YUV444PH)),
]
FLOATS = [
    *(0.0, -0.0, 1.0, 2.0, 3.9999, 4.0, 4.0001, 0.5, 1e-9, 1e-320, 1e308, -1.0, 5.0),
    *(float("nan"), float("inf"), float("-inf")),
]
PROPS = {
    "_Matrix": [-1, 0, 1, 2, 3, 6, 9, 10, 14, 99, 2**40],
    "_Range": [-1, 0, 1, 2, 2**40],
    "_ChromaLocation": [-1, 0, 3, 5, 6, 2**40],
    "_FieldBased": [-1, 0, 1, 2, 3],
    "_Field": [-1, 0, 1, 2],
    "_Transfer": [-1, 0, 1, 2, 3, 99, 2**40],
    "_Primaries": [-1, 0, 1, 3, 99, 2**40],
    "_SceneChangePrev": [-1, 0, 1, 2],
    "_SARNum": [-1, 0, 2**40],
    "_DurationNum": [-1, 0],
    "_Alpha": [0],
}
NOT_DRAWN = ("compile",)
FORMATS = [vs.GRAY8, vs.GRAYS, vs.GRAYH, vs.RGB24, vs.RGBS, vs.YUV420P8, vs.YUV444P16, vs.YUV410P8]


def drawn(rng: random.Random) -> tuple[vs.VideoNode, dict[str, object]]:
    """A clip with odd properties, and odd arguments."""
    width, height = rng.choice(((16, 16), (4, 4), (8, 36), (32, 4)))
    clip = vs.core.std.BlankClip(None, width, height, rng.choice(FORMATS), length=4)
    if rng.random() < 0.5:
        names = rng.sample(list(PROPS), rng.randint(1, 3))
        clip = clip.std.SetFrameProps(**{name: rng.choice(PROPS[name]) for name in names})
    names = rng.sample(
        [name for name in defaults() if name not in NOT_DRAWN], rng.choice((1, 1, 2, 4))
    )
    values = {str: TEXTS, int: INTS, float: FLOATS}
    return clip, {name: rng.choice(values[type(defaults()[name])]) for name in names}


UNFORESEEN = re.compile(r"Upscale: (frame \d+: )?\w*(Error|Exception): ")


def ours(message: str) -> bool:
    if UNFORESEEN.match(message):
        return False
    return message.startswith("Upscale: ") and message.isprintable() and len(message) < 1500


@pytest.mark.parametrize("count", [200, pytest.param(5000, marks=pytest.mark.slow)])
def test_arguments(fixed_model: Path, count: int) -> None:
    made = 0
    for seed in range(count):
        clip, options = drawn(random.Random(seed))
        options = {"model": str(fixed_model), "device": "cpu", "backend": "onnx", **options}
        start = time.thread_time()
        try:
            frame = clip.animesr.Upscale(**options).get_frame(2)
        except vs.Error as error:
            message = str(error)
        else:
            made += 1
            message = "Upscale: "
            frame.close()
        assert ours(message), (seed, options, message)
        assert time.thread_time() - start < SECONDS, (seed, options)
    assert count / 8 < made < count


RECIPES = sorted((ROOT / "training").glob("*.toml"))
PIECES = [
    *(b"[", b"]", b'"', b"'", b'"""', b"=", b".", b"\n", b"{", b"}", b"\0", b"\xff", b"1e999"),
    *(b"-1", b"0", b"nan", b"inf", b"true", b"1979-13-40", 5000 * b"9", b"\\u0000", b"\x1b[2J"),
    *(b'extends = "nothing.toml"\n', b"[degrade]\n", b"x = 1\n", 2000 * b"[", 2000 * b"a."),
]


def changed(content: bytes, rng: random.Random) -> bytes:
    for _ in range(rng.choice((1, 1, 2, 5))):
        place = rng.randrange(len(content) + 1)
        end = rng.choice((place, place, place + 1, place + 10, len(content)))
        content = content[:place] + rng.choice((*PIECES, b"")) + content[end:]
    return content


@pytest.mark.parametrize("count", [300, pytest.param(10_000, marks=pytest.mark.slow)])
def test_recipes(tmp_path: Path, count: int) -> None:
    refused = 0
    for path in RECIPES:  # in a folder of their own, for they extend each other
        shutil.copy(path, tmp_path)
    for seed in range(count):
        rng = random.Random(seed)
        path = tmp_path / rng.choice(RECIPES).name
        whole = path.read_bytes()
        path.write_bytes(changed(whole, rng))
        try:
            config.load(path, recipe.Stage)
        except ConfigError as error:
            refused += 1
            message = str(error)
        else:
            message = str(tmp_path)
        path.write_bytes(whole)
        assert message.isprintable(), (seed, message)
        assert len(message) < 1500, seed
        assert str(tmp_path) in message, seed
    assert count / 4 < refused < count


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (100_000 * "[", "no TOML"),
        ("x = " + 100_000 * "[", "no TOML: .*"),
        ("x = " + 5000 * "9", "no TOML: .*digits"),
        ('extends = "a\\u0000b"', "no TOML|cannot be read|null"),
        (60_000 * "a." + "a = 1", "a line with more than 200 dots"),
        ("x = '" + 2**20 * "y" + "'", "bytes, wanted at most 131,072"),
        ('"\x1b' + 100_000 * "k" + '" = 1', "no TOML"),
        (
            'trains = "network"\n"' + 100_000 * "k" + '" = 1',
            "kkk…: unknown key, wanted one of ",
        ),
    ],
)
def test_recipes_made_to_harm(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "harm.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as error:
        config.load(path, recipe.Stage)
    assert re.search(said, str(error.value)), str(error.value)
    assert str(error.value).isprintable()
    assert len(str(error.value)) < 1500
