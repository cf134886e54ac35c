"""`core.animesr` in a Python host: arguments, formats, properties, colours."""

import ctypes
import re
from pathlib import Path

import numpy as np
import pytest
import vapoursynth as vs
from clips import source

from vsanimesr import __version__
from vsanimesr.colour import Matrix, matrix_by_size
from vsanimesr.engines.torch import engine as torch_engine
from vsanimesr.network import Network
from vsanimesr.options import BACKENDS, MATRICES, defaults
from vsanimesr.vs import api

core = vs.core

FORMATS = [
    *(vs.GRAY8, vs.GRAY10, vs.GRAY16, vs.GRAYH, vs.GRAYS),
    *(vs.RGB24, vs.RGB30, vs.RGB48, vs.RGBH, vs.RGBS),
    *(vs.YUV420P8, vs.YUV422P8, vs.YUV440P8, vs.YUV444P8, vs.YUV411P8, vs.YUV410P8),
    *(vs.YUV420P10, vs.YUV422P12, vs.YUV444P14, vs.YUV420P16, vs.YUV444PH, vs.YUV420PS),
]


@pytest.fixture
def upscale(fixed_model):
    """Upscale with weights that need no download."""

    def call(clip, **options):
        return clip.animesr.Upscale(
            **({"model": str(fixed_model), "device": "cpu", "backend": "torch"} | options)
        )

    return call


@pytest.fixture
def enlarger(monkeypatch):
    """A network that only repeats pixels, so that colours can be judged without one."""

    def step(network, window, image, hidden):
        return window[:, 3:6].repeat_interleave(16, dim=1), hidden

    monkeypatch.setattr(Network, "step", step)
    monkeypatch.setattr(torch_engine, "fits", lambda _: False)  # or it would take another path


@pytest.mark.parametrize("format", FORMATS, ids=lambda f: f.name)
def test_every_format_comes_back_as_itself(enlarger, upscale, format):
    clip = source(3, 64, 48, cuts=(), format=format)
    out = upscale(clip)
    assert (out.format.id, out.width, out.height) == (format, 256, 192)
    rgb = {"format": vs.RGBS} | ({"matrix_in": 6} if out.format.color_family != vs.RGB else {})
    plain = clip.resize.Bicubic(**rgb).resize.Point(256, 192)
    difference = planes(out.resize.Bicubic(**rgb), 1) - np.clip(planes(plain, 1), 0, 1)
    limit = 0.02 + 0.1 * (out.format.subsampling_w + out.format.subsampling_h)
    assert np.abs(difference).max() < limit + 4 / 2 ** min(out.format.bits_per_sample, 10)
    assert np.abs(difference).mean() < 0.03


@pytest.mark.parametrize("matrix", [1, 4, 5, 6, 7, 8, 9])
@pytest.mark.parametrize("full", [0, 1])
@pytest.mark.parametrize("location", [0, 1, 2])
def test_colours_go_out_as_they_came_in(enlarger, upscale, matrix, full, location):
    colour = {"matrix": matrix, "range": full, "chromaloc": location}
    smooth = source(1, 12, 8, cuts=()).resize.Bicubic(64, 48)
    clip = smooth.resize.Bicubic(format=vs.YUV420P8, **colour)
    with upscale(clip).get_frame(0) as frame:
        assert frame.props["_Matrix"] == matrix
        assert frame.props["_Range"] == full
        assert frame.props["_ChromaLocation"] == location
        made = [np.asarray(frame[plane]).astype(int) for plane in range(3)]
    with clip.resize.Bilinear(256, 192).get_frame(0) as frame:  # it never leaves YUV
        for plane, after in enumerate(made):
            assert np.abs(after - np.asarray(frame[plane])).mean() < 3


SIZES = {
    6: [(720, 480), (720, 486), (640, 360), (1279, 575), (576, 320), (1, 1)],
    5: [(720, 576), (1024, 576), (1279, 576)],
    1: [(960, 720), (576, 1024), (1280, 720), (1280, 544), (1280, 8), (720, 577), (3840, 2160)],
}
"""What mpv and libplacebo take for the matrix of such a YUV clip that does not say."""


def test_the_matrix_by_size():
    for matrix, sizes in SIZES.items():
        assert {matrix_by_size(*size) for size in sizes} == {matrix}


@pytest.mark.parametrize(
    ("size", "matrix"), [((8, 480), 6), ((8, 576), 5), ((8, 720), 1), ((1280, 8), 1)]
)
@pytest.mark.parametrize("said", [None, 2, -1])
def test_an_unknown_matrix_follows_the_size_and_warns_once(
    enlarger, upscale, logged, size, matrix, said
):
    clip = core.std.BlankClip(None, *size, vs.YUV420P8, length=3)
    if said is not None:
        clip = clip.std.SetFrameProps(_Matrix=said)
    out = upscale(clip)
    for n in range(2):
        with out.get_frame(n) as frame:
            assert frame.props["_Matrix"] == matrix
    assert len(logged) == 1
    assert f"does not say its matrix; taking {matrix}" in logged[0]


@pytest.mark.parametrize(("size", "matrix"), [((8, 144), 5), ((8, 145), 1), ((320, 8), 1)])
def test_rgb_becomes_yuv_by_the_size_of_the_output(enlarger, upscale, size, matrix):
    clip = core.std.BlankClip(None, *size, vs.RGB24, length=1)
    with upscale(clip, format=vs.YUV420P8).get_frame(0) as frame:
        assert frame.props["_Matrix"] == matrix


def test_red_of_an_untagged_picture_of_960_by_720(enlarger, upscale):
    """As BT.470BG its red (218, 58, 38) would come back as (207, 44, 40)."""
    red = core.std.BlankClip(None, 8, 720, vs.RGB24, length=1, color=[218, 58, 38])
    clip = red.resize.Bicubic(format=vs.YUV444P8, matrix=1).std.RemoveFrameProps("_Matrix")
    back = planes(upscale(clip).resize.Bicubic(format=vs.RGB24), 0)
    assert np.abs(back[:, 0, 0] - [218, 58, 38]).max() <= 2


@pytest.mark.parametrize("scale", [4.0, 2.0])
@pytest.mark.parametrize("matrix", [None, -1, 0, 2, 3, 6, 14, 99])
def test_gray_keeps_its_properties(enlarger, upscale, matrix, scale):
    said = {"_ChromaLocation": 2, "_Transfer": 13} | ({} if matrix is None else {"_Matrix": matrix})
    clip = core.std.BlankClip(None, 16, 16, vs.GRAY8, length=1).std.SetFrameProps(**said)
    with clip.get_frame(0) as before, upscale(clip, scale=scale).get_frame(0) as after:
        assert dict(after.props) == dict(before.props)
    with upscale(clip, matrix=1, range=1, scale=scale).get_frame(0) as frame:
        assert (frame.props["_Matrix"], frame.props["_Range"]) == (1, 1), "what is said is set"


@pytest.mark.parametrize("scale", [4.0, 2.0])
@pytest.mark.parametrize("format", [vs.RGB24, vs.RGBS, vs.YUV444P8, vs.YUV420P8])
def test_planes_can_be_split_and_joined_again(enlarger, upscale, format, scale):
    rgb = source(1, 32, 32, cuts=(), format=vs.RGBS)
    family = core.get_video_format(format).color_family
    to = {"matrix": 6, "chromaloc": 1} if family == vs.YUV else {}
    clip = rgb.resize.Bicubic(format=format, **to)
    parts = [upscale(part, range=1, scale=scale) for part in clip.std.SplitPlanes()]
    parts = [part.std.CopyFrameProps(clip, props=["_Range"]) for part in parts]
    joined = core.std.ShufflePlanes(parts, [0, 0, 0], family)
    whole = upscale(clip, scale=scale)
    with joined.get_frame(0) as frame, whole.get_frame(0) as expected:
        for key in ("_Matrix", "_Range", "_ChromaLocation"):
            assert frame.props.get(key) == expected.props.get(key)
    if family == vs.RGB:
        assert np.abs(planes(joined, 0) - planes(whole, 0)).max() < (1 if scale == 4 else 2)
    else:
        joined.resize.Bicubic(format=vs.RGB24).get_frame(0).close()


@pytest.mark.parametrize("scale", [4.0, 2.0])
def test_chroma_enlarged_by_itself_is_put_back_by_a_shift(enlarger, upscale, scale):
    """As docs/colour.md says: it lies (scale - 1) / 4 of its own pixels too far right."""
    step = 128
    blank = core.std.BlankClip(None, 96, 64, vs.YUV420P16, length=1, color=3 * [32768])

    def draw(n, f):
        frame = f.copy()
        np.asarray(frame[1])[:] = 29700 + step * np.arange(48)
        return frame

    clip = blank.std.ModifyFrame(blank, draw).std.SetFrameProps(_Matrix=6, _ChromaLocation=0)
    whole = core.std.ShufflePlanes(upscale(clip, scale=scale), 1, vs.GRAY)
    alone = upscale(core.std.ShufflePlanes(clip, 1, vs.GRAY), scale=scale, range=1)
    shifted = alone.resize.Bicubic(src_left=(scale - 1) / 4)
    for plane, off in ((alone, (scale - 1) / 4), (shifted, 0)):
        difference = (planes(plane, 0) - planes(whole, 0).astype(float))[0, 16:-16, 16:-16]
        assert -difference.mean() * scale / step == pytest.approx(off, abs=0.03)


def test_sizes_of_planes_that_do_not_fit(upscale):
    """As docs/colour.md says: each is rounded to even numbers by itself."""
    clip = source(1, 68, 48, cuts=(), format=vs.YUV420P8)
    sizes = [(p.width, p.height) for p in (upscale(p, scale=1.5) for p in clip.std.SplitPlanes())]
    assert sizes == [(102, 72), (52, 36), (52, 36)]
    for scale in (4, 2):
        (width, height), chroma, _ = [
            (p.width, p.height) for p in (upscale(p, scale=scale) for p in clip.std.SplitPlanes())
        ]
        assert (width, height) == (68 * scale, 48 * scale) == (2 * chroma[0], 2 * chroma[1])


@pytest.mark.parametrize("format", [vs.RGB24, vs.YUV420P8])
def test_gray_can_become_something_else(enlarger, upscale, format):
    for matrix in (None, 0, 2, 14):
        clip = core.std.BlankClip(None, 16, 16, vs.GRAY8, length=1, color=126)
        if matrix is not None:
            clip = clip.std.SetFrameProps(_Matrix=matrix)
        out = upscale(clip, format=format)
        back = planes(out.resize.Bicubic(format=vs.RGB24), 0)
        assert np.abs(back - 128).max() <= 1


@pytest.fixture
def logged():
    """Warnings that VapourSynth logs."""
    lines = []

    def handler(kind, text):
        if kind == vs.MESSAGE_TYPE_WARNING:
            lines.append(text)

    handle = core.add_log_handler(handler)
    yield lines
    core.remove_log_handler(handle)


def test_each_frame_keeps_its_own_colour(enlarger, upscale):
    """A splice of matrices stays one, and each part is read and written by its own."""
    rgb = source(1, 64, 48, cuts=())
    first, second, third = (rgb.resize.Bicubic(format=vs.YUV444P16, matrix=m) for m in (1, 9, 6))
    third = third.std.RemoveFrameProps("_Matrix")
    out = upscale(first + second + third)
    for n, matrix in enumerate((1, 9, 6)):
        with out.get_frame(n) as frame:
            assert frame.props["_Matrix"] == matrix
    out = out.resize.Bicubic(format=vs.RGBS)
    small = [planes(out, n) for n in range(3)]
    assert np.abs(small[0] - small[1]).max() < 1e-3
    assert np.abs(small[0] - small[2]).max() < 1e-3


def test_matrix_and_range_can_be_forced(enlarger, upscale):
    clip = source(1, 64, 48, cuts=()).resize.Bicubic(format=vs.YUV444P16, matrix=9, range=1)
    wrong = clip.std.SetFrameProps(_Matrix=1, _Range=0)
    out = upscale(wrong, matrix=9, range=1)
    with out.get_frame(0) as frame:
        assert (frame.props["_Matrix"], frame.props["_Range"]) == (9, 1)
    difference = planes(out.resize.Bicubic(format=vs.RGBS), 0) - planes(
        clip.resize.Bicubic(format=vs.RGBS).resize.Point(256, 192), 0
    )
    assert np.abs(difference).max() < 1e-3


def test_another_format_and_scale(enlarger, upscale):
    clip = source(1, 50, 38, cuts=(), format=vs.YUV420P8)
    out = upscale(clip, format=vs.YUV420P10, scale=2.25)
    assert (out.format.name, out.width, out.height) == ("YUV420P10", 112, 86)
    assert upscale(clip, scale=1.0).width == 50
    rgb = source(1, 50, 38, cuts=())
    with upscale(rgb, format=vs.YUV420P8).get_frame(0) as frame:
        assert (frame.props["_Matrix"], frame.props["_Range"]) == (6, 0)


def test_every_property_survives(enlarger, upscale):
    kept = {"_SARNum": 8, "_SARDen": 9, "_DurationNum": 1001, "_DurationDen": 24000}
    kept |= {"_AbsoluteTime": 1.25, "_Primaries": 6, "_Transfer": 6, "_PictType": "B"}
    kept |= {"mine": [1, 2]}
    for format in (vs.RGBS, vs.YUV420P8):
        clip = source(2, 64, 48, cuts=(1,), format=format).std.SetFrameProps(**kept)
        with upscale(clip).get_frame(1) as frame:
            props = dict(frame.props)
        assert props["number"] == 1
        assert props["_SceneChangePrev"] == 1
        assert {key: props[key] for key in kept} == kept
        assert "_ColorRange" not in props


@pytest.mark.parametrize(("width", "height"), [(1, 1), (3, 2), (5, 7), (63, 47), (64, 48)])
def test_sizes_are_padded_and_cropped_back(fixed_model, upscale, width, height):
    """As if the right and bottom edges went on."""
    clip = source(2, width, height, cuts=())
    whole_w, whole_h = -(-width // 4) * 4, -(-height // 4) * 4
    out = planes(upscale(clip, precision="fp32"), 1)
    assert out.shape == (3, 4 * height, 4 * width)
    padded = vs.core.std.BlankClip(clip, whole_w, whole_h)

    def pad(n, f):
        frame = f[0].copy()
        for plane in range(3):
            inner = np.asarray(f[1][plane])
            edge = np.pad(inner, ((0, whole_h - height), (0, whole_w - width)), mode="edge")
            np.copyto(np.asarray(frame[plane]), edge)
        return frame

    padded = padded.std.ModifyFrame([padded, clip], pad)
    expected = planes(upscale(padded, precision="fp32"), 1)[:, : 4 * height, : 4 * width]
    np.testing.assert_array_equal(out, expected)


def test_what_lies_outside_the_range_is_clamped_on_the_way_in_only(upscale):
    clip = source(3, 16, 16, cuts=())
    wild = clip.std.Expr(["x 3 * 1 -"])
    tame = clip.std.Expr(["x 3 * 1 - 0 max 1 min"])
    np.testing.assert_array_equal(planes(upscale(wild), 2), planes(upscale(tame), 2))
    nan = clip.std.Expr(["x 0.9 > 0 0 / x ?"])
    assert np.isfinite(planes(upscale(nan), 2)).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scale": 0.0}, "scale=0, wanted more than 0 and at most 4"),
        ({"scale": 5.0}, "scale=5, wanted more than 0 and at most 4"),
        ({"scale": 4.0000001}, "scale=4.0000001, wanted more than 0 and at most 4"),
        (
            {"backend": "tensorrt"},
            "backend=tensorrt, wanted one of auto, torch, onnx, openvino, ncnn, native",
        ),
        ({"precision": "int4"}, "precision=int4, wanted one of auto, fp32, tf32, fp16, bf16"),
        (
            {"device": "gpu"},
            "device=gpu, wanted auto, cpu, cuda, cuda:N, webgpu, mps, xpu or xpu:N",
        ),
        (
            {"device": "cuda:"},
            "device=cuda:, wanted auto, cpu, cuda, cuda:N, webgpu, mps, xpu or xpu:N",
        ),
        ({"block": -1}, "block=-1, wanted 0 or more"),
        ({"warmup": -1}, "warmup=-1, wanted 0 or more"),
        ({"scenes": 2}, "scenes=2, wanted one of 0, 1"),
        ({"prefetch": -2}, "prefetch=-2, wanted -1 or more"),
        ({"cache": -1}, "cache=-1, wanted 0 or more"),
        ({"range": 3}, "range=3, wanted one of -1, 0, 1"),
        ({"format": 12345}, "format=12345, wanted the id of a video format"),
        ({"format": 2**32 + vs.GRAY8}, "format=.*, wanted the id of a video format"),
        ({"format": -1}, "format=-1, wanted the id of a video format"),
        ({"backend": "torch\0"}, r"backend='torch\\x00' holds a NUL character"),
        ({"device": "cpu\0x"}, r"device='cpu\\x00x' holds a NUL character"),
        ({"precision": "\0"}, r"precision='\\x00' holds a NUL character"),
        ({"format": vs.GRAY32}, "format is Gray32, wanted GRAY, RGB or YUV of 8 to 16 bit"),
        ({"matrix": 2}, "matrix=2, wanted one of -1, 1, 4, 5, 6, 7, 8, 9"),
        ({"model": "v3"}, "v3.*v1.*v2"),
        ({"model": "/nowhere/my.safetensors"}, "/nowhere/my.safetensors"),
    ],
)
def test_bad_arguments(upscale, options, message):
    with pytest.raises(vs.Error, match=f"^Upscale: .*({message})"):
        upscale(source(2, 16, 16, cuts=(), format=vs.YUV444P8), **options).get_frame(0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.std.BlankClip(varsize=True), "the clip's size varies"),
        (lambda c: c.std.BlankClip(varformat=True), "the clip's format varies"),
        (lambda c: c.std.BlankClip(format=vs.GRAY32), "the clip is Gray32, wanted"),
        (lambda c: c.std.SetFieldBased(1), r"frame 0 is interlaced \(_FieldBased > 0\)"),
    ],
    ids=["size", "format", "32 bit", "interlaced"],
)
def test_bad_clips(upscale, change, message):
    clip = source(2, 16, 16, cuts=(), format=vs.YUV420P8)
    with pytest.raises(vs.Error, match=f"^Upscale: {message}"):
        upscale(change(clip)).get_frame(0)


def test_the_older_name_of_the_range_is_read(enlarger, upscale):
    clip = source(1, 64, 48, cuts=()).resize.Bicubic(format=vs.YUV444P8, matrix=1, range=1)
    with pytest.warns(DeprecationWarning, match="_ColorRange"):
        older = clip.std.RemoveFrameProps("_Range").std.SetFrameProps(_ColorRange=0)
    np.testing.assert_array_equal(planes(upscale(older), 0), planes(upscale(clip), 0))


@pytest.mark.parametrize("matrix", [0, 3, -2, 10, 14, 99])
def test_matrices_that_are_not_linear(enlarger, upscale, matrix):
    clip = source(1, 16, 16, cuts=(), format=vs.YUV444P8).std.SetFrameProps(_Matrix=matrix)
    wanted = f"^Upscale: frame 0 has _Matrix={matrix}, wanted one of 1, 4, 5, 6, 7, 8, 9: convert"
    with pytest.raises(vs.Error, match=wanted):
        upscale(clip).get_frame(0)
    assert planes(upscale(clip, matrix=9), 0).shape == (3, 64, 64)


def test_interlaced_frames_later_on(upscale):
    clip = source(8, 16, 16, cuts=(4,))
    out = upscale(clip[:4] + clip[4:].std.SetFieldBased(2))
    with pytest.raises(vs.Error, match=r"^Upscale: frame 4 is interlaced.*deinterlace"):
        out.get_frame(5)
    assert planes(out, 3).shape == (3, 64, 64)


@pytest.mark.parametrize("order", [range(12), range(11, -1, -1)])
@pytest.mark.parametrize("dedup", [-1.0, 0.0])
def test_a_held_frame_that_is_interlaced_is_refused_as_any(upscale, dedup, order):
    still = source(12, 16, 16, cuts=())[0] * 12
    clip = still[:5] + still[5:6].std.SetFieldBased(1) + still[6:]
    out = upscale(clip, dedup=dedup)
    refused = {}
    for n in order:
        try:
            out.get_frame(n).close()
        except vs.Error as error:
            refused[n] = str(error)
    assert all("frame 5 is interlaced" in message for message in refused.values())
    # Without dedup frame 4 sees it ahead; a held one is in no window but its own.
    assert sorted(refused) == list(range(5 if dedup == 0 else 4, 12))


PROPERTIES = {
    "_Range": ([2, -1, 99], "wanted 0 (limited), 1 (full)"),
    "_Matrix": ([0, 3, -2, 99], "wanted one of 1, 4, 5, 6, 7, 8, 9"),
    "_ChromaLocation": ([6, 99, -2], "wanted -1 (unspecified), 0 (left)"),
    "_FieldBased": ([-1, 3], "wanted 0 (progressive)"),
    "_SceneChangePrev": ([2, -1], "wanted 0 (no), 1 (a scene change)"),
    "_SceneChangeNext": ([2, -1], "wanted 0 (no), 1 (a scene change)"),
}
"""Values that have no meaning, and what the filter says to them."""


@pytest.mark.parametrize("scale", [4.0, 2.0])
@pytest.mark.parametrize("key", PROPERTIES)
def test_properties_without_a_meaning_are_refused(enlarger, upscale, key, scale):
    clip = source(2, 16, 16, cuts=(), format=vs.YUV420P8)
    values, wanted = PROPERTIES[key]
    for value in values:
        out = upscale(clip.std.SetFrameProps(**{key: value}), scale=scale)
        with pytest.raises(vs.Error, match=re.escape(f"{key}={value}, {wanted}")) as raised:
            out.get_frame(0)
        assert str(raised.value).startswith("Upscale: frame 0 has ")
    for value in (1.0, b"1"):
        out = upscale(clip.std.SetFrameProps(**{key: value}), scale=scale)
        wanted = f"^Upscale: frame 0 has {key} of another type, wanted an integer"
        with pytest.raises(vs.Error, match=wanted):
            out.get_frame(0)


@pytest.mark.parametrize("scale", [4.0, 2.0])
def test_what_is_not_read_is_not_refused(enlarger, upscale, scale):
    """Properties that an argument overrides, and those that `resize` alone would stumble over."""
    said = {"_Range": 2, "_Matrix": 99, "_SceneChangePrev": 7}
    said |= {"_Field": 5, "_Transfer": 2**40, "_Primaries": -7}
    clip = source(2, 16, 16, cuts=(), format=vs.YUV420P8).std.SetFrameProps(**said)
    out = upscale(clip, range=0, matrix=6, scenes=0, scale=scale)
    with out.get_frame(0) as frame:
        assert {key: frame.props[key] for key in said} == said | {"_Range": 0, "_Matrix": 6}


def test_a_refused_frame_of_another_scene_is_no_hindrance(enlarger, upscale):
    clip = source(8, 16, 16, cuts=(4,), format=vs.YUV420P8)
    out = upscale(clip[:3] + clip[3:4].std.SetFrameProps(_Range=5) + clip[4:])
    for n in (7, 4, 0, 1, 5):
        out.get_frame(n).close()
    for n in (2, 3):
        with pytest.raises(vs.Error, match="frame 3 has _Range=5"):
            out.get_frame(n)


def test_the_matrices_that_can_be_named_are_those_that_can_be_read():
    assert tuple(sorted(MATRICES)) == tuple(int(m) for m in Matrix if m != Matrix.RGB)


def test_the_signature_has_every_option():
    signature = core.animesr.Upscale.signature
    kinds = {str: "data", float: "float", int: "int"}
    expected = "clip:vnode;" + "".join(
        f"{name}:{kinds[type(value)]}:opt;" for name, value in defaults().items()
    )
    assert signature == expected


def test_version():
    found = core.animesr.Version()
    assert found["version"] == __version__
    assert "animesr" in found["path"]
    assert found["backends"] == list(BACKENDS)
    assert found["onnx_version"]


def test_the_api_table_is_the_headers():
    """Every entry lies where VapourSynth4.h says, up to the last one that is used."""
    header = Path(vs.get_include()) / "VapourSynth4.h"
    table = re.search(r"struct VSAPI \{(.*?)\n\};", header.read_text(), re.DOTALL).group(1)
    names = re.findall(r"\(VS_CC \*(\w+)\)", table)
    assert names[: len(api.FUNCTIONS)] == api.FUNCTIONS
    assert len(api.FUNCTIONS) > 80


def test_structures_are_the_headers():
    assert ctypes.sizeof(api.VideoFormat) == 7 * 4
    assert ctypes.sizeof(api.VideoInfo) == 28 + 4 + 16 + 12 + 4
    assert api.VideoInfo.width.offset == 48


def planes(clip, n):
    """Frame n as an array (planes, rows, columns)."""
    with clip.get_frame(n) as frame:
        count = frame.format.num_planes
        return np.stack([np.asarray(frame[i]).astype(np.float64) for i in range(count)])
