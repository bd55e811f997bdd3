"""Pictures from a Kafka topic: JPEG, PNG or raw frames, of many streams, in a consumer group."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

from streamproc.errors import SourceError
from streamproc.kafka.client import Servers, connected
from streamproc.kafka.poll import Poller, partition_name, trouble
from streamproc.media.header import MAX_PIXELS
from streamproc.media.wire import Label, Unreadable, read_label, read_picture
from streamproc.options import Duration, Field, Options, seconds
from streamproc.source import DecodedFrame, InputInfo, PictureSource, Position, SourceContext

if TYPE_CHECKING:
    from kafka import KafkaConsumer

_WAIT_S = 0.5
"""how long the reader waits for a message before it lets the engine look after commits and stopping"""
_POLL_RECORDS = 50
_LONGEST_NAME = 200


class KafkaOptions(Options):
    """Options of the `kafka` source."""

    servers: Servers = Field(description="brokers to start from, as host:port, several separated by commas")
    topic: str = Field(min_length=1, max_length=249, pattern=r"^[A-Za-z0-9._-]+$", description="the topic to read")
    group: str = Field("streamproc", min_length=1, description="consumer group: its members share the partitions")
    start: Literal["earliest", "latest"] = Field(
        "earliest", description="where to begin in a partition of which the group has committed nothing"
    )
    until: Literal["stopped", "end"] = Field(
        "stopped", description="end: finish when all that was in the topic at the start has been read"
    )
    isolation_level: Literal["read_committed", "read_uncommitted"] = Field(
        "read_committed",
        description="read_committed: frames of a transaction come once it is committed, and never if it is aborted; "
        "read_uncommitted: all frames come at once",
    )
    max_streams: int = Field(
        256,
        ge=1,
        le=100_000,
        description="streams at one time: where keys name more, the stream that was silent for longest ends",
    )
    live: bool = Field(
        False, description="drop the oldest frames when they come too fast, rather than leave them with the broker"
    )
    buffer_bytes: int = Field(
        32 << 20, ge=1 << 16, description="fetching is paused while more than this waits to be processed"
    )
    member: str | None = Field(
        None,
        min_length=1,
        description="a name of this member's own in the group: after a crash it gets its partitions back at once",
    )
    session: Duration = Field(
        seconds(10),
        ge=seconds(1),
        description="how long a member may show no sign of life before it loses its partitions",
    )
    drain: Duration = Field(
        seconds(10), description="when partitions go to another member: how long to wait for what was read of them"
    )
    timeout: Duration = Field(seconds(10), ge=seconds(1), description="how long the broker may take to answer")
    max_pixels: int = Field(
        MAX_PIXELS,
        ge=1,
        le=1 << 30,
        description="pixels of one picture at most; a larger one isn't decoded, but counted",
    )


class KafkaSource(PictureSource[KafkaOptions]):
    """Reads frames as `streamproc.media.wire` describes them; the `frames` sink writes such.

    A message's stream is its header `stream`, else its key, else the configured stream; its time is the header
    `pts_ns`, else the record's time stamp. What can't be read is counted with a reason and passed over. An offset is
    committed when the engine says so, never before. While a broker is away it waits.
    """

    resumable: ClassVar[bool] = True
    several: ClassVar[bool] = True
    _poller: Poller | None = None
    _delivered: dict[str, int]

    @property
    def most_streams(self) -> int:
        """Number of streams it may carry at a time."""
        return self.options.max_streams

    def open(self, context: SourceContext) -> InputInfo:
        """Find the topic. Raises `SourceLost` if no broker answers, `SourceError` if there is no such topic."""
        from kafka.errors import KafkaError

        self._context = context
        # reused when the engine opens the same source again: its streams go on where they are
        self._delivered = getattr(self, "_delivered", {})
        options = self.options
        try:
            consumer = self._consumer()
            self._poller = Poller(consumer, self._settings(), self._delivered)
            if not consumer.partitions_for_topic(options.topic):
                raise SourceError(
                    f"Kafka at {options.servers} has no topic {options.topic!r}; make it, or mend the name"
                )
            identity = self._identity()
        except KafkaError as error:
            raise trouble(f"Kafka at {options.servers}, topic {options.topic}", error) from error
        return InputInfo(identity=identity, live=options.live)

    def seek(self, positions: Mapping[str, int]) -> None:
        """Go on at these offsets, or behind them where the group has committed more."""
        self._opened().seek(positions)

    def frames(self) -> Iterator[DecodedFrame | None]:
        """Pictures as they come, None when there is none for a while or a message can't be read."""
        from kafka.errors import KafkaError

        poller = self._opened()
        try:
            poller.start(f"streamproc-kafka-{self._context.stream}")
        except KafkaError as error:
            raise trouble(f"Kafka at {self.options.servers}, topic {self.options.topic}", error) from error
        silent = 0
        while not self._context.stopping():
            record = poller.take(_WAIT_S)
            if record is None:
                if poller.finished:
                    return
                silent = 0 if poller.connected else silent + 1
                self._context.away(f"no broker of {self.options.servers} can be reached" if silent > 1 else "")
                yield None
                continue
            decoded = self._decoded(record)
            if decoded is not None and decoded.position is not None:
                self._delivered[decoded.position.partition] = decoded.position.offset + 1
            yield decoded

    def commit(self, positions: Mapping[str, int]) -> None:
        """Commit to the group; a failure is logged, since a later commit or the next owner makes up for it."""
        self._opened().commit(positions)

    def close(self) -> None:
        """Leave the group."""
        if self._poller is not None:
            self._poller.close()
            self._poller = None

    def _opened(self) -> Poller:
        if self._poller is None:
            raise SourceError("this kafka source isn't open; call `open` first")
        return self._poller

    def _settings(self) -> Poller.Settings:
        return Poller.Settings(
            topic=self.options.topic,
            buffer_bytes=self.options.buffer_bytes,
            drain_s=self.options.drain / 1e9,
            timeout_s=self.options.timeout / 1e9,
            to_end=self.options.until == "end",
            log=self._context.log,
        )

    def _consumer(self) -> KafkaConsumer:
        from kafka import KafkaConsumer

        options = self.options
        return connected(
            KafkaConsumer,
            bootstrap_servers=options.servers,
            client_id="streamproc",
            group_id=options.group,
            group_instance_id=options.member,
            session_timeout_ms=round(options.session / 1e6),
            heartbeat_interval_ms=round(options.session / 4e6),
            auto_offset_reset=options.start,
            isolation_level=options.isolation_level,
            enable_auto_commit=False,
            allow_auto_create_topics=False,
            max_poll_records=_POLL_RECORDS,
            fetch_max_bytes=options.buffer_bytes,
            max_partition_fetch_bytes=min(4 << 20, options.buffer_bytes),
            bootstrap_timeout_ms=round(options.timeout / 1e6),
        )

    def _identity(self) -> str:
        """The topic's own id, which another topic of that name hasn't got."""
        from kafka import KafkaAdminClient

        timeout_ms = round(self.options.timeout / 1e6)
        admin = connected(KafkaAdminClient, bootstrap_servers=self.options.servers, bootstrap_timeout_ms=timeout_ms)
        try:
            (described,) = admin.describe_topics([self.options.topic])
        finally:
            admin.close()
        return f"kafka:{described.get('topic_id') or self.options.topic}"

    def _decoded(self, record: Poller.Record) -> DecodedFrame | None:
        """The message as a picture; None, and counted, if it is none."""
        try:
            label = read_label(record.headers)
            stream = _stream(label, record.key)
            picture = read_picture(record.value, label, self.options.max_pixels)
        except Unreadable as error:
            self._context.count(error.reason)
            self._context.log.debug("%s offset %d: %s", partition_name(record), record.offset, error)
            return None
        stamp_ns = record.timestamp * 1_000_000 if record.timestamp is not None and record.timestamp >= 0 else None
        return DecodedFrame(
            picture=picture,
            pts_ns=stamp_ns if label.pts_ns is None else label.pts_ns,
            captured_ns=label.captured_ns,
            keyframe=label.keyframe,
            stream=stream,
            position=Position(partition=partition_name(record), offset=record.offset),
        )


def _stream(label: Label, key: bytes | None) -> str | None:
    """The stream that a message names, None if it names none. Raises `Unreadable` for a name that can't be one."""
    name = label.stream
    if name is None and key:
        name = key.decode(errors="replace")
    if name is not None and not (0 < len(name) <= _LONGEST_NAME and name.isprintable()):
        raise Unreadable("bad_header", f"the stream's name is {name[:40]!r}, expected up to {_LONGEST_NAME} letters")
    return name


__all__ = ["KafkaOptions", "KafkaSource"]
