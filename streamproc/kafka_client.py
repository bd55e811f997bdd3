"""What the sinks to Kafka and the source from it share: clients that leave nothing behind when no broker answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

ClientT = TypeVar("ClientT")


def connected(kind: Callable[..., ClientT], **settings: Any) -> ClientT:
    """A `KafkaProducer`, `KafkaConsumer` or `KafkaAdminClient` that has found a broker; raises `KafkaError`.

    kafka-python 3.0 leaves its input/output thread and its sockets behind when the constructor fails; each try while a
    broker is away would add some.
    """
    from kafka.net.compat import KafkaNetClient

    made: list[KafkaNetClient] = []

    def client(**configured: Any) -> KafkaNetClient:
        made.append(KafkaNetClient(**configured))
        return made[-1]

    try:
        return kind(kafka_client=client, **settings)
    except BaseException:
        for one in made:
            one.close()
        raise


__all__ = ["connected"]
