"""Producing to Kafka: a producer with bounded waits and typed failures, shared by the sinks."""

from __future__ import annotations

import time
from abc import ABC
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from streamproc.errors import SinkBusy, SinkError
from streamproc.kafka.client import Servers, connected
from streamproc.options import Duration, Field, Options, seconds
from streamproc.sink import SinkContext

if TYPE_CHECKING:
    from kafka import KafkaProducer

_PATIENCE_S = 1.0
_END_LIMIT_S = 5.0


class ProducerOptions(Options):
    """Options of the sinks that write to Kafka."""

    servers: Servers = Field(description="brokers to start from, as host:port, several separated by commas")
    topic: str = Field(min_length=1, max_length=249, pattern=r"^[A-Za-z0-9._-]+$", description="the topic to write to")
    timeout: Duration = Field(
        seconds(10), ge=seconds(1), description="how long the broker may take to acknowledge before it counts as away"
    )
    max_bytes: int = Field(
        16 << 20, ge=1024, description="largest message; the broker's and topic's max.message.bytes must allow it"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One record to be sent."""

    key: bytes
    value: bytes = field(repr=False)
    headers: Sequence[tuple[str, bytes]] = ()


class Producing:
    """An idempotent producer (acks=all, in order per partition) for one topic.

    After a failure the producer is dropped, and the next `send` makes a new one; the caller sends unacknowledged
    messages again.
    """

    def __init__(self, options: ProducerOptions) -> None:
        self._options = options
        self._timeout_s = options.timeout / 1e9
        self._producer: KafkaProducer | None = None
        self._sent: list[Any] = []

    def connect(self) -> None:
        """Find a broker; raises `SinkBusy` if none answers."""
        if self._producer is None:
            self._producer = self._guarded(self._make)

    def send(self, messages: Sequence[Message]) -> None:
        """Hand messages to the producer; raises `SinkBusy` or `SinkError`."""
        self.connect()
        self._guarded(lambda: self._send(messages))

    def flush(self) -> None:
        """Return once the broker has acknowledged all that was sent; else raise `SinkBusy` or `SinkError`."""
        self._guarded(self._acknowledged)

    def close(self) -> None:
        """End the producer; drop messages that aren't acknowledged."""
        self._sent = []
        if self._producer is not None:
            producer, self._producer = self._producer, None
            _end(producer)

    def _make(self) -> KafkaProducer:
        from kafka import KafkaProducer

        timeout_ms = round(self._timeout_s * 1000)
        return connected(
            KafkaProducer,
            bootstrap_servers=self._options.servers,
            client_id="streamproc",
            enable_idempotence=True,
            acks="all",
            linger_ms=5,
            max_request_size=self._options.max_bytes,
            max_block_ms=timeout_ms,
            bootstrap_timeout_ms=timeout_ms,
            request_timeout_ms=max(500, timeout_ms // 2),
            delivery_timeout_ms=timeout_ms,
        )

    def _send(self, messages: Sequence[Message]) -> None:
        assert self._producer is not None
        for message in messages:
            headers = list(message.headers)
            self._sent.append(
                self._producer.send(self._options.topic, key=message.key, value=message.value, headers=headers)
            )

    def _acknowledged(self) -> None:
        deadline = time.monotonic() + self._timeout_s
        for future in self._sent:
            future.get(timeout=max(0.0, deadline - time.monotonic()))
        self._sent = []

    def _guarded(self, action: Any) -> Any:
        """Translate Kafka's errors: retriable ones to `SinkBusy`, others to `SinkError`."""
        from kafka.errors import KafkaError

        try:
            return action()
        except KafkaError as error:
            self.close()
            what = f"Kafka at {self._options.servers}, topic {self._options.topic}: {error or type(error).__name__}"
            if error.retriable:
                raise SinkBusy(what, _PATIENCE_S) from error
            raise SinkError(what) from error


def _end(producer: KafkaProducer) -> None:
    """Close the producer without waiting for acknowledgements, and wait for its thread to end."""
    from kafka.errors import KafkaError

    try:
        producer.close(timeout=0)
    except KafkaError:
        # kafka-python 3.0: `close` gives up when flushing takes too long, before it ends its thread
        producer._sender.force_close()
    producer._sender.join(_END_LIMIT_S)


class Publishing(ABC):
    """Common part of sinks to Kafka; inherit from it before `EventSink` or `FrameSink`."""

    network: ClassVar[bool] = True
    options: ProducerOptions
    _producing: Producing | None = None

    def open(self, context: SinkContext) -> None:
        """Find a broker; raises `SinkBusy` if none answers."""
        self._producing = Producing(self.options)
        self._producing.connect()

    def publish(self, messages: Sequence[Message]) -> None:
        """Hand messages to the producer; raises `SinkBusy` or `SinkError`."""
        assert self._producing is not None, "write comes after open"
        self._producing.send(messages)

    def flush(self) -> None:
        """Return once the broker has acknowledged all that was written; else raise `SinkBusy` or `SinkError`."""
        if self._producing is not None:
            self._producing.flush()

    def close(self) -> None:
        """End the producer; drop messages that aren't acknowledged."""
        if self._producing is not None:
            self._producing.close()


__all__ = ["Message", "ProducerOptions", "Producing", "Publishing"]
