"""What the sinks to Kafka and the source from it share: clients that leave nothing behind when no broker answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator

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


def _checked(servers: str) -> str:
    for server in servers.split(","):
        host, colon, port = server.strip().rpartition(":")
        if not server.strip() or (colon and not (host and port.isascii() and port.isdigit() and 0 < int(port) < 65536)):
            wrong = f"{server.strip()!r} is no broker's address"
            raise ValueError(f"{wrong}; expected host:port with a port from 1 to 65535, several separated by commas")
    return servers


Servers = Annotated[str, AfterValidator(_checked)]
"""Addresses of brokers to start from: host:port, several separated by commas."""

__all__ = ["Servers", "connected"]
