"""Chunks and the rest of a source become one file: times, sound, subtitles, tags."""

import hashlib
import itertools
import os
import shutil
import subprocess
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import av
import imageio_ffmpeg
import numpy as np
import pytest
from enlargers import By

from vsanimesr.encode import AnimeSR, Encoding, upscale_file
from vsanimesr.encode.join.join import join
from vsanimesr.encode.join.muxer import video_refusal
from vsanimesr.encode.join.planning import plan
from vsanimesr.encode.join.recode import Sound
from vsanimesr.encode.join.rest import tried
from vsanimesr.encode.source.media import open_source
from vsanimesr.encode.source.reading import beyond_damage
from vsanimesr.encode.source.times import Times
from vsanimesr.errors import EncodeError

SOURCES = Path(__file__).parent / "data" / "sources"
MUXERS = {"mkv": "matroska", "mp4": "mp4", "mov": "mov"}
ENCODERS = {
    "x264": ("-c:v", "libx264", "-preset", "veryfast", "-bf", 3, "-x264-params", "stitchable=1"),
    "x265": (
        *("-c:v", "libx265", "-preset", "ultrafast", "-x265-params"),
        "log-level=error:info=0:repeat-headers=1:open-gop=0:bframes=4:b-adapt=0",
    ),
    "svtav1": ("-c:v", "libsvtav1", "-preset", 12, "-svtav1-params", "lp=1"),
    "ffv1": ("-c:v", "ffv1"),
}


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


def ffmpeg(*words):
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-v", "error", "-y", *map(str, words)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)


def encoded(folder, lengths, encoder="x264", size="32x24"):
    """Chunks whose frame n is of brightness 20 + n % 200, as a renderer makes them."""
    made, start = [], 0
    for n, length in enumerate(lengths):
        path = folder / f"{n}.mkv"
        ffmpeg(
            *("-f", "lavfi", "-i", f"color=s={size}:r=25,format=yuv420p"),
            *("-vf", f"geq=lum='20+mod(N+{start},200)':cb=128:cr=128", "-frames:v", length),
            *(*ENCODERS[encoder], path),
        )
        made.append(path)
        start += length
    return made


@pytest.fixture(scope="session")
def chunks(tmp_path_factory):
    """By encoder: three chunks, of 7, 1 and 12 frames."""
    made = {}

    def get(encoder, lengths=(7, 1, 12)):
        if (encoder, lengths) not in made:
            folder = tmp_path_factory.mktemp(encoder)
            made[encoder, lengths] = encoded(folder, lengths, encoder)
        return made[encoder, lengths]

    return get


def even(count, rate=Fraction(25), start=0):
    return Times(pts=[start + n for n in range(count)], base=1 / rate, rate=rate, last=1)


def packets(path, kind="video", nth=0):
    """(start in seconds, duration in seconds, bytes) of a stream in the order of showing."""
    with av.open(str(path)) as container:
        stream = [s for s in container.streams if s.type == kind][nth]
        found = [
            (
                (p.pts or 0) * Fraction(p.time_base),
                (p.duration or 0) * Fraction(p.time_base),
                bytes(p),
            )
            for p in container.demux(stream)
            if p.size
        ]
    return sorted(found, key=lambda packet: packet[0])


def starts(path, kind="video", nth=0):
    return [start for start, _, _ in packets(path, kind, nth)]


def brightness(path):
    with av.open(str(path)) as container:
        return [round(float(f.to_ndarray()[:24].mean())) for f in container.decode(video=0)]


ODD = [
    500,
    540,
    600,
    733,
    800,
    801,
    900,
    1500,
    1533,
    1999,
    2000,
    2001,
    2002,
    2500,
    2600,
    2700,
    2790,
    2888,
    3000,
    3100,
]


@pytest.mark.parametrize("encoder", list(ENCODERS))
@pytest.mark.parametrize("kind", ["mkv", "mp4"])
def test_chunks_of_every_encoder_are_joined(chunks, tmp_path, encoder, kind):
    output = tmp_path / f"out.{kind}"
    uneven = Times(pts=ODD, base=Fraction(1, 1000), rate=Fraction(8), last=700)
    for times in (even(20, Fraction(24000, 1001)), uneven):
        notes = join(
            chunks(encoder), output, times=times, rest=None, muxer=MUXERS[kind], tags={"A": "b"}
        )
        assert notes == []
        tick = Fraction(1, 1000) if kind == "mkv" else 0
        for found, wanted in zip(starts(output), times.pts, strict=True):
            assert abs(found - wanted * times.base) <= tick
        assert brightness(output) == pytest.approx([20 + n for n in range(20)], abs=2)
        with av.open(str(output)) as container:
            video = container.streams.video[0]
            end = (times.pts[-1] + times.last) * times.base
            begin = 0 if kind == "mkv" else times.pts[0] * times.base
            assert (container.duration or 0) / 1e6 == pytest.approx(float(end - begin), abs=2e-3)
            dts = [p.dts for p in container.demux(video) if p.size and p.dts is not None]
            assert all(a < b for a, b in itertools.pairwise(dts))
            if kind == "mkv":
                assert video.metadata["A"] == "b"
            else:
                assert container.metadata["encoder"] == "A=b"
            if (kind, encoder) == ("mp4", "x265"):
                assert video.codec_tag == "hvc1"


def test_frames_can_be_sought_to_across_chunks(chunks, tmp_path):
    output = tmp_path / "out.mp4"
    join(chunks("x265"), output, times=even(20), rest=None, muxer="mp4", tags={})
    with av.open(str(output)) as container:
        stream = container.streams.video[0]
        for n in (0, 6, 7, 8, 19):
            at = int(Fraction(n, 25) / stream.time_base)
            container.seek(at, stream=stream)
            frame = next(f for f in container.decode(stream) if (f.pts or 0) >= at)
            assert frame.to_ndarray()[:24].mean() == pytest.approx(20 + n, abs=2)


def test_the_same_join_gives_the_same_bytes(chunks, tmp_path):
    source = SOURCES / "any.mkv"
    for kind, muxer in MUXERS.items():
        paths = [tmp_path / f"{n}.{kind}" for n in range(2)]
        for path in paths:
            rest = plan(source, muxer)
            join(chunks("x264"), path, times=even(20), rest=rest, muxer=muxer, tags={})
        assert len({hashlib.sha256(path.read_bytes()).digest() for path in paths}) == 1


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="limits")
def test_many_chunks_want_few_files(chunks, tmp_path):
    import resource

    chunk = chunks("x264", (7,))[0]
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, before[1]))
    try:
        for kind in ("mkv", "mp4"):
            output = tmp_path / f"out.{kind}"
            times = even(7 * 1200)
            join([chunk] * 1200, output, times=times, rest=None, muxer=MUXERS[kind], tags={})
            assert starts(output) == [Fraction(n, 25) for n in range(7 * 1200)]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_tags_of_the_video_are_in_quicktime_s_comment(chunks, tmp_path):
    output = tmp_path / "out.mov"
    join(chunks("x264"), output, times=even(20), rest=None, muxer="mov", tags={"A": "b"})
    with av.open(str(output)) as container:
        assert container.metadata["comment"] == "A=b"


def test_one_frame(chunks, tmp_path):
    output = tmp_path / "out.mkv"
    join(chunks("x264", (1,)), output, times=even(1), rest=None, muxer="matroska", tags={})
    assert starts(output) == [0]


MASTER = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1)"
STATIC = {
    "x265": (
        "libx265",
        "-x265-params",
        f"log-level=error:master-display={MASTER}:max-cll=1000,400",
    ),
    "x264": ("libx264", "-x264-params", f"mastering-display={MASTER}:cll=1000,400"),
    "svtav1": (
        *("libsvtav1", "-preset", 12, "-svtav1-params"),
        "mastering-display=G(0.265,0.69)B(0.15,0.06)R(0.68,0.32)WP(0.3127,0.329)L(1000,0.0001)"
        ":content-light=1000,400:lp=1",
    ),
}


@pytest.mark.parametrize("encoder", STATIC)
def test_what_the_frames_say_of_their_mastering_the_container_says_too(encoder, tmp_path):
    chunk = tmp_path / "0.mkv"
    ffmpeg(
        *("-f", "lavfi", "-i", "testsrc2=s=64x48:d=0.2,format=yuv420p10", "-c:v"),
        *(*STATIC[encoder], chunk),
    )
    for kind, muxer in MUXERS.items():
        if (encoder, kind) == ("svtav1", "mov"):
            continue
        output = tmp_path / f"out.{kind}"
        join([chunk], output, times=even(5), rest=None, muxer=muxer, tags={})
        with av.open(str(output)) as container:
            stream = container.streams.video[0]
            said = stream.codec_context.coded_side_data
            assert {"mastering_display_metadata", "content_light_level"} <= set(said)
            light = said["content_light_level"]
            assert light == bytes([0xE8, 3, 0, 0, 0x90, 1, 0, 0])
            assert len(list(container.decode(stream))) == 5
        assert [p for _, _, p in packets(output)] == [p for _, _, p in packets(chunk)]
        assert {p.suffix for p in tmp_path.iterdir()} <= {".mkv", ".mp4", ".mov"}


def test_a_video_that_the_container_cannot_hold_is_known_beforehand(chunks):
    for encoder, kinds in (("x264", "mkv mp4 mov"), ("svtav1", "mkv mp4"), ("ffv1", "mkv mp4")):
        for kind, muxer in MUXERS.items():
            said = video_refusal(chunks(encoder)[0], muxer)
            if kind in kinds.split():
                assert said == ""
            else:
                assert f"container, {muxer}, takes no " in said


@pytest.mark.parametrize("who", [{}, {"workers": 2}, {"scheduler": "tcp://nobody:1"}])
def test_the_job_asks_before_it_renders(tmp_path, who):
    """Whoever is to render: nobody is hired."""

    def never(clip, format_id):
        raise AssertionError

    encoding = Encoding(encoder="svtav1", preset="12")
    given = {"upscale": By(never), "encoding": encoding} | who
    with pytest.raises(EncodeError, match=r"mov, takes no av1 video: .* choose another encoder"):
        upscale_file(SOURCES / "any.mkv", tmp_path / "out.mov", **given)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("encoder", "kind", "kept"),
    [("ffv1", "mp4", True), ("svtav1", "mp4", True), ("ffv1", "mkv", False), ("x264", "mkv", True)],
)
def test_the_shape_of_pixels_is_kept_or_said_to_be_lost(encoder, kind, kept, tmp_path):
    """Some streams leave it to the container."""
    source, output, said = tmp_path / "in.mkv", tmp_path / f"out.{kind}", []
    wide = "testsrc2=s=64x48:r=25:d=0.2,format=yuv420p,setsar=8/9"
    ffmpeg("-f", "lavfi", "-i", wide, "-c:v", "libx264", source)
    encoding = {
        "ffv1": Encoding(arguments=("-c:v", "ffv1")),
        "svtav1": Encoding(encoder="svtav1", preset="12"),
        "x264": Encoding(encoder="x264", preset="ultrafast"),
    }[encoder]
    upscale_file(source, output, upscale=By(), encoding=encoding, report=said.append)
    with av.open(str(output)) as container:
        assert (container.streams.video[0].sample_aspect_ratio == Fraction(8, 9)) == kept
    assert len(said) == (not kept)
    assert kept or "the shape of its pixels, 8:9, is lost" in said[0]


def test_the_size_of_the_result_is_known_without_an_engine(fixed_model):
    import vapoursynth as vs

    clip = vs.core.std.BlankClip(None, 37, 23, vs.YUV444P8, length=1)
    for options in ({}, {"scale": 2.0}, {"scale": 1.37}, {"scale": 0.01}):
        upscale = AnimeSR({"model": str(fixed_model)} | options)
        made = upscale(clip, int(vs.YUV420P10))
        assert upscale.size(clip, int(vs.YUV420P10)) == (made.width, made.height)


def test_what_does_not_fit_is_refused(chunks, tmp_path):
    output = tmp_path / "out.mkv"
    arguments = {"rest": None, "muxer": "matroska", "tags": {}}
    with pytest.raises(EncodeError, match="chunks hold 20 frames, wanted 21"):
        join(chunks("x264"), output, times=even(21), **arguments)
    broken = tmp_path / "0.mkv"
    broken.write_bytes(b"nothing")
    with pytest.raises(EncodeError, match=r"chunk .*0.mkv cannot be read"):
        join([broken], output, times=even(20), **arguments)
    with pytest.raises(EncodeError, match="cannot be written: No such file"):
        join(chunks("x264"), tmp_path / "no" / "o.mkv", times=even(20), **arguments)


# What goes along


def joined(name, output, chunks, encoder="x264", **choices):
    """Join chunks with the rest of a source, as many frames as it has; what was said."""
    source = name if isinstance(name, Path) else SOURCES / name
    muxer = MUXERS[output.suffix[1:]]
    rest = plan(source, muxer, **choices)
    opened = open_source(source, rest.track, incomplete=True)
    made = chunks(encoder, (len(opened.clip),))
    said = tried(rest)
    return [
        *rest.notes,
        *said,
        *join(made, output, times=opened.times, rest=rest, muxer=muxer, tags={}),
    ]


def decoded(path, encoding="s16"):
    """The sound's samples."""
    with av.open(str(path)) as container:
        fit = av.AudioResampler(format=encoding)
        frames = [f for frame in container.decode(audio=0) for f in fit.resample(frame)]
        return np.concatenate([frame.to_ndarray().ravel() for frame in frames])


@pytest.mark.parametrize(
    ("name", "kind", "codec"),
    [
        ("lpcm.m2ts", "mkv", "flac"),
        ("lpcm.m2ts", "mp4", "flac"),
        ("lpcm.m2ts", "mov", "alac"),
        ("flac.mkv", "mov", "alac"),
        ("truehd.mkv", "mp4", "flac"),
        ("truehd.mkv", "mkv", "truehd"),
    ],
)
def test_sound_that_the_muxer_refuses_is_converted_without_loss(
    name, kind, codec, chunks, tmp_path
):
    output = tmp_path / f"out.{kind}"
    notes = joined(name, output, chunks)
    with av.open(str(output)) as container:
        assert container.streams.audio[0].codec_context.codec.canonical_name == codec
    for encoding in ("s16", "s32"):
        np.testing.assert_array_equal(decoded(output, encoding), decoded(SOURCES / name, encoding))
    if name.startswith(codec):
        assert notes == []
    else:
        (note,) = notes
        assert f"becomes {codec}: nothing is lost (" in note


@pytest.mark.parametrize(
    ("codec", "layout", "channels", "wanted"),
    [
        ("pcm_s8", "mono", 1, "pcm_u8"),
        ("pcm_s24be", "5.1", 6, "pcm_s24be"),
        ("pcm_s16be", "stereo", 2, "pcm_s16be"),
        ("pcm_u16le", "stereo", 2, "flac"),
        ("pcm_s32be", "stereo", 2, "pcm_s32be"),
        ("pcm_u24le", "7.1", 8, "flac"),
        ("pcm_f64be", "mono", 1, "pcm_f64le"),
        ("pcm_u32be", "mono", 1, "pcm_s32le"),
    ],
)
def test_every_kind_of_pcm_keeps_its_samples(codec, layout, channels, wanted, chunks, tmp_path):
    """NUT holds them all, so it stands for the containers that bring them."""
    source, output = tmp_path / "in.nut", tmp_path / "out.mkv"
    ffmpeg(
        *("-f", "lavfi", "-i", "testsrc2=s=32x24:r=25:d=0.24,format=yuv420p"),
        *("-f", "lavfi", "-i", "anoisesrc=d=0.24:a=0.8:seed=1", "-af", f"aformat=cl={layout}"),
        *("-c:v", "ffv1", "-c:a", codec, source),
    )
    notes = joined(source, output, chunks)
    with av.open(str(output)) as container:
        found = container.streams.audio[0].codec_context
        assert found.codec.canonical_name == wanted
        assert found.channels == channels
    np.testing.assert_array_equal(decoded(output, "dbl"), decoded(source, "dbl"))
    assert len(notes) == (codec != wanted)


def click(path):
    """When the sound begins to be loud."""
    with av.open(str(path)) as container:
        fit = av.AudioResampler(format="flt", layout="mono")
        for frame in container.decode(audio=0):
            begin = float((frame.pts or 0) * frame.time_base)
            for mono in fit.resample(frame):
                loud = np.flatnonzero(np.abs(mono.to_ndarray().ravel()) > 0.1)
                if len(loud):
                    return begin + loud[0] / frame.sample_rate
    raise AssertionError


@pytest.mark.parametrize("codec", [("libopencore_amrnb", "-ar", 8000), ("dca", "-strict", -2)])
def test_sound_of_avi_that_counts_in_other_units(codec, chunks, tmp_path):
    """Of AMR and DTS the reader takes bytes for packets: 3 s were 48 s, and 47 minutes."""
    source, output = tmp_path / "in.avi", tmp_path / "out.mkv"
    loud = "aevalsrc='if(between(t,1,1.02),0.8*sin(2*PI*1000*t),0)':s=48000:d=2"
    ffmpeg(
        *("-f", "lavfi", "-i", "testsrc2=s=32x24:r=25:d=2,format=yuv420p"),
        *("-f", "lavfi", "-i", loud, "-c:v", "mpeg4", "-c:a", *codec, source),
    )
    joined(source, output, chunks)
    assert click(output) == pytest.approx(1, abs=0.02)  # and the encoders' delay of 256 samples
    with av.open(str(output)) as container:
        assert (container.duration or 0) / 1e6 == pytest.approx(2.02, abs=0.04)
    source.write_bytes(source.read_bytes()[: source.stat().st_size // 2])
    with pytest.raises(EncodeError, match="is not whole"):
        open_source(source, 0)


@pytest.mark.parametrize("kind", ["wmv", "mkv"])
def test_a_decoder_s_delay_is_no_delay_of_the_sound(kind, chunks, tmp_path):
    """WMA: the first frames are thrown away by the decoder, and the next ones have their times.

    A flash and a click that come at the same time still do.
    """
    source, output = tmp_path / f"in.{kind}", tmp_path / "out.mkv"
    white = "drawbox=c=white:t=fill:enable='between(t,0.99,1.11)'"
    loud = "aevalsrc='if(between(t,1,1.02),0.8*sin(2*PI*1000*t),0)':s=48000:d=2"
    ffmpeg(
        *("-f", "lavfi", "-i", f"color=black:s=32x24:r=25:d=2,format=yuv420p,{white}"),
        *("-f", "lavfi", "-i", loud, "-c:v", "mpeg4", "-c:a", "wmav2", "-t", 2, source),
    )
    joined(source, output, chunks)
    shown = starts(output)[25]  # the chunks have pictures of their own
    assert click(output) - float(shown) == pytest.approx(0, abs=2e-3)


@pytest.mark.parametrize(("name", "kind"), [("nellymoser.flv", "mkv"), ("op.mkv", "mov")])
def test_lossy_sound_that_the_muxer_refuses_is_decoded_whole(name, kind, chunks, tmp_path):
    output = tmp_path / f"out.{kind}"
    (note,) = joined(name, output, chunks)
    assert "what is decoded of it is kept whole" in note
    before, after = decoded(SOURCES / name, "dbl"), decoded(output, "dbl")
    assert after[: len(before)] == pytest.approx(before[: len(after)], abs=2**-22)


def test_sound_keeps_its_distance_from_the_picture(chunks, tmp_path):
    for kind in MUXERS:
        output = tmp_path / f"out.{kind}"
        joined("av_offset.ts", output, chunks)
        apart = starts(output, "audio")[0] - starts(output)[0]
        assert float(apart) == pytest.approx((131280 - 133200) / 90000, abs=1e-3)


@pytest.mark.parametrize("offset", [0.0107, -0.0107, 0.4321])
@pytest.mark.parametrize("kind", ["ts", "m2ts", "vob", "mkv", "flv"])
def test_any_distance_is_kept(offset, kind, chunks, tmp_path):
    source, output = tmp_path / f"in.{kind}", tmp_path / "out.mkv"
    codec = ("-c:v", "libx264" if kind != "vob" else "mpeg2video")
    ffmpeg(
        *("-f", "lavfi", "-i", "testsrc2=s=64x48:r=25:d=0.8,format=yuv420p"),
        *("-itsoffset", offset + 1, "-f", "lavfi", "-i", "sine=d=0.8", *codec),
        *("-af", "asetpts=PTS", "-c:a", "mp2" if kind != "flv" else "mp3"),
        *("-muxdelay", 0, "-ar", 44100, source),
    )
    joined(source, output, chunks)
    opened = open_source(source, plan(source, "matroska").track)
    video = opened.times.pts[0] * opened.times.base
    before = starts(source, "audio")[0] - video
    after = starts(output, "audio")[0] - starts(output)[0]
    assert float(after) == pytest.approx(float(before), abs=1e-3)


def test_damaged_sound_is_said_and_the_rest_kept(chunks, tmp_path):
    for kind in ("mkv", "mp4"):
        output = tmp_path / f"out.{kind}"
        notes = joined("bad_adts.ts", output, chunks)
        assert len(starts(output)) == 39
        kept, all_of_it = starts(output, "audio"), starts(SOURCES / "bad_adts.ts", "audio")
        assert 0 < len(all_of_it) - len(kept) < 5
        assert kept[-1] - kept[0] == pytest.approx(all_of_it[-1] - all_of_it[0], abs=2e-3)
        assert any("damaged packets will be left out" in note for note in notes)
        assert any("left out, the rest is kept" in note for note in notes)


@pytest.mark.parametrize(("codec", "kind"), [("flac", "mov"), ("libvorbis", "mov")])
def test_damage_in_sound_that_is_converted_is_counted(codec, kind, chunks, tmp_path):
    source, bad = tmp_path / "in.mkv", tmp_path / "bad.mkv"
    ffmpeg(
        *("-f", "lavfi", "-i", "testsrc2=s=32x24:r=25:d=2,format=yuv420p"),
        *("-f", "lavfi", "-i", "sine=d=2:r=48000", "-c:v", "libx264", "-c:a", codec, source),
    )
    with av.open(str(source)) as old, av.open(str(bad), "w") as new:
        streams = [new.add_stream_from_template(s, opaque=True) for s in old.streams]
        seen = 0
        for packet in old.demux():
            if not packet.size:
                continue
            number = packet.stream_index
            seen += number
            if number == 1 and seen == 10:
                spoilt = av.Packet(b"\xff" * packet.size)
                spoilt.pts, spoilt.dts, spoilt.time_base = packet.pts, packet.dts, packet.time_base
                spoilt.duration, packet = packet.duration, spoilt
            packet.stream = streams[number]
            new.mux(packet)
    notes = joined(bad, tmp_path / f"out.{kind}", chunks)
    assert sum("1 damaged packet" in note for note in notes) == 2
    lost = len(decoded(source)) - len(decoded(tmp_path / f"out.{kind}"))
    assert lost < 3000  # a hole becomes silence


def test_damage_at_the_end_of_sound_is_counted():
    def fail(_):
        raise av.error.InvalidDataError(1, "damaged")

    damaged = []
    context = SimpleNamespace(sample_rate=48000, layout=SimpleNamespace(name="mono"))
    container = SimpleNamespace(duration=None)
    source = SimpleNamespace(codec_context=context, container=container, decode=fail)
    result = SimpleNamespace(codec_context=context, encode=lambda _: ["last"])
    sound = Sound(source, result, "s16", lambda: damaged.append(1))
    assert list(sound.end()) == ["last"]
    assert len(damaged) == 1


def test_reading_goes_on_behind_damage():
    """The reader of a container may fail at a place, and go on after it."""
    answers = iter([[1, 2], None, None, [3], None, [4]])

    def demux():
        found = next(answers)
        if found is None:
            raise av.error.InvalidDataError(1, "damaged")
        yield from found
        if found != [4]:
            raise av.error.InvalidDataError(1, "damaged")

    assert list(beyond_damage(SimpleNamespace(demux=demux), [])) == [1, 2, 3, 4]


def test_a_hole_in_converted_sound_is_silent_not_closed(chunks, tmp_path):
    source, output = tmp_path / "in.mkv", tmp_path / "out.mov"
    ffmpeg(
        *("-f", "lavfi", "-i", "testsrc2=s=32x24:r=25:d=2,format=yuv420p"),
        *("-f", "lavfi", "-i", "sine=d=2", "-af", "aselect='not(between(t,0.5,1.2))'"),
        *("-c:v", "libx264", "-c:a", "flac", source),
    )
    joined(source, output, chunks)
    samples = decoded(output)
    assert len(samples) / 44100 == pytest.approx(2, abs=0.06)
    assert not samples[int(0.6 * 44100) : int(1.1 * 44100)].any()
    assert samples[int(1.4 * 44100) :].any()


def test_what_an_edit_list_has_cut_away_is_not_heard(chunks, tmp_path):
    whole, source, output = tmp_path / "whole.mp4", tmp_path / "in.mp4", tmp_path / "out.mkv"
    ffmpeg(
        *("-f", "lavfi", "-i", "testsrc2=s=32x24:r=25:d=2,format=yuv420p"),
        *("-f", "lavfi", "-i", "sine=d=2:r=48000", "-c:v", "libx264", "-c:a", "aac", whole),
    )
    ffmpeg("-ss", 0.53, "-i", whole, "-c", "copy", source)
    joined(source, output, chunks)
    assert len(starts(output)) < 40
    assert float(starts(output, "audio")[0] - starts(output)[0]) == pytest.approx(0, abs=0.05)
    assert float(starts(output, "audio")[-1] - starts(output)[-1]) == pytest.approx(0, abs=0.08)


@pytest.mark.parametrize(("kind", "sound"), [("ts", "aac"), ("vob", "ac3")])
def test_sound_that_begins_late_is_found(kind, sound, chunks, tmp_path):
    """After what is looked at by default: 5 s."""
    source, output = tmp_path / f"in.{kind}", tmp_path / "out.mp4"
    ffmpeg(
        *("-f", "lavfi", "-i", "testsrc2=s=32x24:r=25:d=13,format=yuv420p"),
        *("-itsoffset", 12, "-f", "lavfi", "-i", "sine=d=1:r=48000"),
        *("-c:v", "mpeg2video", "-c:a", sound, source),
    )
    assert joined(source, output, chunks) == []
    assert float(starts(output, "audio")[0]) == pytest.approx(12, abs=0.1)


@pytest.mark.parametrize(
    ("codec", "kind"),
    [("g722", "avi"), ("aac", "m2ts")],  # times of another unit; of the first packet only
)
def test_sound_whose_times_say_nothing_is_as_long_as_its_samples(codec, kind, chunks, tmp_path):
    source, output = tmp_path / f"in.{kind}", tmp_path / "out.mkv"
    ffmpeg(
        *("-f", "lavfi", "-i", "testsrc2=s=32x24:r=25:d=1,format=yuv420p"),
        *("-f", "lavfi", "-i", "sine=d=1:r=48000", "-c:v", "mpeg4", "-c:a", codec, source),
    )
    (note,) = joined(source, output, chunks)
    assert "becomes flac" in note
    assert len(decoded(output)) == len(decoded(source))


def test_sound_that_changes_its_channels_is_converted_on(chunks, tmp_path):
    source, output = tmp_path / "both.ts", tmp_path / "out.mov"
    with source.open("wb") as file:
        for channels in (2, 1):
            part = tmp_path / f"{channels}.ts"
            ffmpeg(
                *("-f", "lavfi", "-i", "testsrc2=s=32x24:r=25:d=1,format=yuv420p"),
                *("-f", "lavfi", "-i", "sine=d=1:r=48000", "-ac", channels),
                *("-c:v", "libx264", "-c:a", "libopus", part),
            )
            file.write(part.read_bytes())
    joined(source, output, chunks)
    samples = decoded(output)
    assert len(samples) / 2 / 48000 == pytest.approx(2, abs=0.08)
    assert samples[-20000:].any()


def test_a_duration_that_a_packet_cannot_have_is_dropped(chunks, tmp_path):
    for kind in MUXERS:
        output = tmp_path / f"out.{kind}"
        joined("vorbis_end.ogv", output, chunks)
        with av.open(str(output)) as container:
            assert (container.duration or 0) / 1e6 == pytest.approx(0.5, abs=0.05)


def test_a_clock_that_starts_anew_takes_the_sound_along(chunks, tmp_path):
    output = tmp_path / "out.mkv"
    joined("joined.vob", output, chunks)
    video, audio = starts(output), starts(output, "audio")
    assert np.diff(np.array(video, float)) == pytest.approx(1001 / 30000, abs=1e-3)
    assert all(a < b for a, b in itertools.pairwise(audio))
    # Both halves are as far from the picture as the first is in the source.
    assert float(audio[0] - video[0]) == pytest.approx((47523 - 48003) / 90000, abs=1e-3)
    assert float(audio[12] - video[12]) == pytest.approx((47523 - 48003) / 90000, abs=1e-3)


@pytest.fixture(scope="session")
def texts(tmp_path_factory):
    """A file with a subtitle of each kind of text, styled."""
    folder = tmp_path_factory.mktemp("texts")
    srt = folder / "s.srt"
    srt.write_text(
        "1\n00:00:00,100 --> 00:00:00,350\n<i>Hello</i>\n\n2\n00:00:00,400 --> 00:00:00,600\nBye\n"
    )
    path = folder / "texts.mkv"
    ffmpeg(
        *("-f", "lavfi", "-i", "testsrc2=s=32x24:r=25:d=0.8,format=yuv420p"),
        *("-i", srt, "-map", 0, "-map", 1, "-map", 1, "-map", 1, "-c:v", "libx264"),
        *("-c:s:0", "srt", "-c:s:1", "ass", "-c:s:2", "webvtt", path),
    )
    return path


def test_text_subtitles_are_copied_or_converted(texts, chunks, tmp_path):
    mkv, mp4 = tmp_path / "out.mkv", tmp_path / "out.mp4"
    assert joined(texts, mkv, chunks) == []
    for nth in range(3):
        assert packets(mkv, "subtitle", nth) == packets(texts, "subtitle", nth)
    notes = joined(texts, mp4, chunks)
    assert len(notes) == 3
    for nth, note in enumerate(notes):
        assert "becomes mov_text: its styling is lost" in note
        found = [(float(s), bytes(b)) for s, _, b in packets(mp4, "subtitle", nth) if len(b) > 2]
        assert [start for start, _ in found] == pytest.approx([0.1, 0.4], abs=1e-3)
        assert b"Hello" in found[0][1]
    back = tmp_path / "back.mkv"
    joined(mp4, back, chunks)
    found = packets(back, "subtitle")
    assert b"Hello" in found[0][2]
    assert float(found[0][1]) == pytest.approx(0.25, abs=2e-3)


def undecodable(path, codec):
    """A film with a subtitle that no decoder here knows."""
    with av.open(str(SOURCES / "any.mkv")) as film, av.open(str(path), "w") as container:
        video = container.add_stream_from_template(film.streams.video[0], opaque=True)
        text = container.add_mux_stream(codec)
        container.start_encoding()
        for packet in film.demux(film.streams.video[0]):
            if packet.size:
                packet.stream = video
                container.mux(packet)
        for at in (100, 400):
            packet = av.Packet(bytes([0x10, *range(45)]))
            packet.stream, packet.pts, packet.dts, packet.duration = text, at, at, 200
            packet.time_base = Fraction(1, 1000)
            container.mux(packet)
    return path


def signalled_as_arib(path):
    """Make the teletext of a transport stream ARIB captions: other descriptors in its map."""

    def crc(data):  # CRC-32/MPEG-2
        register = 0xFFFFFFFF
        for byte in data:
            register ^= byte << 24
            for _ in range(8):
                register = register << 1 ^ (0x04C11DB7 if register >> 31 else 0)
                register &= 0xFFFFFFFF
        return register.to_bytes(4, "big")

    data = bytearray(path.read_bytes())
    found = 0
    for at in range(0, len(data), 188):
        packet = data[at : at + 188]
        if packet[1] & 0x40 and packet[5] == 2:  # the map of a program, which starts here
            length = (packet[6] & 15) << 8 | packet[7]
            section = packet[5 : 8 + length - 4]
            where = section.index(b"\x56")
            size = section[where - 1]  # of all its descriptors
            arib = b"\x52\x01\x30\xfd\x03\x00\x08\x3d"
            section[where - 1 : where + size] = bytes([len(arib)]) + arib
            section[2] = len(section) + 1  # what follows, with the checksum
            whole = section + crc(section)
            data[at + 5 : at + 5 + len(whole)] = whole
            found += 1
    assert found
    path.write_bytes(data)


def test_arib_captions_are_left_out_with_the_true_reason(chunks, tmp_path):
    source = undecodable(tmp_path / "in.ts", "dvb_teletext")
    signalled_as_arib(source)
    (note,) = joined(source, tmp_path / "out.mkv", chunks)
    assert "(subtitle, arib_caption) is left out: FFmpeg's libraries here cannot decode" in note


@pytest.mark.parametrize(
    ("codec", "kind", "reason"),
    [
        ("dvb_teletext", "ts", "'matroska' format does not support 'dvb_teletext' codec"),
        ("hdmv_text_subtitle", "mkv", ""),
    ],
)
def test_what_cannot_be_decoded_is_copied_or_left_out_with_the_reason(
    codec, kind, reason, chunks, tmp_path
):
    source, output = undecodable(tmp_path / f"in.{kind}", codec), tmp_path / "out.mkv"
    notes = joined(source, output, chunks)
    if reason:
        (note,) = notes
        assert f"(subtitle, {codec}) is left out: {reason}" in note
    else:
        assert notes == []
        with av.open(str(output)) as container:
            found = [bytes(p) for p in container.demux(container.streams[1]) if p.size]
        assert found == [bytes([0x10, *range(45)])] * 2


CHAPTERS = """;FFMETADATA1
title=A film
[CHAPTER]
TIMEBASE=1/1000
START=0
END=300
title=One
[CHAPTER]
TIMEBASE=1/1000
START=300
END=500
[CHAPTER]
TIMEBASE=1/1000
START=500
END=9000
title=Three
[CHAPTER]
TIMEBASE=1/1000
START=9000
END=12000
title=Late
"""


def test_chapters_without_title_are_kept_and_late_ones_do_not_lengthen(chunks, tmp_path):
    source, text = tmp_path / "in.mkv", tmp_path / "c.txt"
    text.write_text(CHAPTERS)
    ffmpeg("-i", SOURCES / "any.mkv", "-i", text, "-map_metadata", 1, "-c", "copy", source)
    for kind in ("mp4", "mov"):
        output = tmp_path / f"out.{kind}"
        (note,) = joined(source, output, chunks)
        assert "1 chapter after the end of the film left out" in note
        with av.open(str(output)) as container:
            titles = [c["metadata"]["title"] for c in container.chapters()]
            assert titles == ["One", "Chapter 2", "Three"]
            assert (container.duration or 0) / 1e6 == pytest.approx(0.81, abs=0.03)
            assert container.metadata["title"] == "A film"
    mkv = tmp_path / "out.mkv"
    assert joined(tmp_path / "out.mp4", mkv, chunks) == []  # its track of chapters is no loss
    with av.open(str(mkv)) as container:
        assert [c["metadata"]["title"] for c in container.chapters()] == titles
        assert len(container.streams) == 2


def test_a_time_code_is_no_loss(chunks, tmp_path):
    source = tmp_path / "in.mov"
    ffmpeg("-i", SOURCES / "any.mkv", "-c", "copy", "-timecode", "01:00:00:00", source)
    for kind in MUXERS:
        output = tmp_path / f"out.{kind}"
        assert joined(source, output, chunks) == []
        with av.open(str(output)) as container:
            tags = [{k.lower(): v for k, v in s.metadata.items()} for s in container.streams]
            assert any(tag.get("timecode") == "01:00:00:00" for tag in tags)


def test_a_video_without_decoder_is_named(tmp_path):
    source = tmp_path / "in.mkv"
    data = (SOURCES / "any.mkv").read_bytes()
    source.write_bytes(data.replace(b"V_MPEG4/ISO/AVC", b"V_MPEG4/ISO/XYZ"))
    with pytest.raises(EncodeError, match=r"track 0 of .* is \w+ video, of which .* no decoder"):
        plan(source, "matroska")


def test_the_default_track_is_taken_unless_another_is_named(chunks, tmp_path):
    source = tmp_path / "in.mkv"
    ffmpeg(
        *("-f", "lavfi", "-i", "testsrc2=s=32x24:r=25:d=0.8,format=yuv420p"),
        *("-f", "lavfi", "-i", "testsrc2=s=64x48:r=25:d=0.8,format=yuv420p"),
        *("-map", 0, "-map", 1, "-c:v", "libx264"),
        *("-disposition:v:0", 0, "-disposition:v:1", "default", source),
    )
    assert plan(source, "matroska").track == 1
    assert plan(source, "matroska", track=0).track == 0
    with pytest.raises(EncodeError, match=r"track 7 of .* is no video; wanted: 0 .32x24., 1 "):
        plan(source, "matroska", track=7)
    output = tmp_path / "out.mkv"
    joined(source, output, chunks)
    with av.open(str(output)) as container:
        assert len(container.streams.video) == 2
        assert bool(container.streams[0].disposition & av.stream.Disposition.default)
        assert not container.streams[1].disposition & av.stream.Disposition.default
    assert packets(output, nth=1)[3][2] == packets(source, nth=0)[3][2]


def test_tags_of_transparency_go_and_those_of_two_views_stay(chunks, tmp_path):
    output = tmp_path / "out.mkv"
    joined("alpha.webm", output, chunks)
    with av.open(str(output)) as container:
        assert "alpha_mode" not in {k.lower() for k in container.streams[0].metadata}
    stereo = tmp_path / "stereo.mkv"
    ffmpeg(
        *(
            "-i",
            SOURCES / "any.mkv",
            "-c",
            "copy",
            "-metadata:s:v",
            "stereo_mode=left_right",
            stereo,
        )
    )
    assert joined(stereo, output, chunks) == []
    with av.open(str(output)) as container:
        assert container.streams[0].metadata["stereo_mode"] == "left_right"
    notes = joined(stereo, tmp_path / "out.mp4", chunks)
    assert notes == ["that the picture is two views is not said in mp4"]


def test_files_and_covers_go_where_they_can(chunks, tmp_path):
    cover, source = tmp_path / "c.png", tmp_path / "in.mkv"
    ffmpeg("-f", "lavfi", "-i", "testsrc=s=16x16", "-frames:v", 1, cover)
    font = tmp_path / "f.ttf"
    font.write_bytes(bytes(range(256)))
    ffmpeg(
        *("-i", SOURCES / "any.mkv", "-c", "copy", "-map", 0, "-metadata:s:a", "language=jpn"),
        *("-attach", font, "-metadata:s:2", "mimetype=font/ttf"),
        *("-attach", cover, "-metadata:s:3", "mimetype=image/png"),
        *("-metadata:s:3", "filename=cover.png", source),
    )
    said = {kind: joined(source, tmp_path / f"out.{kind}", chunks) for kind in MUXERS}
    assert said["mkv"] == []
    assert said["mp4"] == ["stream 2 (attachment, f.ttf) is left out: mp4 holds no attachments"]
    assert "cover.png) is left out: mov holds no covers" in said["mov"][1]
    for kind, count in (("mkv", 4), ("mp4", 3), ("mov", 2)):
        with av.open(str(tmp_path / f"out.{kind}")) as container:
            assert len(container.streams) == count
            assert container.streams[1].metadata["language"] == "jpn"
            pictures = [
                next(bytes(p) for p in container.demux(s) if p.size)
                for s in container.streams.video
                if s.disposition & av.stream.Disposition.attached_pic
            ]
            assert pictures == [cover.read_bytes()] * (count > 2)
            if kind == "mkv":
                file = next(s for s in container.streams if s.type == "attachment")
                assert (file.name, file.mimetype) == ("f.ttf", "font/ttf")
                assert bytes(file.data) == font.read_bytes()
    # And from MP4 back.
    assert joined(tmp_path / "out.mp4", tmp_path / "back.mkv", chunks) == []


def test_only_the_rest_of_a_file(chunks, tmp_path):
    """As for a script, whose sound lies in a file of its own."""
    rest = plan(SOURCES / "any.mkv", "matroska", video=False)
    assert rest.track == -1
    output = tmp_path / "out.mkv"
    join(chunks("x264"), output, times=even(20), rest=rest, muxer="matroska", tags={})
    with av.open(str(output)) as container:
        assert [s.type for s in container.streams] == ["video", "audio"]
    assert packets(output, "audio")[0][2] == packets(SOURCES / "any.mkv", "audio")[0][2]


@pytest.mark.skipif(os.name != "posix", reason="such names are not allowed")
def test_any_name_is_joined(chunks, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in (b"Re:0 %03d.mkv", b"\xff.mkv", b"-a\n'b'.mkv"):
        path = Path(os.fsdecode(name))
        shutil.copy(SOURCES / "any.mkv", path)
        output = path.with_name(f"o{path.name}")
        rest = plan(path, "matroska")
        join(chunks("x264"), output, times=even(20), rest=rest, muxer="matroska", tags={})
        assert output.stat().st_size > 1000
