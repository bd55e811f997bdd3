"""The thread that owns a Kafka consumer. It polls all the time, so that the group never counts its member as dead.

Fetching is paused while the reader has enough to do. When partitions are about to go to another member, records that
the reader hasn't taken are dropped, as the next owner reads them. The group then waits a while until the engine has
committed the records that the reader has taken.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from streamproc.errors import SourceError, SourceLost
from streamproc.metrics import worth_logging

if TYPE_CHECKING:
    from kafka import KafkaConsumer, TopicPartition

_POLL_MS = 100
_DRAIN_LOOK_S = 0.05


class Poller:
    """Poller of one topic. Start it once; `take` and `commit` are for one other thread, the reader's."""

    @dataclass(frozen=True, slots=True, kw_only=True)
    class Settings:
        """Settings of a poller."""

        topic: str
        buffer_bytes: int
        drain_s: float
        timeout_s: float
        to_end: bool
        log: logging.Logger

    class Record(Protocol):
        """The used attributes of a consumer's record."""

        topic: str
        partition: int
        offset: int
        timestamp: int | None
        key: bytes | None
        value: bytes | None
        headers: Iterable[tuple[str, bytes | None]]

    def __init__(self, consumer: KafkaConsumer, settings: Settings, delivered: Mapping[str, int]) -> None:
        """`delivered`: by partition, the offset behind the last frame that the reader has passed on; it updates it."""
        self._consumer = consumer
        self._settings = settings
        self._delivered = delivered
        self._committed: dict[str, int] = {}
        self._failed_commits = 0
        self._wanted: dict[str, int] = {}
        self._taken: dict[str, int] = {}
        self._first: dict[str, int] = {}
        self._left: set[str] = set()
        self._revocations = 0
        self._change = threading.Condition()
        self._buffer: deque[Poller.Record] = deque()
        self._buffered = 0
        self._paused = False
        self._mine: dict[str, TopicPartition] = {}
        self._ends: dict[TopicPartition, int] = {}
        self._closing = False
        self._failure: Exception | None = None
        self._thread: threading.Thread | None = None
        self.finished = False
        """whether all records that the topic had at the start have been taken"""

    # --- the reader's side ---

    def seek(self, positions: Mapping[str, int]) -> None:
        """Set the positions to read on from, unless the group has committed later ones; call it before `start`."""
        self._wanted = dict(positions)

    def start(self, name: str) -> None:
        """Join the group and start polling. Raises kafka-python's errors."""
        if self._settings.to_end:
            self._find_ends()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    @property
    def connected(self) -> bool:
        """Whether a broker can be reached at this moment."""
        return any(conn.connected for conn in list(self._consumer._client._manager._conns.values()))

    def take(self, wait_s: float) -> Poller.Record | None:
        """Return the next record; None if none came within `wait_s`. Raises `SourceLost` or `SourceError`."""
        with self._change:
            if not self._buffer and not self.finished:
                self._change.wait_for(lambda: self._buffer or self._failure or self.finished, wait_s)
            if self._buffer:
                record = self._buffer.popleft()
                self._buffered -= _size(record)
                self._taken[partition_name(record)] = record.offset + 1
                return record
        if self._failure is not None:
            raise trouble(f"Kafka topic {self._settings.topic}", self._failure) from self._failure
        return None

    def commit(self, positions: Mapping[str, int]) -> None:
        """Commit, and return once it has succeeded or failed (which is logged)."""
        from kafka.structs import OffsetAndMetadata

        with self._change:
            if self._thread is None or self._closing or self._failure is not None:
                return
            # positions of lost partitions are for their new owner to commit
            ours = {name: at for name, at in positions.items() if name in self._mine}
            offsets = {self._mine[name]: OffsetAndMetadata(at, "", -1) for name, at in ours.items()}
        if not offsets:
            return
        answered = threading.Event()
        # it runs on the consumer's own loop: while partitions are being revoked, `poll` doesn't return
        future = self._consumer.commit_async(offsets)
        future.add_callback(lambda _: self._committed_upto(ours))
        future.add_errback(lambda error: self._warn(f"failed ({error})"))
        future.add_both(lambda _: answered.set())
        if not answered.wait(self._settings.timeout_s):
            self._warn("took too long")

    def _warn(self, what: str) -> None:
        self._failed_commits += 1
        if not worth_logging(self._failed_commits):
            return
        self._settings.log.warning(
            "committing to %s %s: frames since the last commit are processed again after a restart",
            self._settings.topic,
            what,
        )

    def close(self) -> None:
        """Leave the group and end the thread."""
        with self._change:
            self._closing = True
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        else:
            self._consumer.close(autocommit=False, timeout_ms=0)

    # --- the thread's side ---

    def _work(self) -> None:
        try:
            listener = _listener(self._revoked, self._lost, self._assigned)
            self._consumer.subscribe([self._settings.topic], listener=listener)
            while not self._closing:
                self._throttle()
                before = self._revocations
                self._buffer_records(self._consumer.poll(timeout_ms=_POLL_MS), before)
                self._pick_up_join()
                self._look_at_end(before)
        except Exception as error:  # noqa: BLE001 - passed to the reader, which raises it
            with self._change:
                self._failure = error
                self._change.notify_all()
        finally:
            with self._change:
                self._closing = True
            self._consumer.close(autocommit=False, timeout_ms=round(self._settings.timeout_s * 1000))

    def _find_ends(self) -> None:
        from kafka import TopicPartition

        topic = self._settings.topic
        parts = [TopicPartition(topic, number) for number in self._consumer.partitions_for_topic(topic)]
        self._ends = self._consumer.end_offsets(parts, timeout_ms=round(self._settings.timeout_s * 1000))

    def _pick_up_join(self) -> None:
        """Let the next `poll` continue a join that outlasted the last one.

        kafka-python 3.0 forgets a join that only new metadata asked for, as when a topic becomes known after the first
        join, or grows. The member then waits for ever, without partitions and without heartbeats.
        """
        coordinator = self._consumer._coordinator
        if coordinator._join_task is not None:
            coordinator.request_rejoin()

    def _throttle(self) -> None:
        """Pause fetching while the buffer is full, and resume once half of it is taken."""
        limit = self._settings.buffer_bytes
        crowded = self._buffered > (limit // 2 if self._paused else limit)
        if crowded:
            self._consumer.pause(*self._consumer.assignment())
        elif self._paused:
            self._consumer.resume(*self._consumer.assignment())
        self._paused = crowded

    def _buffer_records(self, polled: Mapping[TopicPartition, Sequence[Poller.Record]], revocations: int) -> None:
        with self._change:
            for part, records in polled.items():
                name = _name(part)
                if name in self._left:
                    continue
                if revocations != self._revocations:
                    # these may have been fetched before partitions were revoked and assigned again: start over
                    with suppress(ValueError):  # the partition has been revoked again
                        known = self._known(name)
                        self._consumer.seek(part, records[0].offset if known is None else known)
                    continue
                self._first.setdefault(name, records[0].offset)
                self._buffer.extend(records)
                self._buffered += sum(_size(record) for record in records)
            self._change.notify_all()

    def _look_at_end(self, revocations: int) -> None:
        if not self._settings.to_end or self._buffer:
            return
        mine = self._consumer.assignment()
        if not mine or any(self._position(part) < self._ends.get(part, 0) for part in mine):
            return
        with self._change:
            # positions count only if no partition was revoked while they were read
            if not self._buffer and not self._left and revocations == self._revocations:
                self.finished = True
                self._change.notify_all()

    def _position(self, part: TopicPartition) -> int:
        return int(self._consumer.position(part, timeout_ms=round(self._settings.timeout_s * 1000)) or 0)

    # --- on the consumer's own loop, which must not be blocked ---

    async def _revoked(self, parts: Iterable[TopicPartition]) -> None:
        names = self._drop(parts)
        deadline = time.monotonic() + self._settings.drain_s
        while self._undone(names) and not self._closing:
            if time.monotonic() >= deadline:
                self._settings.log.warning(
                    "%s: partitions are revoked before all their frames are committed; some may be processed twice",
                    self._settings.topic,
                )
                break
            # the loop's own sleep, which lets heartbeats and commits through
            await self._consumer._net.sleep(_DRAIN_LOOK_S)
        with self._change:
            self._mine = {name: part for name, part in self._mine.items() if name not in names}

    async def _lost(self, parts: Iterable[TopicPartition]) -> None:
        """Drop lost partitions without waiting: the group counts this member as dead, and takes no commit of it."""
        names = self._drop(parts)
        with self._change:
            self._mine = {name: part for name, part in self._mine.items() if name not in names}

    def _drop(self, parts: Iterable[TopicPartition]) -> set[str]:
        """Drop buffered records of these partitions; return the partitions' names."""
        names = {_name(part) for part in parts}
        with self._change:
            self._revocations += 1
            self._left |= names
            self._buffer = deque(record for record in self._buffer if partition_name(record) not in names)
            self._buffered = sum(_size(record) for record in self._buffer)
        return names

    async def _assigned(self, parts: Iterable[TopicPartition]) -> None:
        mine = {_name(part): part for part in parts}
        known = {name: at for name in mine if (at := self._known(name)) is not None}
        committed: Mapping[TopicPartition, Any] = {}
        if known:  # other members may have committed later offsets
            limit_ms = round(self._settings.timeout_s * 1000)
            asked = [mine[name] for name in known]
            committed = await self._consumer._coordinator.fetch_committed_offsets_async(asked, timeout_ms=limit_ms)
        with self._change:
            for name, at in known.items():
                found = committed.get(mine[name])
                self._wanted[name] = at if found is None else max(at, found.offset)
                self._consumer.seek(mine[name], self._wanted[name])
            self._mine |= mine
            self._left.clear()

    def _known(self, name: str) -> int | None:
        """Return the offset to read on from as far as this run knows: behind all that it has read, or None."""
        marks = [self._wanted.get(name), self._delivered.get(name), self._taken.get(name)]
        if marks == [None, None, None]:
            marks.append(self._first.get(name))
        return max((mark for mark in marks if mark is not None), default=None)

    def _committed_upto(self, positions: Mapping[str, int]) -> None:
        self._committed.update(positions)

    def _undone(self, names: set[str]) -> bool:
        """Return whether the reader has passed on records that are not committed."""
        return any(self._delivered.get(name, 0) > self._committed.get(name, 0) for name in names)


def trouble(what: str, error: Exception) -> SourceError:
    """Translate kafka-python's error: `SourceLost` where waiting may help, else `SourceError`."""
    from kafka.errors import KafkaError

    kind = SourceLost if isinstance(error, KafkaError) and error.retriable else SourceError
    return kind(f"{what}: {error or type(error).__name__}")


def partition_name(record: Poller.Record) -> str:
    """Return the name of a record's partition in positions: `topic/3`."""
    return f"{record.topic}/{record.partition}"


def _name(part: TopicPartition) -> str:
    return f"{part.topic}/{part.partition}"


def _size(record: Poller.Record) -> int:
    return len(record.value or b"") + 256


def _listener(revoked: Any, lost: Any, assigned: Any) -> Any:
    """Make kafka-python's listener within a function, as kafka-python is imported on first use."""
    from kafka.consumer.subscription_state import AsyncConsumerRebalanceListener

    class Listener(AsyncConsumerRebalanceListener):  # type: ignore[misc]  # kafka-python ships no types
        async def on_partitions_revoked(self, parts: Any) -> None:
            await revoked(list(parts))

        async def on_partitions_lost(self, parts: Any) -> None:
            await lost(list(parts))

        async def on_partitions_assigned(self, parts: Any) -> None:
            await assigned(list(parts))

    return Listener()


__all__ = ["Poller", "partition_name", "trouble"]
