"""Kafka clients that leave no thread or socket behind when no broker answers."""

from __future__ import annotations

from collections.abc import Callable
from socket import socket
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator

ClientT = TypeVar("ClientT")


def connected(kind: Callable[..., ClientT], **settings: Any) -> ClientT:
    """Return a `KafkaProducer`, `KafkaConsumer` or `KafkaAdminClient` that has found a broker; raises `KafkaError`.

    kafka-python 3.0 leaves its input/output thread and its sockets behind when the constructor fails, so each try
    without a broker would add some. It also leaves a socket behind that is connecting or has data to send when the
    client is closed.
    """
    closing = _closing_client()
    made: list[Any] = []

    def client(**configured: Any) -> Any:
        made.append(closing(**configured))
        return made[-1]

    try:
        return kind(kafka_client=client, **settings)
    except BaseException:
        for one in made:
            one.close()
        raise


def _closing_client() -> Callable[..., Any]:
    """Derive from kafka-python's client class within a function, as kafka-python is imported on first use."""
    from kafka.net.compat import KafkaNetClient

    class ClosingClient(KafkaNetClient):  # type: ignore[misc]  # kafka-python ships no types
        """Closes all its sockets when it is closed."""

        def close(self, node_id: Any = None) -> None:
            """Close one connection, or all and the input/output thread."""
            if node_id is not None or self._net._closed:
                super().close(node_id)
                return
            transports = [connection.transport for connection in list(self._manager._conns.values())]
            sockets = [transport._sock for transport in transports if transport is not None]
            self._manager.close()
            self._net.stop()  # from here on this thread alone touches the selector
            sockets += [key.fileobj for key in self._net._selector.get_map().values()]
            super().close()
            for one in sockets:
                if isinstance(one, socket):
                    one.close()

    return ClosingClient


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
