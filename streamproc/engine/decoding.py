"""Decoded frames of an open source of either kind."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from streamproc.engine.given import checked_frames
from streamproc.errors import SourceError
from streamproc.source import AnySource, DecodedFrame, VideoSource


def decoded_frames(
    source: AnySource, stopping: threading.Event, *, ahead: bool
) -> Iterator[tuple[DecodedFrame | None, int | None]]:
    """Each decoded frame with the time stamp of the one after it, None where it isn't known.

    ahead: whether to look one frame ahead, which only video does; a live one would come late.
    """
    frames = _frames(source, stopping)
    if ahead and isinstance(source, VideoSource):
        return _looking_ahead(frames)
    return ((decoded, None) for decoded in frames)


def _frames(source: AnySource, stopping: threading.Event) -> Iterator[DecodedFrame | None]:
    if not isinstance(source, VideoSource):
        yield from checked_frames(source, source.frames())
        return
    try:
        for packet in source.packets():
            yield from checked_frames(source, source.decode(packet))
            if stopping.is_set():
                return
    except SourceError:  # it is lost, or breaks off: what came before counts
        yield from source.decode(None)
        raise
    yield from source.decode(None)


def _looking_ahead(frames: Iterator[DecodedFrame | None]) -> Iterator[tuple[DecodedFrame | None, int | None]]:
    held: DecodedFrame | None = None
    try:
        for decoded in frames:
            if held is not None:
                yield held, None if decoded is None else decoded.pts_ns
            held = decoded
    except Exception:
        if held is not None:
            yield held, None
        raise
    if held is not None:
        yield held, None


__all__ = ["decoded_frames"]
