"""The contract of sources and sinks, as checks to run from your own tests."""

from __future__ import annotations

import logging
import pickle
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import islice, pairwise
from typing import Any

import numpy as np

from streamproc.classes import construct
from streamproc.engine.decoding import Decoding, Outside
from streamproc.errors import check_array
from streamproc.events import Attachment, Event
from streamproc.packets import Packet, VideoFormat
from streamproc.registry import check_sink, check_source
from streamproc.sink import AnySink, EventSink, FrameSink, SinkContext
from streamproc.source import AnySource, DecodedFrame, InputInfo, SourceContext, VideoSource
from streamproc.testing.makers import make_frame, make_info, make_records

_LEAST_SPAN_NS = 1_000_000
_MOST = 50
"""number of pictures to check; a live source gives them without end"""


def source_context(
    *, stopping: Callable[[], bool] = lambda: False, counts: Counter[str] | None = None
) -> SourceContext:
    """Return the context with which the engine opens a source; `counts` gets unreadable frames by reason."""
    found = Counter[str]() if counts is None else counts

    def count(reason: str, number: int = 1, /) -> None:
        found[reason] += number

    return SourceContext(stream="test", log=logging.getLogger(__name__), stopping=stopping, count=count)


def sink_context() -> SinkContext:
    """Return the context with which the engine opens a sink."""
    return SinkContext(name="test", log=logging.getLogger(__name__))


def make_events(count: int) -> list[Event]:
    """Return events as a sink gets them: with ids, at successive frames of a stream, non-Latin texts, a picture."""
    info = make_info("dock")
    picture = Attachment(name="thumbnail", media_type="image/jpeg", data=b"\xff\xd8\xff\xd9")
    made = []
    for index in range(count):
        score = None if index % 2 else 0.5
        frame = make_frame(index=index, info=info)
        event = Event.instant(frame, "test.seen", score=score, label="Zoë ☂", box=[1, 2, 3, 4])
        made.append(replace(event.stamped(info, "test", 0), attachments=(picture,)))
    return made


def check_source_contract(cls: type[AnySource], **options: Any) -> None:
    """Assert the contract that the engine relies on, with these options, which must lead to a readable input:

    - it is a complete source, its options are described
    - `open` gives an `InputInfo`; opened again, a recording has the same identity and gives the same pictures
    - a video source says the format of its packets, which are plain data and pickle, and has a keyframe among the first
    - pictures are uint8 RGB arrays; times are whole nanoseconds, or None, and rise
    - it stops soon once `stopping()` is true, and may be closed at any point and twice
    """
    check_source(cls)
    _check_options(cls)
    checked = cls.options_type.model_validate(options)
    if issubclass(cls, VideoSource):
        _check_packets(cls, checked)
    first_info, first = _read(cls, checked)
    assert first, "it gave no picture; name options that lead to something that can be read"
    for decoded in first:
        _check_decoded(decoded)
    times = [decoded.pts_ns for decoded in first if decoded.pts_ns is not None]
    assert all(a < b for a, b in pairwise(times)), f"times must rise, got {times[:8]} ..."
    span_ns = times[-1] - times[0] if times else 0
    assert len(times) < 2 or span_ns >= _LEAST_SPAN_NS, f"{len(times)} pictures in {span_ns} ns: times are nanoseconds"
    if not first_info.live:
        again_info, again = _read(cls, checked)
        assert first_info.identity == again_info.identity, "a recording opened again has another identity"
        assert [_print_of(decoded) for decoded in first] == [_print_of(decoded) for decoded in again], (
            "a second run differs"
        )
    _check_stop(cls, checked)


def check_sink_contract(cls: type[AnySink], **options: Any) -> None:
    """Assert the contract that the engine relies on, with these options, which must lead to a writable place:

    - it is a complete sink, its options are described
    - it takes events (or frames, or records) in one batch and one by one, an empty batch, and the same ones once more
    - it may be closed without a write, and opened again at the same place
    """
    check_sink(cls)
    _check_options(cls)
    checked = cls.options_type.model_validate(options)
    items = _items(cls)
    _written(cls, checked, [])
    _written(cls, checked, [items[:3], [], items[3:], items])
    _written(cls, checked, [items])


def _items(cls: type[AnySink]) -> Sequence[Any]:
    """Return the items that a sink of this kind gets."""
    if issubclass(cls, EventSink):
        return make_events(4)
    if issubclass(cls, FrameSink):
        return [make_frame(fill=40 * n, index=n) for n in range(4)]
    return make_records(4)


def _check_options(cls: Any) -> None:
    assert (cls.__doc__ or "").strip(), f"{cls.__name__} has no docstring; `streamproc plugins NAME` shows it"
    missing = [name for name, field in cls.options_type.model_fields.items() if not field.description]
    assert not missing, f"options without a description: {', '.join(missing)}"


def _made(cls: Any, options: Any) -> Any:
    return construct(cls, options) or cls(options)


def _read(cls: Any, options: Any) -> tuple[InputInfo, list[DecodedFrame]]:
    source = _made(cls, options)
    info = source.open(source_context())
    try:
        assert isinstance(info, InputInfo), f"open gave {info!r}, expected an InputInfo"
        assert info.identity, "open gave an empty identity, which event ids are made from"
        return info, list(islice(_pictures(source, info), _MOST))
    finally:
        source.close()
        source.close()


def _pictures(
    source: AnySource, info: InputInfo, stopping: Callable[[], bool] = lambda: False
) -> Iterator[DecodedFrame]:
    """The pictures of an open source of either kind; packets are decoded as in a run."""
    if isinstance(source, VideoSource):
        outside = Outside(stopping=stopping, count=lambda _reason, _number=1: None)
        for found, _ in Decoding(source, "test").frames(info, outside):
            if found is not None:
                yield found
        return
    for decoded in source.frames():
        if decoded is not None:
            assert isinstance(decoded, DecodedFrame), (
                f"frames gave {type(decoded).__name__}, expected DecodedFrame(picture=..., pts_ns=...)"
            )
            yield decoded


def _check_packets(cls: Any, options: Any) -> None:
    """A video source says their format, they are plain data, and the first can be decoded."""
    source = _made(cls, options)
    try:
        info = source.open(source_context())
        assert isinstance(info.format, VideoFormat), (
            f'open gave the format {info.format!r}; write: InputInfo(..., format=VideoFormat(codec="h264"))'
        )
        packets = list(islice(source.packets(), _MOST))
    finally:
        source.close()
    for packet in packets:
        assert isinstance(packet, Packet), f"packets gave {type(packet).__name__}, expected Packet(data=..., pts=...)"
        assert type(packet.data) is bytes, f"Packet.data is {type(packet.data).__name__}, expected bytes"
    assert any(packet.keyframe for packet in packets), f"none of the first {len(packets)} packets is a keyframe"
    again = pickle.loads(pickle.dumps((info.format, packets)))  # noqa: S301 - made here
    assert again == (info.format, packets), "pickled packets differ"


def _check_decoded(decoded: DecodedFrame) -> None:
    assert not isinstance(decoded.picture, np.ndarray), "DecodedFrame.picture is an array; write ArrayPicture(rgb)"
    size = (decoded.picture.height, decoded.picture.width)
    check_array("rgb", decoded.picture.to_rgb(), np.uint8, (*size, 3))
    check_array("gray", decoded.picture.to_gray(), np.uint8, size)
    for name in ("pts_ns", "captured_ns"):
        value = getattr(decoded, name)
        assert value is None or isinstance(value, int), f"{name} is {value!r}, expected whole nanoseconds or None"


def _print_of(decoded: DecodedFrame) -> tuple[int | None, bytes]:
    return decoded.pts_ns, decoded.picture.to_rgb().tobytes()


def _check_stop(cls: Any, options: Any) -> None:
    """Assert that it ends within a few pictures once `stopping()` is true, as the run can't end before."""
    stopping = False
    source = _made(cls, options)
    info = source.open(source_context(stopping=lambda: stopping))
    try:
        pictures = _pictures(source, info, lambda: stopping)
        next(pictures)
        stopping = True
        left = sum(1 for _ in islice(pictures, _MOST))
        assert left < _MOST, f"it gave {_MOST} more pictures after stopping() was true; ask for it in the loop"
    finally:
        source.close()


def _written(cls: Any, options: Any, batches: Sequence[Sequence[Any]]) -> None:
    sink = _made(cls, options)
    sink.open(sink_context())
    try:
        for batch in batches:
            given = sink.write(batch)
            assert given is None, f"write gave {given!r}, expected None: raise SinkError or SinkBusy where it fails"
        sink.flush()
    finally:
        sink.close()


__all__ = ["check_sink_contract", "check_source_contract", "make_events", "sink_context", "source_context"]
