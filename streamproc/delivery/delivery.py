"""Delivery: takes records from the ordered workers of the streams and hands them to the writers of the sinks."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from dataclasses import replace

from streamproc.config.plan import SinkPlan
from streamproc.delivery.context import WriterContext
from streamproc.delivery.merge import MergeQueue
from streamproc.delivery.receipt import Countdown, Receipt
from streamproc.delivery.thumbnail import thumbnail
from streamproc.delivery.writer import Writer
from streamproc.delivery.writers import Writers
from streamproc.errors import describe
from streamproc.events import Event
from streamproc.record import Record
from streamproc.sink import AnySink

log = logging.getLogger(__name__)

MOST_WAITING = 20_000
"""events of one stream that may wait for other streams or for sinks before its reader pauses"""
MOST_WAITING_BYTES = 64 * 2**20
"""most memory that these events may hold, estimated"""


class Delivery:
    """Hands the records of streams to sinks, which may be attached and detached at any time. Thread-safe.

    Events of recorded streams are ordered by (media time, stream, place in the stream), so that files are the same in
    every run. Events of live streams, frames and records go on at once, in the order of each stream. A stream may name
    a sink that isn't attached; it gets nothing.
    """

    def __init__(self, context: WriterContext) -> None:
        self._lock = threading.RLock()
        self._writers = Writers(context)
        self._merge = MergeQueue()
        self._serial = 0
        self._no_picture = False

    # --- sinks ---

    def attach(self, plan: SinkPlan, sink: AnySink) -> None:
        """Add a sink under the name of its plan; it gets everything delivered to that name from now on."""
        with self._lock:
            self._writers.attach(plan, sink)

    def detach(self, name: str, within_s: float = 10.0) -> None:
        """Deliver everything addressed to a sink so far, within this time, then close the sink; returns at the end.

        Events that it doesn't take wait in the outbox; reports still list the sink. Raises `StreamprocError` where no
        such sink is attached.
        """
        with self._lock:
            writer = self._writers.detach(name)
            waiting = self._merge.waiting_for(name) if writer.takes == "events" else []
            if waiting:
                writer.inbox.put(self._serial, _fitting(waiting, writer))
        writer.stop(within_s)
        writer.join()
        with self._lock:
            self._writers.left(name)

    def start(self) -> None:
        """Start the writers."""
        with self._lock:
            self._writers.start()

    def close(self, drain_s: float) -> None:
        """Deliver everything left and close the sinks; a failing sink has this time. Returns at the end."""
        with self._lock:
            self._writers.close(drain_s)
            writers = self._writers.all()
        for writer in writers:
            writer.join()

    def writers(self) -> list[Writer]:
        """Return the writers of all sinks, detached ones included, for reports."""
        with self._lock:
            return self._writers.all()

    def backlog(self, sink: str) -> int:
        """Return the number of items that wait in memory for a sink; 0 where it isn't attached."""
        with self._lock:
            return sum(writer.backlog for writer in self._writers.of((sink,)))

    def backlogs(self) -> dict[str, int]:
        """Return the number of items that wait in memory, by sink."""
        return {writer.name: writer.backlog for writer in self.writers()}

    # --- streams ---

    def expect(self, stream: str) -> None:
        """Merge this recorded stream with the others, which wait for it until it has `ended`."""
        with self._lock:
            self._merge.expect(stream)

    def ended(self, stream: str) -> None:
        """Let no stream wait for this one: it has ended, was removed, is live, or only announces streams."""
        with self._lock:
            self._merge.ended(stream)
            self._send_merged()

    def deliver(self, record: Record, sinks: tuple[str, ...], done: Callable[[], None] | None = None) -> None:
        """Hand a record to these sinks; `done` is called once no sink needs its frame any more."""
        events = self._with_thumbnail(record, sinks)
        with self._lock:
            if not record.stream.live and record.stream.name in self._merge:
                self._merge.hold(record.stream.name, record.pts_ns, events, sinks)
                self._send_merged()
            else:
                self._send(sinks, events)
            handed_over = self._send_whole(record, sinks, done)
        if done is not None and not handed_over:
            done()

    def barrier(self, stream: str) -> Receipt:
        """Return a receipt, fulfilled once everything of this stream so far is with the writers."""
        receipt = Receipt()
        with self._lock:
            if self._merge.mark(stream, lambda: receipt.fulfil(self._serial)):
                return receipt
            serial = self._serial
        receipt.fulfil(serial)
        return receipt

    def flushed(self, sinks: Iterable[str], serial: int) -> bool:
        """Return whether everything up to `serial` is durable in each of these sinks that is attached."""
        with self._lock:
            return self._writers.flushed(sinks, serial)

    def crowded(self, stream: str, sinks: tuple[str, ...]) -> bool:
        """Return whether so much of this stream waits that its reader should pause."""
        with self._lock:
            count, size = self._merge.backlog(stream)
            writers = self._writers.of(sinks)
        count += max((writer.backlog for writer in writers), default=0)
        size += max((writer.inbox.bytes for writer in writers), default=0)
        return count > MOST_WAITING or size > MOST_WAITING_BYTES

    # --- under the lock ---

    def _send_merged(self) -> None:
        for item, sinks in self._merge.release():
            if isinstance(item, Event):
                self._send(sinks, (item,))
            else:
                item()

    def _send(self, sinks: tuple[str, ...], events: tuple[Event, ...]) -> None:
        if not events:
            return
        self._serial += 1
        for writer in self._writers.of(sinks):
            if writer.takes == "events":
                writer.inbox.put(self._serial, _fitting(events, writer))

    def _send_whole(self, record: Record, sinks: tuple[str, ...], done: Callable[[], None] | None) -> bool:
        """Hand the frame or the record to the sinks that take it; return whether any sink got the frame."""
        writers = [writer for writer in self._writers.of(sinks) if writer.takes != "events"]
        if not writers:
            return False
        self._serial += 1
        readers = [writer for writer in writers if writer.wants_frames] if record.frame is not None else []
        release = Countdown(len(readers), done or (lambda: None))
        for writer in writers:
            if writer in readers:
                item = record if writer.takes == "records" else record.frame
                assert item is not None
                writer.inbox.put(self._serial, (item,), release)
            elif writer.takes == "records":
                writer.inbox.put(self._serial, (record.without_frame(),))
        return bool(readers)

    def _with_thumbnail(self, record: Record, sinks: tuple[str, ...]) -> tuple[Event, ...]:
        """Return a record's events, with a thumbnail where a sink wants one and the picture can be converted."""
        if not record.events or record.frame is None:
            return record.events
        with self._lock:
            wanted = any(writer.wants_pictures for writer in self._writers.of(sinks))
        if not wanted:
            return record.events
        try:
            picture = thumbnail(record.frame)
        except Exception as error:  # noqa: BLE001 - a picture is no reason to lose an event
            if not self._no_picture:
                log.warning("no thumbnail stream=%s frame=%d: %s", record.stream.name, record.index, describe(error))
            self._no_picture = True
            return record.events
        return tuple(replace(event, attachments=(*event.attachments, picture)) for event in record.events)


def _fitting(events: Iterable[Event], writer: Writer) -> tuple[Event, ...]:
    """Return the events in the form that a sink takes: without attachments where it takes no pictures."""
    return tuple(events) if writer.wants_pictures else tuple(replace(event, attachments=()) for event in events)


__all__ = ["MOST_WAITING", "MOST_WAITING_BYTES", "Delivery"]
