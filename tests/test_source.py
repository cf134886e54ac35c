"""Sources of every kind: their names, times, index, and what their containers say."""

import os
import shutil
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import imageio_ffmpeg
import numpy as np
import pytest
import vapoursynth as vs
from enlargers import By

from vsanimesr.encode import Encoding, upscale_file
from vsanimesr.encode.common import names
from vsanimesr.encode.join.planning import plan
from vsanimesr.encode.source import media
from vsanimesr.encode.source.media import open_source
from vsanimesr.encode.source.picture import Look, Picture, applied
from vsanimesr.encode.source.ticks import frame_times
from vsanimesr.encode.source.times import UNKNOWN
from vsanimesr.encode.source.whole import Packets, lack
from vsanimesr.errors import EncodeError

SOURCES = Path(__file__).parent / "data" / "sources"
MS = Fraction(1, 1000)
NTSC = Fraction(30000, 1001)


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    return folder / "vsanimesr" / "index"


def ffmpeg(*words):
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-v", "error", "-y", *map(str, words)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)


@pytest.fixture(scope="session")
def whole(tmp_path_factory):
    """Eight seconds of picture and sound, no two frames alike."""
    path = tmp_path_factory.mktemp("whole") / "whole.mkv"
    ffmpeg(
        *("-f", "lavfi", "-i", "testsrc2=s=32x24:r=25:d=8,format=yuv420p"),
        *("-f", "lavfi", "-i", "sine=d=8", "-c:v", "libx264", "-g", 25, "-qp", 10),
        *("-c:a", "mp2", path),
    )
    return path


def seconds(times):
    return [pts * times.base for pts in times.pts]


# Names


ODD_NAMES = [
    b"Re:Zero 01.mkv",
    b"-vf.mkv",
    b"%03d.mkv",
    b"a\nb.mkv",
    b"'a\" \\ b.mkv",
    b"x" * 249 + b".mkv",
    "é".encode() * 124 + b".mkv",
    b"\xff\xfe caf\xe9.mkv",
    b"file:a.mkv",
    b"concat:a|b.mkv",
]
PICTURES = [b"x%03d.png", b"a%d.gif", b"s%02d/01.jpg"]


@pytest.mark.skipif(os.name != "posix", reason="such names are not allowed")
@pytest.mark.parametrize("name", ODD_NAMES)
def test_any_name_is_taken(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = Path("A:B")
    folder.mkdir()
    source, output = Path(os.fsdecode(name)), folder / os.fsdecode(name)
    shutil.copy(SOURCES / "any.mkv", source)
    encoding = Encoding(preset="ultrafast", encoder="x264")
    assert upscale_file(source, output, upscale=By(), encoding=encoding).frames == 20
    assert [os.fsencode(p.name) for p in folder.iterdir()] == [name]


@pytest.mark.skipif(os.name != "posix", reason="such names are not allowed")
@pytest.mark.parametrize("name", PICTURES)
def test_a_name_of_many_pictures_is_that_of_one_file(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    source = Path(os.fsdecode(name))
    source.parent.mkdir(exist_ok=True)
    shutil.copy(SOURCES / "any.mkv", source)
    output = source.with_suffix(".mkv")
    encoding = Encoding(preset="ultrafast", encoder="x264")
    assert upscale_file(source, output, upscale=By(), encoding=encoding).frames == 20
    with av.open(f"file:{output}") as container:
        assert [stream.type for stream in container.streams] == ["video", "audio"]


def test_names_beside_a_file_are_short_and_its_own(tmp_path):
    assert names.beside(Path("a/b.mkv"), ".part") == Path("a/.b.mkv.part")
    long = [tmp_path / ("é" * 120 + end) for end in ("1.mkv", "2.mkv")]
    found = [names.beside(path, ".parts") for path in long]
    assert len(set(found)) == 2
    for path in found:
        assert len(os.fsencode(path.name)) <= 255
        assert path.parent == tmp_path
        path.mkdir()


def test_a_name_is_shown_in_one_printable_line():
    assert names.shown(Path(os.fsdecode(b"a\n\xffb"))).isprintable()
    assert names.shown(Path("ü: 'x'.mkv")) == "ü: 'x'.mkv"


# The index


def test_an_index_serves_only_what_it_was_made_from(whole, tmp_path):
    path = tmp_path / "dl.mkv"
    size = whole.stat().st_size
    path.write_bytes(whole.read_bytes()[: size // 2].ljust(size, b"\0"))
    then = path.stat()
    short = open_source(path, 0, incomplete=True)
    assert len(short.clip) < 150
    path.write_bytes(whole.read_bytes())
    os.utime(path, ns=(then.st_atime_ns, then.st_mtime_ns))  # as tools that copy do
    assert len(open_source(path, 0).clip) == 200


def test_an_index_is_kept_and_used(whole, cache, monkeypatch):
    first = open_source(whole, 0)
    (kept,) = cache.glob("*.bsindex")
    written = {path.name: path.stat().st_mtime_ns for path in cache.iterdir()}
    assert len(written) == 2

    def read(*_):
        raise AssertionError("the whole file is read again")

    with monkeypatch.context() as patch:
        patch.setitem(open_source.__globals__, "read", read)
        again = open_source(whole, 0)
        assert again.times == first.times
        assert {path.name: path.stat().st_mtime_ns for path in cache.iterdir()} == written
        kept.write_bytes(kept.read_bytes()[:-100])  # the half of one is not believed
        assert len(open_source(whole, 0).clip) == 200
    next(cache.glob("*.json")).write_text("{")
    assert open_source(whole, 0).times == first.times


@pytest.mark.parametrize("where", ["/proc/nope", "file", "relative", "homeless"])
@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_a_cache_that_cannot_be_written_is_said_once(whole, tmp_path, monkeypatch, where):
    if where == "file":
        (tmp_path / "file").write_text("x")
        where = str(tmp_path / "file")
    elif where == "relative":
        monkeypatch.setattr("platformdirs.user_cache_dir", lambda *_, **__: "~/.cache/vsanimesr")
        monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", where)
    if where == "homeless":  # no HOME, and a user whom the system does not know
        for name in ("HOME", "USERPROFILE", "XDG_CACHE_HOME"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    opened = open_source(whole, 0)
    assert len(opened.clip) == 200
    (note,) = opened.notes
    assert "no index of frames is kept" in note
    assert not (tmp_path / "~").exists()


def test_a_playlist_has_no_index_of_its_own(whole, tmp_path, cache):
    ffmpeg("-i", whole, "-c", "copy", "-f", "hls", "-hls_list_size", 0, tmp_path / "a.m3u8")
    assert len(open_source(tmp_path / "a.m3u8", 0).clip) == 200
    assert not cache.exists()


# Whether it is whole


@pytest.mark.parametrize("kind", ["mkv", "mp4", "avi", "flv", "webm"])
@pytest.mark.parametrize("damage", ["cut", "zeros", "hole"])
def test_what_is_not_whole_is_refused(whole, tmp_path, kind, damage):
    path = tmp_path / f"a.{kind}"
    codecs = {
        "webm": ("-c:v", "libvpx", "-c:a", "libvorbis", "-deadline", "realtime"),
        "avi": ("-c:v", "mpeg4", "-c:a", "copy"),
        "flv": ("-c:v", "copy", "-an"),
    }.get(kind, ("-c", "copy"))
    ffmpeg("-i", whole, *codecs, "-movflags", "faststart", path)
    assert open_source(path, 0).notes == ()
    data = path.read_bytes()
    size = len(data)
    path.write_bytes(
        {
            "cut": data[: size // 2],
            "zeros": data[: size // 2].ljust(size, b"\0"),
            "hole": data[: size * 4 // 10]
            + bytes(size * 3 // 10)
            + data[size * 4 // 10 + size * 3 // 10 :],
        }[damage]
    )
    with pytest.raises(
        EncodeError, match=r"is (not whole|damaged): .*\d s .*--incomplete"
    ) as error:
        open_source(path, 0)
    assert "8.0" in str(error.value) or "7.9" in str(error.value)
    opened = open_source(path, 0, incomplete=True)
    assert 20 < len(opened.clip) < 190
    assert any("is not whole" in note or "is damaged" in note for note in opened.notes)


@pytest.mark.parametrize(
    ("kind", "video", "sound"),
    [
        ("ogv", "libtheora", "libvorbis"),
        ("ts", "libx264", "mp2"),
        ("m2ts", "libx264", "ac3"),
        ("wmv", "wmv2", "wmav2"),
        ("vob", "mpeg2video", "mp2"),
    ],
)
def test_what_shows_that_a_file_without_an_index_was_cut_off(whole, tmp_path, kind, video, sound):
    path = tmp_path / f"a.{kind}"
    ffmpeg("-i", whole, "-c:v", video, "-c:a", sound, "-ar", 48000, path)
    data = path.read_bytes()
    track = plan(path, "matroska").track
    assert open_source(path, track).notes == ()
    for cut in (data[: len(data) // 2 + 1], data[: len(data) // 2].ljust(len(data), b"\0")):
        path.write_bytes(cut)
        with pytest.raises(EncodeError, match=r"a\.\w+ is not whole: it .*--incomplete"):
            open_source(path, track)
        assert len(open_source(path, track, incomplete=True).clip) < 150


@pytest.mark.parametrize("kind", ["mkv", "mp4", "ts"])
def test_a_film_that_begins_late_is_whole(whole, tmp_path, kind):
    path = tmp_path / f"a.{kind}"
    ffmpeg("-itsoffset", 100, "-i", whole, "-c", "copy", "-avoid_negative_ts", "disabled", path)
    opened = open_source(path, 0)
    assert (len(opened.clip), opened.notes) == (200, ())
    if kind == "mkv":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        with pytest.raises(EncodeError, match=r"it holds 10[0-9.]+ s of the 108[0-9.]+ s that it"):
            open_source(path, 0)


def test_sound_that_goes_on_and_held_frames_are_no_damage(tmp_path):
    longer, held = tmp_path / "longer.mkv", tmp_path / "held.mkv"
    video = ("-f", "lavfi", "-i", "testsrc2=s=32x24:r=25:d=1,format=yuv420p")
    ffmpeg(*video, "-f", "lavfi", "-i", "sine=d=9", "-c:v", "libx264", "-c:a", "mp2", longer)
    assert open_source(longer, 0).notes == ()
    slow = ("-vf", "select='lt(n,5)+gt(n,22)',setpts='if(lt(N,5),N,N+200)/25/TB'")
    ffmpeg(
        *(*video, "-f", "lavfi", "-i", "sine=d=9", *slow, "-fps_mode", "passthrough"),
        *("-c:v", "libx264", "-c:a", "mp2", held),
    )
    assert open_source(held, 0).notes == ()


def test_half_of_a_short_film_is_not_whole_though_its_sound_is(tmp_path):
    """Half a second of video is missing, and no length but that of the video itself says so."""
    path = tmp_path / "a.mkv"
    ffmpeg(
        *("-f", "lavfi", "-i", "testsrc2=s=64x48:r=25:d=1,format=yuv420p"),
        *("-f", "lavfi", "-i", "sine=d=1:r=48000", "-c:v", "libx264", "-c:a", "libopus", path),
    )
    assert open_source(path, 0).notes == ()
    with av.open(str(path)) as old, av.open(str(tmp_path / "b.mkv"), "w") as new:
        streams = [new.add_stream_from_template(stream, opaque=True) for stream in old.streams]
        packets = [packet for packet in old.demux() if packet.size]
        for packet in packets:
            if packet.stream_index == 0 and (packet.pts or 0) > 480:
                continue
            packet.stream = streams[packet.stream_index]
            new.mux(packet)
    data = (tmp_path / "b.mkv").read_bytes()
    short, stated = b"00:00:00.520000000", b"00:00:01.000000000"
    assert short in data
    (tmp_path / "b.mkv").write_bytes(data.replace(short, stated))
    said = r"is not whole: it holds 0\.52 s of video, and states 1\.00 s of it"
    with pytest.raises(EncodeError, match=said):
        open_source(tmp_path / "b.mkv", 0)


def test_a_file_that_cannot_be_read_to_its_end_is_not_whole():
    """A disk that fails: where the container states a length, what it lacks is told, too."""
    times = frame_times([0, 40, 80], MS, Fraction(25), 0)
    raw = Packets(stated=0.0, held=5.0, failed="Input/output error")
    assert lack(raw, times) == ("cannot be read beyond 5.00 s (Input/output error)", True)
    half = Packets(stated=10.0, held=5.0, failed="Input/output error")
    said = "is not whole: it holds 5.00 s of the 10.00 s that it states (Input/output error)"
    assert lack(half, times) == (said, True)
    assert lack(Packets(stated=5.0, held=5.0, failed="damaged"), times) == ("", False)


def test_a_file_that_changes_meanwhile_is_refused(whole, tmp_path, monkeypatch):
    path = tmp_path / "a.mkv"
    shutil.copy(whole, path)
    index = open_source.__globals__["index"]

    def grow(*arguments):
        found = index(*arguments)
        with path.open("ab") as file:
            file.write(b"more")
        return found

    monkeypatch.setitem(open_source.__globals__, "index", grow)
    with pytest.raises(EncodeError, match="was changed while it was read"):
        open_source(path, 0)


# Times


@pytest.mark.parametrize(
    ("name", "count", "start", "rate", "said"),
    [
        ("packed.avi", 14, Fraction(1, 25), 25, "10 frames without a time"),
        ("asp.avi", 14, Fraction(1, 25), 25, "3 frames without a time"),
        ("plain.vob", 12, Fraction(48003, 90000), NTSC, "1 frame without a time"),
        ("joined.vob", 24, Fraction(48003, 90000), NTSC, "a clock that starts anew"),
        ("duplicate_times.mkv", 12, 0, 25, "1 frame with the time of the one before"),
        ("rff.m2v", 16, 0, Fraction(24000, 1001), "taken from its fields"),
    ],
)
def test_times_that_lie_on_a_line_are_filled_in(name, count, start, rate, said):
    times = open_source(SOURCES / name, 0).times
    assert seconds(times) == [start + n / Fraction(rate) for n in range(count)]
    assert times.rate == rate
    assert times.last * times.base == 1 / Fraction(rate)
    assert said in times.note


@pytest.mark.parametrize("length", [8, 2])
def test_program_streams_state_few_times_and_some_for_another_frame(whole, tmp_path, length):
    ffmpeg("-i", whole, "-t", length, "-c:v", "mpeg2video", "-an", tmp_path / "a.vob")
    times = open_source(tmp_path / "a.vob", 0).times
    assert times.rate == 25
    assert np.diff(np.array(times.pts) * float(times.base)) == pytest.approx(0.04)


@pytest.mark.parametrize("kind", ["ts", "vob"])
def test_files_that_were_joined_byte_by_byte(kind, tmp_path):
    """Three times the same: each clock continues the line of the one before."""
    one, three = tmp_path / f"1.{kind}", tmp_path / f"3.{kind}"
    ffmpeg(
        *("-f", "lavfi", "-i", "testsrc2=s=32x24:r=25:d=2,format=yuv420p"),
        *("-c:v", "mpeg2video", "-g", 12, "-bf", 2, one),
    )
    three.write_bytes(one.read_bytes() * 3)
    times = open_source(three, 0).times
    first = open_source(one, 0).times.pts[0] * open_source(one, 0).times.base
    assert seconds(times) == [first + Fraction(n, 25) for n in range(150)]
    assert times.clocks == (0, 2, 4)


def test_theora_is_decoded_by_one_thread(tmp_path, monkeypatch):
    """By several, a frame that repeats the one before is lost now and then."""
    ffmpeg(
        *("-f", "lavfi", "-i", "color=s=32x24:r=25:d=2,format=yuv420p", "-g", 25),
        *("-c:v", "libtheora", tmp_path / "a.ogv"),
    )
    opened = []

    def look(function):
        def call(*given):
            opened.append(function(*given))
            return opened[-1]

        return call

    monkeypatch.setattr(media, "_opening", look(media._opening))
    track = plan(tmp_path / "a.ogv", "matroska").track
    frames = list(open_source(tmp_path / "a.ogv", track).clip.frames())
    assert len(frames) > 1
    open_source(SOURCES / "any.mkv", 0)
    assert [one["threads"] for one in opened] == [1, -1]


def test_streams_without_a_container(whole, tmp_path):
    ffmpeg("-i", whole, "-c:v", "copy", "-an", tmp_path / "a.264")
    ffmpeg("-i", whole, "-c:v", "mpeg2video", "-an", tmp_path / "a.m2v")
    for name in ("a.264", "a.m2v"):
        times = open_source(tmp_path / name, 0).times
        assert (len(times.pts), times.rate) == (200, 25)
        assert "states no frame times" in times.note


def test_playlists_and_other_files_that_cannot_seek():
    assert len(open_source(SOURCES / "h.m3u8", 0).clip) == 20


U = UNKNOWN
VOB = [48003, 51006, 54009, U, 60015, 63018, U, 69024, 72027, 75030, 78033, U]


@pytest.mark.parametrize(
    ("ticks", "base", "fps", "wanted"),
    [
        ([U, 2, U, 4], Fraction(1, 25), 25, [1, 2, 3, 4]),
        ([0, 40, 80, 1_000_000, 160, 200], MS, 25, [0, 40, 80, 120, 160, 200]),
        ([500, 0, 40, 80, 120], MS, 25, [-40, 0, 40, 80, 120]),
        ([0, 120, 40, 80, 240, 160, 200], MS, 25, [0, 40, 80, 120, 160, 200, 240]),
        ([0, 0, 40, 40, 80, 80], MS, 25, [0, 20, 40, 60, 80, 100]),
        ([0, 0, 0, 0], MS, 25, [0, 40, 80, 120]),
        # No line: between its neighbours.
        ([0, 33, U, 100, 117, U, U, 300], MS, 30, [0, 33, 67, 100, 117, 178, 239, 300]),
        # Two clocks, and twice the same.
        ([*VOB, *VOB], Fraction(1, 90000), 50, [48003 + 3003 * n for n in range(24)]),
    ],
)
def test_times_are_repaired(ticks, base, fps, wanted):
    times = frame_times(ticks, base, Fraction(fps), 0)
    assert seconds(times) == [tick * base for tick in wanted]
    assert times.note


def test_where_no_clock_can_start_anew_a_time_that_falls_is_wrong():
    """As few as can be are given up, and they lie between their neighbours."""
    ticks = [0, 40, 80, 401, 441, 120, 160, 200, 240, 280, 320, 360, 480, 520, 560, 600, 640]
    ticks += [680 + 40 * n for n in range(10)]
    times = frame_times(ticks, MS, Fraction(25), 0, restarts=False)
    assert times.clocks == (0,)
    assert "2 frames with a wrong time" in times.note
    kept = [0, 1, 2, *range(5, len(ticks))]
    assert [seconds(times)[n] for n in kept] == [ticks[n] * MS for n in kept]
    with pytest.raises(EncodeError, match="jump back and forth"):
        frame_times([0, 80, 40, 200, 120, 280, 160], MS, Fraction(0), 0, restarts=False)


def test_a_clock_that_starts_anew_is_told_to_the_join():
    assert frame_times([0, 40, 80], MS, Fraction(25), 0).clocks == (0,)
    ticks = [1000 + 40 * n for n in range(20)] + [200 + 40 * n for n in range(20)]
    times = frame_times(ticks, MS, Fraction(25), 0)
    assert times.clocks == (0, Fraction(1600, 1000))
    assert seconds(times) == [1 + Fraction(n, 25) for n in range(40)]


def test_the_advice_for_times_that_contradict_each_other_works(tmp_path):
    """It is run as it stands, by the ffmpeg that we use, on the file that brought it."""
    path = tmp_path / "it's.mkv"
    order = np.random.default_rng(3).integers(0, 30, 40)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 32, 24, "yuv420p"
        for n, at in enumerate(order):
            frame = av.VideoFrame.from_ndarray(np.full((36, 32), n * 5, np.uint8), "yuv420p")
            frame.pts, frame.time_base = n * 40, MS
            for packet in stream.encode(frame):
                packet.pts, packet.dts, packet.time_base = int(at) * 40, n - 50, MS
                container.mux(packet)
    with pytest.raises(EncodeError, match="jump back and forth") as error:
        open_source(path, 0)
    command = str(error.value).split("same duration: ")[1]
    subprocess.run(command, shell=True, check=True, cwd=tmp_path, stdin=subprocess.DEVNULL)
    assert len(open_source(tmp_path / "fixed.mkv", 0).clip) == 40


# What the container says of the picture


def test_the_crop_of_the_container_is_applied():
    opened = open_source(SOURCES / "mkv_crop.mkv", 0)
    assert (opened.clip.width, opened.clip.height) == (64, 40)
    assert opened.notes == ("cropped as its container says, 64x48 to 64x40",)


def test_alpha_and_odd_sizes_are_said():
    assert "transparency" in open_source(SOURCES / "alpha.webm", 0).notes[0]
    assert "85x47" in open_source(SOURCES / "odd85x47.webm", 0).notes[0]


@pytest.mark.parametrize("codec", ["ffv1", "prores_ks", "qtrle", "png"])
def test_alpha_in_the_frames_is_said(codec, tmp_path):
    formats = {"prores_ks": "yuva444p10le", "ffv1": "yuva420p", "qtrle": "argb", "png": "rgba"}
    path = tmp_path / "a.mov"
    ffmpeg(
        *("-f", "lavfi", "-i", f"testsrc2=s=32x24:d=0.2,format={formats[codec]}"),
        *("-c:v", codec, path if codec != "ffv1" else tmp_path / "a.mkv"),
    )
    path = path if path.exists() else tmp_path / "a.mkv"
    assert "its transparency (alpha) is left out" in open_source(path, 0).notes


def test_the_shape_of_pixels_turns_with_the_picture():
    opened = open_source(SOURCES / "rot90_sar.mp4", 0)
    props = opened.clip.get_frame(0).props
    assert (props["_SARNum"], props["_SARDen"]) == (9, 8)
    assert (opened.clip.width, opened.clip.height) == (48, 64)


@pytest.mark.parametrize("turn", [0, 90, 180, 270])
@pytest.mark.parametrize("flip", [0, 1])
def test_orientation_is_as_the_decoder_applies_it(turn, flip, tmp_path):
    path = tmp_path / "a.mp4"
    flips = ("-display_hflip",) if flip else ()
    ffmpeg("-display_rotation", turn, *flips, "-i", SOURCES / "any.mkv", "-c", "copy", path)
    ours = open_source(path, 0).clip.get_frame(3)
    theirs = vs.core.bs.VideoSource(str(path), cachemode=0, showprogress=False).get_frame(3)
    for plane in range(3):
        np.testing.assert_array_equal(np.asarray(ours[plane]), np.asarray(theirs[plane]))


def test_the_crop_is_of_the_picture_before_it_is_turned():
    clip = vs.core.std.BlankClip(width=64, height=48, format=vs.YUV420P8, length=1)
    clip = clip.std.SetFrameProps(Rotation=90, FlipVertical=0, _SARNum=8, _SARDen=9)
    turned, notes = applied(clip, Picture(size=(64, 48), crop=(2, 4, 8, 9)))
    assert (turned.width, turned.height) == (42, 48)
    assert notes == ["cropped as its container says, 64x48 to 48x42 (to whole chroma samples)"]
    props = turned.get_frame(0).props
    assert (props["_SARNum"], props["_SARDen"]) == (9, 8)
    assert "45 degrees" in applied(clip.std.SetFrameProps(Rotation=45), Picture())[1][0]


# What only the frames tell


def looked(clip):
    look = Look()
    for n, frame in enumerate(clip.frames()):
        look.see(n, frame)
    return look


def test_interlaced_frames_are_known_before_the_first_is_enlarged():
    opened = open_source(SOURCES / "interlaced_later.mkv", 0)
    text = looked(opened.clip).refusal()
    assert "8 of 15 frames are interlaced, the first is frame 7" in text
    assert "--fieldbased ignore" in text
    ignored = open_source(SOURCES / "interlaced_later.mkv", 0, fields=False)
    assert looked(ignored.clip).refusal() == ""


@pytest.mark.parametrize("codec", ["mpeg2video", "libx264"])
def test_a_stream_whose_pixels_change_their_shape_is_said(codec, tmp_path):
    both = tmp_path / "both.ts"
    with both.open("wb") as file:
        for n, shape in enumerate(("4/3", "16/9", "16/9")):
            part = tmp_path / f"{n}.ts"
            ffmpeg(
                *("-f", "lavfi", "-i", "testsrc2=s=64x48:r=25:d=0.4,format=yuv420p"),
                *("-vf", f"setdar={shape}", "-c:v", codec, part),
            )
            file.write(part.read_bytes())
    for _ in range(2):
        (note,) = open_source(both, 0).notes
        assert "changes the shape of its pixels from 1:1 to 4:3 at" in note
        assert "times more" not in note
    assert open_source(tmp_path / "1.ts", 0).notes == ()


def test_pixels_that_change_their_shape_are_said():
    clip = vs.core.std.BlankClip(width=64, height=48, format=vs.YUV420P8, length=4)
    wide = clip.std.SetFrameProps(_SARNum=64, _SARDen=45)
    narrow = clip.std.SetFrameProps(_SARNum=16, _SARDen=15)
    (note,) = looked(narrow + wide).notes()
    assert "64:45 at frame 4" in note
    assert looked(wide).notes() == []
