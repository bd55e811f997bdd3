"""Events to a Kafka topic, as CloudEvents in structured mode."""

from __future__ import annotations

import json
from collections.abc import Sequence

from streamproc.events import Event
from streamproc.kafka.producing import Message, ProducerOptions, Publishing
from streamproc.sink import EventSink

CONTENT_TYPE = b"application/cloudevents+json; charset=UTF-8"
"""of the CloudEvents Kafka binding, structured mode"""


class KafkaSink(Publishing, EventSink[ProducerOptions]):
    """Writes each event as one record: key is the stream's name, value the CloudEvents object.

    Delivery: at least once, in order per stream; the producer is idempotent, and a repeated event has the id of the
    first. Durable (acknowledged by all replicas in sync) after `flush`.
    """

    options: ProducerOptions

    def write(self, events: Sequence[Event]) -> None:
        """Hand the events to the producer."""
        self.publish([message(event) for event in events])


def message(event: Event) -> Message:
    """The event's record."""
    headers = [("content-type", CONTENT_TYPE), ("event-id", event.id.encode()), ("event-type", event.type.encode())]
    value = json.dumps(event.to_json(), ensure_ascii=False, separators=(",", ":")).encode()
    return Message(key=event.stream.encode(), value=value, headers=headers)


__all__ = ["CONTENT_TYPE", "KafkaSink", "message"]
