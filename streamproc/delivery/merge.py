"""Merge of recorded streams: orders their events by media time, so that files are the same in every run."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from streamproc.delivery.items import weight
from streamproc.events import Event

Mark = Callable[[], None]
"""called once everything before it has left the merge"""


@dataclass(slots=True)
class StreamQueue:
    """Events of one recorded stream that wait for slower streams."""

    order: int
    joined_ns: int
    """media time of the others when the stream joined; its own time is added to it"""
    watermark_ns: int = -1
    """no later item of this stream comes before this time"""
    ended: bool = False
    sinks: tuple[str, ...] = ()
    items: deque[tuple[int, Event | Mark]] = field(default_factory=deque)
    bytes: int = 0


class MergeQueue:
    """Holds the events of recorded streams until none that is earlier can come; not thread-safe.

    The order is (media time, stream, place in the stream). Streams of equal time follow the order in which they joined.
    """

    def __init__(self) -> None:
        self._queues: dict[str, StreamQueue] = {}
        self._joined = 0
        self._reached_ns = 0
        """highest media time released so far"""

    def __contains__(self, stream: str) -> bool:
        return stream in self._queues

    def expect(self, stream: str) -> None:
        """Let the others wait for this stream. A stream that joins late starts at the media time of the others."""
        queue = self._queues.get(stream)
        if queue is None:
            self._queues[stream] = StreamQueue(self._joined, self._reached_ns)
            self._joined += 1
        else:
            queue.ended = False

    def ended(self, stream: str) -> None:
        """Stop waiting for this stream; it is removed once its events are released."""
        queue = self._queues.get(stream)
        if queue is not None:
            queue.ended = True
            self._forget(stream, queue)

    def hold(self, stream: str, pts_ns: int, events: Sequence[Event], sinks: tuple[str, ...]) -> None:
        """Add the events of one frame and advance the stream's watermark to `pts_ns`, even without events."""
        queue = self._queues[stream]
        time_ns = queue.joined_ns + pts_ns
        queue.sinks = sinks
        queue.watermark_ns = max(queue.watermark_ns, time_ns)
        queue.items.extend((time_ns, event) for event in events)
        queue.bytes += sum(map(weight, events))

    def mark(self, stream: str, mark: Mark) -> bool:
        """Add a mark behind the events of a stream; return False where none waits."""
        queue = self._queues.get(stream)
        if queue is None or not queue.items:
            return False
        queue.items.append((queue.items[-1][0], mark))
        return True

    def release(self) -> Iterator[tuple[Event | Mark, tuple[str, ...]]]:
        """Remove items that no earlier one can precede any more, in order; yield each with its stream's sinks."""
        while (found := self._first()) is not None:
            stream, queue = found
            time_ns, item = queue.items.popleft()
            self._reached_ns = max(self._reached_ns, time_ns)
            if isinstance(item, Event):
                queue.bytes -= weight(item)
            self._forget(stream, queue)
            yield item, queue.sinks

    def waiting_for(self, sink: str) -> list[Event]:
        """Return the events that wait here for a sink, in order, without removing them."""
        queues = [queue for queue in self._queues.values() if sink in queue.sinks]
        found = [
            (time_ns, queue.order, place, item)
            for queue in queues
            for place, (time_ns, item) in enumerate(queue.items)
            if isinstance(item, Event)
        ]
        return [item for *_, item in sorted(found, key=lambda one: one[:3])]

    def backlog(self, stream: str) -> tuple[int, int]:
        """Return the number of items of a stream that wait here, and an estimate of their bytes."""
        queue = self._queues.get(stream)
        return (0, 0) if queue is None else (len(queue.items), queue.bytes)

    def _first(self) -> tuple[str, StreamQueue] | None:
        """Return the queue whose first item is next, if nothing earlier can come."""
        waiting = [(queue.items[0][0], queue.order, name) for name, queue in self._queues.items() if queue.items]
        if not waiting:
            return None
        time_ns, order, name = min(waiting)
        others = (queue for queue in self._queues.values() if not queue.ended and queue.order != order)
        if any((queue.watermark_ns, queue.order) < (time_ns, order) for queue in others):
            return None
        return name, self._queues[name]

    def _forget(self, stream: str, queue: StreamQueue) -> None:
        if queue.ended and not queue.items:
            del self._queues[stream]


__all__ = ["Mark", "MergeQueue", "StreamQueue"]
