"""What a container says of its streams: names of codecs, tags and which of them stay true."""

from __future__ import annotations

import re
from typing import Any

# Written by muxers about the stream they wrote; false for the enlarged one.
STATISTICS = (
    *("BPS", "DURATION", "NUMBER_OF_", "_STATISTICS", "ENCODER", "VENDOR_ID"),
    "VARIANT_BITRATE",
)


def without(tags: dict[str, str], prefixes: tuple[str, ...]) -> dict[str, str]:
    """Tags but those whose names begin so."""
    return {key: value for key, value in tags.items() if not key.upper().startswith(prefixes)}


def described(container: Any) -> dict[int, str]:  # noqa: ANN401
    """What `av_dump_format` says of each stream, by its number: it names unknown codecs, too."""
    import av.logging

    before = av.logging.get_level()
    av.logging.set_level(av.logging.INFO)
    try:
        text = container.dumps_format()
    finally:
        av.logging.set_level(before)
    parts = re.split(r"^ +Stream #\d+:(\d+)", text, flags=re.MULTILINE)
    return {int(n): said for n, said in zip(parts[1::2], parts[2::2], strict=True)}


def codec_name(stream: Any, said: str) -> str:  # noqa: ANN401
    """What FFmpeg calls a codec, known to its libraries here or not."""
    if stream.codec_context:
        return stream.codec_context.codec.canonical_name
    known = re.search(r": \w+: ([\w-]+)", said)
    return known[1] if known else "unknown"


def stream_name(stream: Any, said: str) -> str:  # noqa: ANN401
    """What messages call a stream."""
    label = stream.metadata.get("filename") or codec_name(stream, said)
    return f"stream {stream.index} ({stream.type}, {label})"
