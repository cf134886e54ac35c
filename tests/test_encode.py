"""Files in, files out: what is kept, and what is left after a failure."""

import os
import re
import signal
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import av
import pytest
import vapoursynth as vs
from enlargers import By, nearest

from vsanimesr.encode import Encoding, upscale_file
from vsanimesr.encode.common.ffmpeg import Process, find_ffmpeg
from vsanimesr.encode.render import renderer
from vsanimesr.encode.source.ticks import frame_times
from vsanimesr.encode.source.whole import last_duration, read
from vsanimesr.errors import EncodeError, OptionError

FAST = Encoding(preset="ultrafast")
MS = Fraction(1, 1000)
UNKNOWN = -(2**63)
SUBTITLES = "1\n00:00:00,200 --> 00:00:00,900\nHello\n\n2\n00:00:01,000 --> 00:00:01,500\nBye\n"
CHAPTERS = """;FFMETADATA1
title=A film
[CHAPTER]
TIMEBASE=1/1000
START=0
END=800
title=One
[CHAPTER]
TIMEBASE=1/1000
START=800
END=2000
title=Two
"""
TAGS = "range=tv:colorspace=6:color_primaries=6:color_trc=6:chroma_location=topleft"
FONT = bytes(range(256)) * 8


def ffmpeg(*words):
    command = [str(find_ffmpeg()), "-nostdin", "-v", "error", "-y", *map(str, words)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)


@pytest.fixture(autouse=True)
def index_elsewhere(tmp_path_factory, monkeypatch):
    """Keep BestSource's index of test files out of the user's cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("sources")


@pytest.fixture(scope="session")
def full(folder):
    """A Matroska file with all that such a file may hold."""
    (folder / "s.srt").write_text(SUBTITLES)
    (folder / "c.txt").write_text(CHAPTERS)
    (folder / "f.ttf").write_bytes(FONT)
    ffmpeg("-f", "lavfi", "-i", "testsrc=s=32x32", "-frames:v", 1, folder / "cover.png")
    path = folder / "full.mkv"
    ffmpeg(
        *("-f", "lavfi", "-i", "testsrc=s=72x48:r=24000/1001:d=2,format=yuv420p"),
        *("-f", "lavfi", "-i", "sine=d=2.2", "-i", folder / "s.srt", "-i", folder / "c.txt"),
        *("-map", 0, "-map", 1, "-map", 2, "-map_metadata", 3, "-map_chapters", 3),
        *("-vf", f"setsar=8/9,setparams={TAGS}"),
        *("-c:v", "libx264", "-c:a", "aac", "-c:s", "srt", "-bf", 2),
        *("-metadata:s:v", "title=Picture", "-metadata:s:v", "language=jpn"),
        *("-metadata:s:a", "language=jpn", "-metadata:s:s", "language=eng"),
        *("-attach", folder / "f.ttf", "-metadata:s:3", "mimetype=font/ttf"),
        *("-attach", folder / "cover.png", "-metadata:s:4", "mimetype=image/png"),
        *("-metadata:s:4", "filename=cover.png", path),
    )
    return path


@pytest.fixture(scope="session")
def variable(folder):
    """A file whose frames come at odd times, from 0.5 s on, the last one shown for 0.7 s."""
    path = folder / "variable.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt, stream.time_base = 64, 48, "yuv420p", MS
        stream.codec_context.time_base = MS
        for n, pts in enumerate(ODD):
            frame = av.VideoFrame(64, 48, "yuv420p")
            for plane in frame.planes:
                plane.update(bytes([n * 7 + 60]) * plane.buffer_size)
            frame.pts, frame.time_base = pts, MS
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


ODD = [500, 540, 600, 733, 800, 801, 900, 1500, 1533, 1999]


def run(source, output, **options):
    notes = []
    if (function := options.get("upscale")) and not isinstance(function, By):
        options["upscale"] = By(function)
    given = {"upscale": By(), "encoding": FAST, "report": notes.append} | options
    result = upscale_file(source, output, **given)
    assert [p.name for p in output.parent.iterdir() if "part" in p.name] == []
    return result.frames, notes


def packets(path, kind="video"):
    """Packets of the first stream of a kind, in the order they are shown."""
    with av.open(str(path)) as container:
        stream = next(s for s in container.streams if s.type == kind)
        found = [p for p in container.demux(stream) if p.size]
        return sorted(
            (((p.pts or 0) * stream.time_base, bytes(p)) for p in found), key=lambda x: x[0]
        )


def starts(path):
    return [start for start, _ in packets(path)]


def fails(match, source, output, **options):
    before = sorted(output.parent.iterdir()) if output.parent.is_dir() else []
    with pytest.raises(EncodeError, match=match) as error:
        run(source, output, **options)
    if output.parent.is_dir():
        assert sorted(output.parent.iterdir()) == before
    return str(error.value)


def test_all_of_a_matroska_file_is_kept(full, tmp_path):
    output = tmp_path / "out.mkv"
    count, notes = run(full, output)
    assert notes == []
    assert count == len(packets(output)) == 48
    assert starts(output) == starts(full)
    assert packets(output, "audio") == packets(full, "audio")
    assert packets(output, "subtitle") == packets(full, "subtitle")
    assert sorted(full.parent.glob("*index*")) == []
    with av.open(str(full)) as old, av.open(str(output)) as new:
        assert new.metadata["title"] == "A film"
        assert new.chapters() == old.chapters()
        assert len(new.chapters()) == 2
        kinds = [s.type for s in new.streams]
        assert sorted(kinds) == sorted(s.type for s in old.streams)
        font = next(s for s in new.streams if s.type == "attachment")
        assert (font.name, bytes(font.data)) == ("f.ttf", FONT)
        cover = next(
            s for s in new.streams.video if s.disposition & av.stream.Disposition.attached_pic
        )
        assert cover.metadata["filename"] == "cover.png"
        assert [s.metadata.get("language") for s in new.streams][:3] == ["jpn", "jpn", "eng"]
        video = new.streams.video[0]
        assert video.metadata["title"] == "Picture"
        assert (video.width, video.height, video.format.name) == (288, 192, "yuv420p10le")
        assert video.sample_aspect_ratio == Fraction(8, 9)
        assert video.average_rate == Fraction(24000, 1001)
        assert new.duration == old.duration


@pytest.mark.parametrize("encoder", ["x265", "x264"])
def test_colour_tags_reach_the_bitstream(full, tmp_path, encoder):
    output = tmp_path / "out.mkv"
    run(full, output, encoding=Encoding(encoder=encoder, preset="ultrafast"))
    raw = tmp_path / ("raw.hevc" if encoder == "x265" else "raw.h264")
    ffmpeg("-i", output, "-c", "copy", raw)
    for path in (output, raw):
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            frame = next(container.decode(stream))
            assert frame.colorspace == 6  # H.273: SMPTE 170M
            assert frame.color_primaries == frame.color_trc == 6
            assert frame.color_range == 1
            assert stream.sample_aspect_ratio == Fraction(8, 9)
    said = subprocess.run(
        [str(find_ffmpeg()), "-v", "verbose", "-i", str(raw)], capture_output=True, text=True
    ).stderr
    assert "topleft" in said


@pytest.mark.parametrize("name", ["out.mp4", "out.mov"])
def test_mp4_takes_what_it_can_and_the_rest_is_said(full, tmp_path, name):
    output = tmp_path / name
    count, notes = run(full, output)
    assert count == len(packets(output)) == 48
    assert packets(output, "audio")[3:] == [
        (pytest.approx(float(t), abs=1e-3), data) for t, data in packets(full, "audio")[3:]
    ]
    said = "\n".join(notes)
    assert "becomes mov_text" in said
    assert "f.ttf) is left out" in said
    assert ("cover.png) is left out" in said) == (name == "out.mov")
    assert len(notes) == (2 if name == "out.mp4" else 3)
    with av.open(str(output)) as container:
        assert len(container.chapters()) == 2
        assert container.streams.video[0].codec_tag == "hvc1"
    # Matroska rounds to 1 ms; the rate says what was meant, and MP4 can hold it.
    assert starts(output) == [Fraction(1001 * n, 24000) for n in range(48)]


@pytest.mark.parametrize("name", ["out.mkv", "out.mp4"])
def test_variable_frame_rate_is_kept(variable, tmp_path, name):
    output = tmp_path / name
    encoding = Encoding(preset="veryfast", encoder="x264" if name == "out.mp4" else "x265")
    run(variable, output, encoding=encoding)
    assert starts(variable) == [pts * MS for pts in ODD]
    assert starts(output) == [pts * MS for pts in ODD]


def test_the_last_frame_lasts_as_long(variable, tmp_path, monkeypatch):
    monkeypatch.setattr("vsanimesr.encode.source.media.last_duration", lambda *_: 700)
    mkv, mp4 = tmp_path / "out.mkv", tmp_path / "out.mp4"
    for path in (mkv, mp4):
        run(variable, path)
        with av.open(str(path)) as container:
            start = 0 if path == mkv else 500  # MP4 counts from the first frame on
            assert container.duration == pytest.approx((1999 + 700 - start) * 1000, abs=1000)
    monkeypatch.undo()
    for path in (mkv, mp4):
        with av.open(str(path)) as container:
            base = container.streams.video[0].time_base
        found = last_duration(read(path, 0), int(Fraction(1999, 1000) / base)) * base
        assert found == pytest.approx(0.7, abs=1e-3)


@pytest.mark.parametrize("offset", [0.5, -0.25])
@pytest.mark.parametrize("kind", ["mkv", "mp4", "ts"])
def test_sound_and_video_stay_together(tmp_path, kind, offset):
    source, output = tmp_path / f"in.{kind}", tmp_path / "out.mkv"
    video, audio = max(offset, 0), max(-offset, 0)
    ffmpeg(
        *("-itsoffset", video, "-f", "lavfi", "-i", "testsrc=s=64x48:r=25:d=1,format=yuv420p"),
        *("-itsoffset", audio, "-f", "lavfi", "-i", "sine=d=1.5"),
        *("-c:v", "libx264", "-c:a", "ac3", source),
    )

    def apart(path):
        return float(packets(path, "audio")[0][0] - packets(path)[0][0])

    run(source, output)
    assert apart(source) == pytest.approx(-offset, abs=0.04)
    assert apart(output) == pytest.approx(apart(source), abs=2e-3)
    if kind == "ts":  # a broadcast's clock starts anywhere
        assert packets(source)[0][0] > 1
        assert min(packets(output)[0][0], packets(output, "audio")[0][0]) < 0.1


def test_text_subtitles_go_from_mp4_to_matroska(full, tmp_path):
    run(full, tmp_path / "a.mp4")
    _, notes = run(tmp_path / "a.mp4", tmp_path / "b.mkv")
    assert any("becomes subrip" in note for note in notes)
    assert b"Hello" in packets(tmp_path / "b.mkv", "subtitle")[0][1]


def test_rotated_video_is_turned(tmp_path, folder):
    straight, source = tmp_path / "straight.mp4", tmp_path / "in.mp4"
    ffmpeg("-f", "lavfi", "-i", "testsrc=s=64x48:d=0.2,format=yuv420p", straight)
    ffmpeg("-display_rotation", 90, "-i", straight, "-c", "copy", source)
    run(source, tmp_path / "out.mkv")
    with av.open(str(tmp_path / "out.mkv")) as container:
        frame = next(container.decode(video=0))
        assert (frame.width, frame.height, frame.rotation) == (192, 256, 0)


def test_ffmpeg_arguments_replace_the_encoder(full, tmp_path):
    encoding = Encoding(arguments=("-c:v", "ffv1"), format="yuv444p8")
    run(full, tmp_path / "out.mkv", encoding=encoding)
    with av.open(str(tmp_path / "out.mkv")) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.format.name) == ("ffv1", "yuv444p")
        assert len(container.streams.video) == 2  # the cover is still a picture
        pixels = next(container.decode(stream)).to_ndarray()
    clip = vs.core.bs.VideoSource(str(full), cachemode=0, showprogress=False)
    wanted = nearest(clip, int(vs.YUV444P8)).get_frame(0)
    for plane in range(3):
        assert (pixels[plane] == wanted[plane]).all()


DISPLAY = "G(8500,39850)B(6550,2300)R(35400,14600)WP(15635,16450)L(10000000,50)"


@pytest.fixture(scope="session")
def hdr(folder):
    """A file as HDR10 has it."""
    path = folder / "hdr.mkv"
    ffmpeg(
        *("-f", "lavfi", "-i", "testsrc2=s=64x48:d=0.2,format=yuv420p10le", "-c:v", "libx265"),
        *("-x265-params", f"log-level=error:master-display={DISPLAY}:max-cll=1000,400"),
        *("-vf", "setparams=colorspace=9:color_primaries=9:color_trc=16", path),
    )
    return path


@pytest.mark.parametrize("encoder", ["x265", "x264", "svtav1"])
def test_hdr_data_is_kept(hdr, tmp_path, encoder):
    output = tmp_path / "out.mkv"
    preset = "12" if encoder == "svtav1" else "ultrafast"
    assert run(hdr, output, encoding=Encoding(encoder=encoder, preset=preset))[1] == []
    before, after = (
        vs.core.bs.VideoSource(str(path), cachemode=0, showprogress=False).get_frame(0).props
        for path in (hdr, output)
    )
    names = [name for name in before if "Mastering" in name or "LightLevel" in name]
    assert len(names) == 8
    for name in [*names, "_Matrix", "_Primaries", "_Transfer"]:
        assert after[name] == pytest.approx(before[name], abs=2e-5), name


def test_hdr_data_that_is_lost_is_named(hdr, tmp_path):
    encoding = Encoding(arguments=("-c:v", "ffv1"))
    _, notes = run(hdr, tmp_path / "out.mkv", encoding=encoding)
    wanted = "mastering display, content light level data of hdr.mkv is not carried over"
    assert notes == [wanted]


def units(data):
    """NAL units of an Annex B stream (H.264 and H.265, annex B)."""
    return [unit.rstrip(b"\0") for unit in data.split(b"\0\0\1")[1:]]


def dynamic():
    """HDR10+ of one window as an SEI message (SMPTE ST 2094-40; H.265, D.2.1)."""
    fields = [(1, 2), (1000, 27), (0, 1), *[(5000, 17)] * 4, (0, 4), (0, 10), (0, 1), (0, 1)]
    bits = "".join(f"{value:0{size}b}" for value, size in [*fields, (0, 1)])
    bits += "0" * (-len(bits) % 8)
    body = bytes.fromhex("b5003c00010401") + int(bits, 2).to_bytes(len(bits) // 8)
    message = b"\4" + bytes([len(body)]) + body + b"\x80"
    return b"\x4e\1" + re.sub(rb"\0\0(?=[\0-\3])", b"\0\0\3", message)


def rpu():
    """Dolby Vision that changes nothing, as a NAL unit of type 62 (ETSI GS CCM 001, 5.3)."""
    same = "11" + "0" + "1" + "0" * 23 + "010" + "0" * 23  # polynomial, of order 1, 0 and 1
    pivots = ("1" + f"{0:010b}" + f"{1023:010b}") * 3
    depths = "011" + "011" + "00101"  # 10, 10 and 12 bits
    denominator = "000011000"  # 23
    bits = f"{25:08b}{2:06b}{18:011b}" + "0000" + "0000" + "1" + "0" + "00" + denominator
    bits += "01" + "0" + depths + "0" + "000" + "0" + "1" + "00" + "111" + pivots + "11" + same * 3
    bits += "0" * (-len(bits) % 8)
    body = int(bits, 2).to_bytes(len(bits) // 8) + bytes(4) + b"\x80"  # a checksum nobody checks
    return b"\x7c\1" + re.sub(rb"\0\0(?=[\0-\3])", b"\0\0\3", body)


@pytest.mark.parametrize(
    ("unit", "before", "name"),
    [(dynamic(), True, "HDR10+"), (rpu(), False, "Dolby Vision")],
    ids=["HDR10+", "Dolby Vision"],
)
def test_what_describes_each_frame_is_named_as_lost(hdr, tmp_path, unit, before, name):
    raw = tmp_path / "raw.hevc"
    ffmpeg("-i", hdr, "-c", "copy", raw)
    data = b""
    for one in units(raw.read_bytes()):
        picture = one[0] >> 1 < 32
        parts = ([unit, one] if before else [one, unit]) if picture else [one]
        data += b"".join(b"\0\0\0\1" + part for part in parts)
    raw.write_bytes(data)
    _, notes = run(raw, tmp_path / "out.mkv")
    assert notes[-1] == f"{name} data of raw.hevc is not carried over"


def test_how_it_was_encoded_is_in_its_tags(variable, tmp_path):
    from vsanimesr.cli import main

    class Cheap(By):
        def __init__(self, _):
            super().__init__()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vsanimesr.encode.AnimeSR", Cheap)
        for name, where in (("a.mkv", "ENCODER_SETTINGS"), ("a.mp4", "encoder")):
            words = ["--encoder", "x264", "--crf", "23.5", "--preset", "ultrafast"]
            assert main(["upscale", *words, str(variable), str(tmp_path / name)]) == 0
            with av.open(str(tmp_path / name)) as container:
                tags = container.streams.video[0].metadata | container.metadata
            wanted = "-c libx264 -preset ultrafast -crf 23.5 -x264-params stitchable=1"
            assert wanted in tags[where]


def test_warnings_are_reported_once(full, tmp_path):
    def warn(clip, format_id):
        for _ in range(2):
            vs.core.log_message(vs.MESSAGE_TYPE_WARNING, "unspecified matrix")
        return nearest(clip, format_id)

    _, notes = run(full, tmp_path / "out.mkv", upscale=warn)
    assert notes == ["unspecified matrix"]


@pytest.mark.weights
def test_the_plugin_itself(full, tmp_path, released):
    assert released
    short = tmp_path / "in.mkv"
    ffmpeg("-i", full, "-map", "0:v:0", "-frames:v", 4, "-c:v", "libx264", short)
    assert run(short, tmp_path / "out.mkv", upscale=None)[0] == 4


# Times


def rounded(seconds):
    """Ticks of a millisecond, as libavformat rounds."""
    return int(seconds / MS + Fraction(1, 2))


def test_constant_rates_are_recognised_in_rounded_times():
    fps = Fraction(24000, 1001)
    for first in (0, 83, 709):
        exact = [Fraction(first, 1000) + n / fps for n in range(500)]
        times = frame_times([rounded(t) for t in exact], MS, fps, 42)
        assert times.rate == fps
        assert [pts * times.base for pts in times.pts] == exact
        assert times.last * times.base == 1 / fps


def test_a_phase_between_ticks_is_recognised():
    fps = Fraction(24000, 1001)
    ticks = [rounded(Fraction(7, 10000) + n / fps) for n in range(300)]
    times = frame_times(ticks, MS, fps, 0)
    assert times.rate == fps
    assert [rounded(pts * times.base) for pts in times.pts] == ticks


def test_odd_times_are_left_alone():
    times = frame_times(ODD, MS, Fraction(25), 700)
    assert (times.pts, times.base, times.last) == (ODD, MS, 700)
    assert float(times.rate) == pytest.approx(10 / 2.199, rel=1e-4)
    assert frame_times(ODD, MS, Fraction(0), 0).last == 466


def test_a_long_last_frame_of_a_constant_rate_is_kept():
    times = frame_times([0, 40, 80], MS, Fraction(25), 500)
    assert times.last * times.base == Fraction(1, 2)
    assert frame_times([7], MS, Fraction(25), 0).last == 40


def test_files_without_times_are_constant():
    times = frame_times([UNKNOWN] * 3, MS, Fraction(25), 0, "a.avi")
    assert (times.pts, times.base) == ([0, 1, 2], Fraction(1, 25))
    assert times.note == "a.avi states no frame times; taken as a constant 25 frames/s"


def test_files_without_times_and_rate_are_refused():
    with pytest.raises(EncodeError, match="states neither frame times nor a rate"):
        frame_times([UNKNOWN], MS, Fraction(0), 40, "in.avi")


# Refusals before any work


def test_paths_that_cannot_work(full, variable, tmp_path):
    there = tmp_path / "there.mkv"
    there.write_bytes(b"precious")
    (tmp_path / "folder.mkv").mkdir()
    fails("there.mkv exists; give --overwrite", full, there)
    assert there.read_bytes() == b"precious"
    fails("is the source itself", full, full, overwrite=True)
    fails("folder.mkv is a folder", full, tmp_path / "folder.mkv", overwrite=True)
    fails("nowhere is not there; make it first", full, tmp_path / "nowhere" / "out.mkv")
    fails(r"out.webm has no known extension; wanted: .mkv, .mp4", full, tmp_path / "out.webm")
    fails("absent.mkv is not there", tmp_path / "absent.mkv", tmp_path / "out.mkv")
    fails("is no file", tmp_path, tmp_path / "out.mkv")
    run(variable, there, overwrite=True)
    assert len(packets(there)) == len(ODD)


def test_sources_that_hold_no_video(tmp_path):
    output = tmp_path / "out.mkv"
    (tmp_path / "text.mkv").write_text("not a video")
    fails("text.mkv is not a video that can be read", tmp_path / "text.mkv", output)
    (tmp_path / "empty.mkv").write_bytes(b"")
    fails("empty.mkv is not a video that can be read", tmp_path / "empty.mkv", output)
    ffmpeg("-f", "lavfi", "-i", "sine=d=0.2", "-c:a", "aac", tmp_path / "sound.mkv")
    fails(r"holds no video \(it holds: audio\)", tmp_path / "sound.mkv", output)
    none = tmp_path / "none.mkv"
    ffmpeg("-f", "lavfi", "-i", "testsrc=s=64x48", "-frames:v", 0, "-c:v", "ffv1", none)
    fails(r"none.mkv", none, output)


def test_a_size_that_changes_is_refused(tmp_path):
    one, two, both = tmp_path / "1.ts", tmp_path / "2.ts", tmp_path / "both.ts"
    for path, size in ((one, "64x48"), (two, "96x64")):
        ffmpeg("-f", "lavfi", "-i", f"testsrc=s={size}:d=0.5", "-c:v", "mpeg2video", path)
    both.write_bytes(one.read_bytes() + two.read_bytes())
    fails("changes its size or pixel format", both, tmp_path / "out.mkv")


def test_missing_programs_are_named(full, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    fails("put it on PATH or install one: pip install imageio-ffmpeg", full, tmp_path / "o.mkv")
    monkeypatch.undo()
    monkeypatch.setitem(sys.modules, "av", None)
    fails("PyAV is missing; install it: pip install av", full, tmp_path / "o.mkv")


def test_unknown_choices_are_refused(full, tmp_path):
    with pytest.raises(OptionError, match="encoder=mpeg2, wanted one of x265, x264"):
        Encoding(encoder="mpeg2")
    fails(
        "cannot encode rgb24 frames; wanted: yuv420p8",
        full,
        tmp_path / "o.mkv",
        encoding=Encoding(format="rgb24"),
    )


# Failures midway: no file is left


def test_a_refusal_by_the_filter_reaches_the_user(full, tmp_path):
    def refuse(clip, _):
        return clip.resize.Point(format=12345)

    fails("Resize error", full, tmp_path / "out.mkv", upscale=refuse)

    def shorten(clip, format_id):
        return nearest(clip, format_id)[:7]

    fails("48 frames became 7", full, tmp_path / "out.mkv", upscale=shorten)


@pytest.mark.parametrize("bad", [0, 1, 37, 47])
def test_an_error_at_a_frame_names_it(full, tmp_path, bad):
    def break_at(clip, format_id):
        clip = nearest(clip, format_id)

        def serve(n):
            if n == bad:
                raise vs.Error("the decoder gave up")
            return clip

        return clip.std.FrameEval(serve)

    message = fails("the decoder gave up", full, tmp_path / "out.mkv", upscale=break_at)
    assert f"frame {bad} of " in message


def test_ffmpeg_that_dies_is_said_so(full, tmp_path, monkeypatch):
    made = []

    def start(command):
        made.append(Process(command))
        return made[-1]

    monkeypatch.setattr(renderer, "Process", start)

    def kill(progress):
        if (progress.stage, progress.done) == ("chunks", 10):
            os.kill(made[-1].pid, signal.SIGKILL)
            time.sleep(0.1)

    message = fails("ffmpeg ended by signal SIGKILL", full, tmp_path / "out.mkv", progress=kill)
    assert "it said nothing" in message


def test_ffmpeg_that_refuses_is_quoted(full, tmp_path):
    encoding = Encoding(arguments=("-c:v", "libx264", "-preset", "no_such_preset"))
    message = fails("ffmpeg ended with status", full, tmp_path / "o.mkv", encoding=encoding)
    assert "no_such_preset" in message


@pytest.mark.skipif(os.name != "posix", reason="shell scripts")
@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("echo ffmpeg version 4.4.2-0ubuntu0 Copyright", "is version 4.4, wanted 5.1 or later"),
        ("echo ffmpeg version n9.1-2 Copyright", "has no libx265"),
    ],
)
def test_an_ffmpeg_on_path_that_cannot_do_it_is_passed_over(
    variable, tmp_path, monkeypatch, script, why
):
    """The wheel's is used, and it is said; where there is none, what to do."""
    there = tmp_path / "bin" / "ffmpeg"
    there.parent.mkdir()
    there.write_text(f"#!/bin/sh\n{script}\n")
    there.chmod(0o755)
    monkeypatch.setenv("PATH", str(there.parent), prepend=os.pathsep)
    _, notes = run(variable, tmp_path / "out.mkv")
    assert re.fullmatch(rf"{there} {why}; .*ffmpeg.* is used", notes[0])
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    fails(f"{there} {why}; put another ffmpeg on PATH, or install", variable, tmp_path / "o.mkv")


def test_lost_frames_are_noticed(full, tmp_path):
    encoding = Encoding(arguments=("-c:v", "ffv1", "-bsf:v:0", "noise=drop=eq(n\\,3)"))
    fails(
        "made 47 frames in 47 packets of 48; wanted: one each",
        full,
        tmp_path / "out.mkv",
        encoding=encoding,
    )


HARNESS = """
import resource, signal, sys, time
import vapoursynth as vs
import vsanimesr.encode
from vsanimesr.cli import main

def slow(clip, format_id, **_):
    clip = clip.resize.Point(clip.width * 4, clip.height * 4, format=format_id)
    def serve(n):
        time.sleep({wait})
        return clip
    return clip.std.FrameEval(serve)

class Slow:
    block, device = 12, "cpu"
    def __init__(self, options): pass
    def size(self, clip, format_id): return clip.width * 4, clip.height * 4
    def __call__(self, clip, format_id): return slow(clip, format_id)
    def arguments(self): return {}
    def engine(self): return {}

vsanimesr.encode.AnimeSR = Slow
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
{setup}
sys.exit(main(["upscale", *sys.argv[1:]]))
"""


def harness(*words, wait=0.0, setup=""):
    return subprocess.Popen(
        [
            sys.executable,
            "-c",
            HARNESS.replace("{wait}", str(wait)).replace("{setup}", setup),
            *map(str, words),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize(("sent", "status"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)])
def test_interrupted(full, tmp_path, sent, status):
    output = tmp_path / "out.mkv"
    child = harness(full, output, wait=0.5)
    parts = tmp_path / ".out.mkv.parts"
    deadline = time.monotonic() + 20
    while not list(parts.glob("scenes.json")) and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.3)
    os.killpg(child.pid, getattr(signal, sent))  # as a terminal does: to the whole group
    said = child.communicate(timeout=20)[1]
    assert child.returncode == status
    assert list(tmp_path.iterdir()) == []
    assert "Traceback" not in said
    if sent == "SIGINT":
        assert said.strip().splitlines() == ["vsanimesr: interrupted"]


@pytest.mark.skipif(os.name != "posix", reason="resource limits")
def test_a_file_that_cannot_grow(full, tmp_path):
    setup = "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))"
    child = harness(full, tmp_path / "out.mkv", "--crf", "1", setup=setup)
    said = child.communicate(timeout=20)[1]
    assert child.returncode == 1
    assert re.search(r"^vsanimesr: upscale: ffmpeg ended", said, re.MULTILINE)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="tmpfs")
def test_a_full_disk(full, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(disk)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("no right to mount a file system")
    try:
        fails("No space left", full, disk / "out.mkv", encoding=Encoding(crf=1))
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_slow_encoder_holds_the_frames_back(full, tmp_path, monkeypatch):
    """Frames asked for are never far ahead of frames written."""
    asked, written, lead = [0], [0], []

    def count(clip, format_id):
        clip = nearest(clip, format_id)

        def serve(n):
            asked[0] = max(asked[0], n)
            return clip

        return clip.std.FrameEval(serve)

    write = Process.write

    def slowly(self, chunks):
        time.sleep(0.005)
        write(self, chunks)
        written[0] += 1
        lead.append(asked[0] - written[0])

    monkeypatch.setattr(Process, "write", slowly)
    run(full, tmp_path / "out.mkv", upscale=count, chunk=48)
    assert len(lead) >= 48
    assert max(lead) <= 4 * vs.core.num_threads


def test_odd_names(variable, tmp_path):
    source, output = tmp_path / "-a: b's [1] %.mkv", tmp_path / "-o: ü'{x}.mkv"
    source.write_bytes(variable.read_bytes())
    run(source, output)
    assert starts(output) == starts(variable)


def test_relative_paths(variable, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run(variable, Path("out.mkv"))
    assert (tmp_path / "out.mkv").is_file()


@pytest.mark.parametrize("format", [vs.RGB24, vs.RGBS, vs.YUV420P8, vs.YUV420P10, vs.GRAYH])
def test_scenes_are_found_in_every_format(format):
    from vsanimesr.encode.scenes import detected

    parts = [
        vs.core.std.BlankClip(None, 64, 48, vs.RGBS, length=5, color=[level] * 3)
        for level in (0.1, 0.8, 0.3)
    ]
    clip = vs.core.std.Splice(parts)
    if format != vs.RGBS:
        rgb = vs.core.get_video_format(format).color_family == vs.RGB
        clip = clip.resize.Bicubic(format=format, **({} if rgb else {"matrix": 1}))
    found = [
        t for t, frame in enumerate(detected(clip).frames()) if frame.props["_SceneChangePrev"]
    ]
    assert set(found) - {0} == {5, 10}
