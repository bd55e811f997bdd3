"""From the tails of the streams to the writers of the sinks; recorded streams are merged by media time."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from streamproc.delivery.entries import weight
from streamproc.delivery.writer import Writer
from streamproc.errors import describe
from streamproc.events import Attachment, Event
from streamproc.frames import Frame, resize
from streamproc.record import Record
from streamproc.sink import EventSink, FrameSink

log = logging.getLogger(__name__)

MOST_HELD = 20_000
"""events of one stream that may wait for other streams or for sinks before its reader pauses"""
MOST_HELD_BYTES = 64 * 2**20
"""and about how much memory they may hold"""

THUMBNAIL_WIDTH = 320


@dataclass(slots=True)
class _Queue:
    """Events of one recorded stream that wait for slower streams."""

    order: int
    watermark_ns: int = -1
    ended: bool = False
    held: deque[tuple[int, Event | Callable[[int], None]]] = field(default_factory=deque)
    """by media time: events, and what is to be told how many were handed over before it"""
    weight: int = 0


class Delivery:
    """Hands events and frames to the writers of their stream's sinks.

    Events of recorded streams come out ordered by (media time, stream, place in the stream), so that files are the
    same in every run; those of live streams go on at once.

    orders: the configured streams by name, each with its place in the configuration.
    """

    def __init__(self, writers: Mapping[str, Writer], orders: Mapping[str, int]) -> None:
        self._writers = writers
        self._queues = {name: _Queue(order) for name, order in orders.items()}
        self._lock = threading.Lock()
        self._serial = 0
        self._sinks: dict[str, tuple[str, ...]] = {}
        self._no_picture = False

    def deliver(self, record: Record, sinks: tuple[str, ...], done: Callable[[], None] | None = None) -> None:
        """Hand a record to these sinks; `done` is called once the last of them needs its frame no more."""
        writers = [self._writers[name] for name in sinks]
        events = record.events
        if events and record.frame is not None and any(writer.wants_pictures for writer in writers):
            picture = self._picture(record.frame)
            events = tuple(replace(event, attachments=(*event.attachments, *picture)) for event in events)
        with self._lock:
            if not record.stream.live and record.stream.name in self._queues:
                self._sinks[record.stream.name] = sinks
                self._hold(record.stream.name, record.pts_ns, events)
            else:
                self._send(sinks, events)
        if record.frame is not None:
            self._send_frame(record.frame, [w for w in writers if isinstance(w.sink, FrameSink)], done)

    def ended(self, stream: str) -> None:
        """Others needn't wait for this stream: it has ended, or it is live, or it only announces streams."""
        with self._lock:
            if stream in self._queues:
                self._queues[stream].ended = True
                self._merge()

    def barrier(self, stream: str) -> Receipt:
        """Receipt for everything of this stream so far, fulfilled once all of that was handed to the writers."""
        receipt = Receipt()
        with self._lock:
            line = self._queues.get(stream)
            if line is not None and line.held:
                line.held.append((line.held[-1][0], receipt.fulfil))
                return receipt
            serial = self._serial
        receipt.fulfil(serial)
        return receipt

    def flushed(self, sinks: tuple[str, ...], serial: int) -> bool:
        """Whether all that was handed over up to `serial` is durable in every one of these sinks."""
        return all(self._writers[name].flushed_upto(serial) for name in sinks)

    def crowded(self, stream: str, sinks: tuple[str, ...]) -> bool:
        """Whether so much of this stream waits that its reader should pause."""
        line = self._queues.get(stream)
        count, size = (0, 0) if line is None else (len(line.held), line.weight)
        writers = [self._writers[name] for name in sinks]
        count += max((writer.backlog for writer in writers), default=0)
        size += max((writer.backlog_bytes for writer in writers), default=0)
        return count > MOST_HELD or size > MOST_HELD_BYTES

    def _hold(self, stream: str, pts_ns: int, events: tuple[Event, ...]) -> None:
        line = self._queues[stream]
        line.watermark_ns = max(line.watermark_ns, pts_ns)
        line.held.extend((pts_ns, event) for event in events)
        line.weight += sum(map(weight, events))
        self._merge()

    def _merge(self) -> None:
        """Send every held event that nothing earlier can come before any more."""
        while True:
            waiting = [(line.held[0][0], line.order, name) for name, line in self._queues.items() if line.held]
            if not waiting:
                return
            pts_ns, order, name = min(waiting)
            open_lines = [line for line in self._queues.values() if not line.ended and line.order != order]
            if any((line.watermark_ns, line.order) < (pts_ns, order) for line in open_lines):
                return
            item = self._queues[name].held.popleft()[1]
            if isinstance(item, Event):
                self._queues[name].weight -= weight(item)
                self._send(self._sinks[name], (item,))
            else:
                item(self._serial)

    def _send(self, sinks: tuple[str, ...], events: tuple[Event, ...]) -> None:
        if not events:
            return
        self._serial += 1
        for name in sinks:
            writer = self._writers[name]
            if isinstance(writer.sink, EventSink):
                plain = (
                    tuple(replace(event, attachments=()) for event in events) if not writer.wants_pictures else events
                )
                writer.put(self._serial, plain)

    def _send_frame(self, frame: Frame, writers: list[Writer], done: Callable[[], None] | None) -> None:
        release = done or (lambda: None)
        if not writers:
            release()
            return
        countdown = _Countdown(len(writers), release)
        with self._lock:
            self._serial += 1
            for writer in writers:
                writer.put(self._serial, (frame,), countdown)

    def _picture(self, frame: Frame) -> tuple[Attachment, ...]:
        """A thumbnail, or nothing where the picture can't be converted."""
        try:
            return (thumbnail(frame),)
        except Exception as error:  # noqa: BLE001 - a picture is no reason to lose an event
            if not self._no_picture:
                log.warning("no thumbnail stream=%s frame=%d: %s", frame.stream.name, frame.index, describe(error))
            self._no_picture = True
            return ()


class Receipt:
    """A promise of the serial up to which a stream was handed over; `then` calls back at once where it is known."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._serial: int | None = None
        self._then: Callable[[int], None] | None = None

    def fulfil(self, serial: int) -> None:
        """Everything was handed over, as this serial or before."""
        with self._lock:
            self._serial = serial
            then = self._then
        if then is not None:
            then(serial)

    def then(self, function: Callable[[int], None]) -> None:
        """Call `function` with the serial, now or once it is known."""
        with self._lock:
            self._then = function
            serial = self._serial
        if serial is not None:
            function(serial)


class _Countdown:
    """Calls `then` once it was called as often as there are writers."""

    def __init__(self, count: int, then: Callable[[], None]) -> None:
        self._left = count
        self._then = then
        self._lock = threading.Lock()

    def __call__(self) -> None:
        with self._lock:
            self._left -= 1
            if self._left:
                return
        self._then()


def thumbnail(frame: Frame) -> Attachment:
    """The frame as a small JPEG, at most `THUMBNAIL_WIDTH` pixels wide."""
    import cv2

    width = min(THUMBNAIL_WIDTH, frame.width)
    small = resize(frame.rgb, width, max(1, round(frame.height * width / frame.width)))
    _, data = cv2.imencode(".jpg", small[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 80])
    return Attachment(name="thumbnail", media_type="image/jpeg", data=data.tobytes())


__all__ = ["Delivery", "thumbnail"]
