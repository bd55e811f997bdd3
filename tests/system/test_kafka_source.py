"""The Kafka source against a real broker: what the `frames` sink sent, and what others did."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np
import pytest
from kafka import KafkaAdminClient, KafkaProducer

from streamproc.errors import SourceError, SourceLost
from streamproc.frames import Frame
from streamproc.kafka import poll
from streamproc.kafka.client import connected
from streamproc.sinks.frames import FramesOptions, FramesSink
from streamproc.source import DecodedFrame, InputInfo, SourceContext
from streamproc.sources.kafka import KafkaOptions, KafkaSource
from tests.servers.kafka import KafkaBroker
from tests.system.test_kafka_sinks import CONTEXT, frame

TICKS = 120
"""how many times in a row a test sees nothing before it gives up: each is half a second"""


@dataclass
class Reading:
    """An open source and what it counted."""

    source: KafkaSource
    info: InputInfo
    stop: threading.Event
    counted: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.pictures: Iterator[DecodedFrame | None] = self.source.frames()

    def next(self, count: int) -> list[DecodedFrame]:
        """The next `count` pictures."""
        found: list[DecodedFrame] = []
        idle = 0
        while len(found) < count and idle < TICKS:
            decoded = next(self.pictures)
            idle = idle + 1 if decoded is None else 0
            found += [] if decoded is None else [decoded]
        assert len(found) == count, f"only {len(found)} of {count} pictures came"
        return found


@contextmanager
def reading(
    broker: KafkaBroker, topic: str, positions: dict[str, int] | None = None, **options: Any
) -> Iterator[Reading]:
    """A source that has been opened, and is closed in the end."""
    source = KafkaSource(
        KafkaOptions(servers=broker.bootstrap, topic=topic, **{"group": topic, "drain": "1s", **options})
    )
    stop = threading.Event()
    counted: Counter[str] = Counter()
    context = SourceContext(
        stream="cam",
        log=logging.getLogger("tests.kafka"),
        stopping=stop.is_set,
        count=lambda why, number=1: counted.update({why: number}),
    )
    try:
        info = source.open(context)
        if positions is not None:
            source.seek(positions)
        yield Reading(source, info, stop, counted)
    finally:
        source.close()


def send(broker: KafkaBroker, topic: str, *frames: Frame, encoding: Any = "png") -> None:
    """Through the frames sink."""
    sink = FramesSink(FramesOptions(servers=broker.bootstrap, topic=topic, encoding=encoding))
    sink.open(CONTEXT)
    sink.write(frames)
    sink.flush()
    sink.close()


@contextmanager
def producer(broker: KafkaBroker) -> Iterator[KafkaProducer]:
    """Somebody else's producer."""
    made = KafkaProducer(bootstrap_servers=broker.bootstrap)
    try:
        yield made
    finally:
        made.close()


def committed(broker: KafkaBroker, group: str) -> dict[str, int]:
    """What the group has committed, by partition."""
    admin = KafkaAdminClient(bootstrap_servers=broker.bootstrap)
    try:
        found = admin.list_group_offsets({group: None})[group]
    finally:
        admin.close()
    return {f"{part.topic}/{part.partition}": at.offset for part, at in found.items() if at.offset >= 0}


def offsets(decoded_frames: list[DecodedFrame]) -> list[int]:
    return [decoded.position.offset for decoded in decoded_frames if decoded.position]


def test_frames_of_the_frames_sink_come_back(kafka: KafkaBroker) -> None:
    topic = kafka.topic(partitions=3)
    sent = [frame(i, stream=name, captured_ns=10**18 + i) for i in range(4) for name in ("dock", "gate")]
    send(kafka, topic, *sent)
    with reading(kafka, topic) as source:
        decoded_frames = source.next(8)
        assert not source.info.live
    for name in ("dock", "gate"):
        mine = [decoded for decoded in decoded_frames if decoded.stream == name]
        originals = [one for one in sent if one.stream.name == name]
        assert [decoded.pts_ns for decoded in mine] == [one.pts_ns for one in originals]
        assert [decoded.captured_ns for decoded in mine] == [one.captured_ns for one in originals]
        assert [decoded.keyframe for decoded in mine] == [True, False, False, False]
        assert offsets(mine) == sorted(offsets(mine))
        for decoded, original in zip(mine, originals, strict=True):
            np.testing.assert_array_equal(decoded.picture.to_rgb(), original.rgb)


def test_foreign_pictures_get_the_records_time_and_key(kafka: KafkaBroker) -> None:
    import cv2

    topic = kafka.topic()
    jpeg = cv2.imencode(".jpg", np.full((20, 30, 3), 90, np.uint8))[1].tobytes()
    with producer(kafka) as other:
        other.send(topic, key=b"porch", value=jpeg, timestamp_ms=1_777_000_000_040)
        other.send(topic, value=jpeg, timestamp_ms=1_777_000_000_080)
        other.flush()
    with reading(kafka, topic) as source:
        first, second = source.next(2)
    assert (first.stream, second.stream) == ("porch", None)
    assert (first.pts_ns, second.pts_ns) == (1_777_000_000_040_000_000, 1_777_000_000_080_000_000)
    assert first.captured_ns is None
    assert (first.picture.width, first.picture.height) == (30, 20)


def test_unreadable_records_are_counted_and_skipped(kafka: KafkaBroker) -> None:
    import cv2

    topic = kafka.topic()
    png = cv2.imencode(".png", np.zeros((20, 30, 3), np.uint8))[1].tobytes()
    broken = bytearray(png)
    broken[20:40] = b"\0" * 20
    raw = [("encoding", b"raw"), ("width", b"4"), ("height", b"2")]
    with producer(kafka) as other:
        for value, headers in [
            (b"hello", []),
            (b"", []),
            (png[:-20], []),
            (bytes(broken), []),
            (png, [("pts_ns", b"soon")]),
            (png, [("encoding", b"webp")]),
            (png, [("stream", b"a\x07b")]),
            (b"\1" * 23, raw),
            (b"\1" * 24, [("encoding", b"raw")]),
        ]:
            other.send(topic, value=value, headers=headers)
        other.send(topic, value=b"\1" * 24, headers=raw)
        other.send(topic, value=png)
        other.flush()
    with reading(kafka, topic) as source:
        good = source.next(2)
    assert offsets(good) == [9, 10]
    assert source.counted == {"not_a_picture": 1, "empty": 1, "truncated": 2, "undecodable": 1, "bad_header": 4}


def test_it_goes_on_where_it_committed(kafka: KafkaBroker) -> None:
    topic = kafka.topic()
    send(kafka, topic, *(frame(i) for i in range(6)))
    with reading(kafka, topic) as source:
        assert offsets(source.next(4)) == [0, 1, 2, 3]
        source.source.commit({f"{topic}/0": 3})
    with reading(kafka, topic) as source:
        assert offsets(source.next(3)) == [3, 4, 5]


def test_without_a_commit_everything_comes_again(kafka: KafkaBroker) -> None:
    topic = kafka.topic()
    send(kafka, topic, *(frame(i) for i in range(3)))
    for _ in range(2):
        with reading(kafka, topic) as source:
            assert offsets(source.next(3)) == [0, 1, 2]


@pytest.mark.parametrize(("stored", "committed", "first"), [(4, 2, 4), (2, 4, 4), (3, None, 3)])
def test_stored_position_counts_unless_the_group_is_ahead(
    kafka: KafkaBroker, stored: int, committed: int | None, first: int
) -> None:
    topic = kafka.topic()
    send(kafka, topic, *(frame(i) for i in range(6)))
    if committed is not None:
        with reading(kafka, topic) as source:
            source.next(1)
            source.source.commit({f"{topic}/0": committed})
    with reading(kafka, topic, {f"{topic}/0": stored, "other/9": 7}) as source:
        assert offsets(source.next(1)) == [first]


def test_source_ends_at_the_topics_end_if_asked(kafka: KafkaBroker) -> None:
    topic = kafka.topic(partitions=4)
    send(kafka, topic, *(frame(i, stream=name) for i in range(5) for name in "abc"))
    with reading(kafka, topic, until="end") as source:
        decoded_frames = [decoded for decoded in source.pictures if decoded is not None]
        assert len(decoded_frames) == 15
        ends = Counter(decoded.position.partition for decoded in decoded_frames if decoded.position)
        source.source.commit(dict(ends))
    with reading(kafka, topic, until="end") as source:
        assert [decoded for decoded in source.pictures if decoded is not None] == []


def test_slow_reader_pauses_fetching_and_loses_nothing(kafka: KafkaBroker) -> None:
    topic = kafka.topic()
    count = 600
    send(kafka, topic, *(frame(i % 48) for i in range(count)), encoding="raw")
    with reading(kafka, topic, buffer_bytes=1 << 18) as source:
        got = offsets(source.next(1))
        poller = source.source._poller
        assert poller is not None
        for _ in range(20):  # let it poll on while nothing is taken
            threading.Event().wait(0.05)
        assert poller._buffered < (1 << 18) + 50 * (64 * 48 * 3 + 256)
        got += offsets(source.next(count - 1))
    assert got == list(range(count))


def test_stopping_ends_it_though_nothing_comes(kafka: KafkaBroker) -> None:
    topic = kafka.topic()
    with reading(kafka, topic) as source:
        assert next(source.pictures) is None
        source.stop.set()
        assert list(source.pictures) in ([], [None])


def run_reader(source: Reading, ready: threading.Event, got: list[DecodedFrame], commit: bool) -> Callable[[], None]:
    """A reader as the engine has it: takes pictures, and commits what it has taken whenever it gets to."""

    def read() -> None:
        for decoded in source.pictures:
            if decoded is not None:
                got.append(decoded)
                assert decoded.position is not None
                ready.set()
            positions = {s.position.partition: s.position.offset + 1 for s in list(got) if s.position}
            if commit and positions:
                source.source.commit(positions)

    return read


def test_moving_partition_is_committed_first(kafka: KafkaBroker) -> None:
    topic = kafka.topic(partitions=2)
    with producer(kafka) as other:
        jpeg_like = frame(0).rgb.tobytes()
        headers = [("encoding", b"raw"), ("width", b"64"), ("height", b"48")]
        for number in range(40):
            other.send(topic, value=jpeg_like, headers=headers, partition=number % 2)
        other.flush()
        with ExitStack() as stack:
            first, second = (stack.enter_context(reading(kafka, topic)) for _ in range(2))
            got: tuple[list[DecodedFrame], list[DecodedFrame]] = ([], [])
            ready = (threading.Event(), threading.Event())
            threads = [
                threading.Thread(target=run_reader(source, event, into, True))
                for source, event, into in zip((first, second), ready, got, strict=True)
            ]
            try:
                threads[0].start()
                assert ready[0].wait(30)
                threads[1].start()
                deadline = 300
                while not ready[1].wait(0.1) and deadline:
                    deadline -= 1
                    other.send(topic, value=jpeg_like, headers=headers, partition=0)
                    other.send(topic, value=jpeg_like, headers=headers, partition=1)
            finally:
                first.stop.set()
                second.stop.set()
                for thread in threads:
                    if thread.ident is not None:
                        thread.join()
    assert ready[1].is_set(), "the second member never got anything"
    places = [
        (decoded.position.partition, decoded.position.offset) for into in got for decoded in into if decoded.position
    ]
    assert len(places) == len(set(places))
    for part in (f"{topic}/0", f"{topic}/1"):
        mine = sorted(offset for name, offset in places if name == part)
        assert mine == list(range(len(mine)))


def shared_out(members: list[Reading], each: int) -> bool:
    """Whether every member comes to own so many partitions; none of which has anything to read."""
    for _ in range(TICKS // 4):
        pollers = [member.source._poller for member in members]
        if all(poller and len(poller._mine) == each for poller in pollers):
            return True
        assert all(next(member.pictures) is None for member in members)
    return False


def test_later_partitions_are_assigned_and_read(kafka: KafkaBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(poll, "_POLL_MS", 1)  # as if the broker were slow: each join outlasts some polls
    topic = kafka.topic(partitions=2)
    with reading(kafka, topic, session="4s") as one, reading(kafka, topic, session="4s") as two:
        assert shared_out([one, two], 1)
        admin = KafkaAdminClient(bootstrap_servers=kafka.bootstrap)
        admin.create_partitions({topic: 4})
        admin.close()
        for member in (one, two):  # they would ask every five minutes
            assert member.source._poller is not None
            member.source._poller._consumer._client.cluster.request_update()
        assert shared_out([one, two], 2)
        with producer(kafka) as other:
            headers = [("encoding", b"raw"), ("width", b"64"), ("height", b"48")]
            for part in range(4):
                other.send(topic, value=frame(0).rgb.tobytes(), headers=headers, partition=part)
            other.flush()
        got = {decoded.position.partition for member in (one, two) for decoded in member.next(2) if decoded.position}
        assert got == {f"{topic}/{part}" for part in range(4)}


def test_member_leaving_without_commit_leaves_everything(kafka: KafkaBroker) -> None:
    topic = kafka.topic(partitions=1)
    send(kafka, topic, frame(0), frame(1))
    with reading(kafka, topic) as slow:
        assert offsets(slow.next(2)) == [0, 1]
        # of two members one gets the only partition: the new one's name sorts either way, so the old one leaves
        with reading(kafka, topic) as other:
            assert next(other.pictures) is None
            slow.source.close()
            assert offsets(other.next(2)) == [0, 1]


def test_unfinished_frames_are_left_uncommitted_after_the_limit(
    kafka: KafkaBroker, caplog: pytest.LogCaptureFixture
) -> None:
    topic = kafka.topic(partitions=2)
    with producer(kafka) as other:
        headers = [("encoding", b"raw"), ("width", b"64"), ("height", b"48")]
        for number in range(20):
            other.send(topic, value=frame(0).rgb.tobytes(), headers=headers, partition=number % 2)
        other.flush()
    with reading(kafka, topic, drain="300ms") as slow:
        assert len(slow.next(20)) == 20  # and none of them is ever done
        assert not caplog.records
        with reading(kafka, topic) as fast:
            decoded_frames = fast.next(10)
            moved = {decoded.position.partition for decoded in decoded_frames if decoded.position}
            assert len(moved) == 1
            assert offsets(decoded_frames) == list(range(10))
            assert "partitions are revoked before all their frames are committed" in caplog.text
            slow.source.commit(dict.fromkeys(moved, 10))  # too late: it isn't this member's to commit any more
            assert committed(kafka, topic) == {}
            fast.source.commit(dict.fromkeys(moved, 10))
            assert committed(kafka, topic) == dict.fromkeys(moved, 10)


@pytest.mark.filterwarnings("error::ResourceWarning")
def test_closed_client_with_unsent_data_leaves_no_socket(kafka: KafkaBroker) -> None:
    client = connected(KafkaAdminClient, bootstrap_servers=kafka.bootstrap)
    client.list_topics()
    (connection,) = client._manager._conns.values()
    held = connection.transport._sock
    connection.transport._writing = True
    connection.transport._write_buffer.append(b"half a request")  # the loop has not got to it yet
    client.close()
    assert held.fileno() == -1


def transaction(topic: str, producer: KafkaProducer, numbers: range, *, commit: bool) -> None:
    headers = [("encoding", b"raw"), ("width", b"64"), ("height", b"48")]
    producer.begin_transaction()
    for _ in numbers:
        producer.send(topic, value=frame(0).rgb.tobytes(), headers=headers, partition=0)
    producer.flush()
    (producer.commit_transaction if commit else producer.abort_transaction)()


@pytest.mark.parametrize(
    ("last", "level", "wanted"),
    [
        (True, "read_committed", [0, 1, 2, 4, 5]),
        (True, "read_uncommitted", [0, 1, 2, 4, 5]),
        (False, "read_committed", [0, 1, 2]),
        (False, "read_uncommitted", [0, 1, 2, 4, 5]),
    ],
    ids=["committed", "committed, all", "aborted", "aborted, all"],
)
def test_topic_ending_in_a_transaction_mark_has_end(
    kafka: KafkaBroker, last: bool, level: str, wanted: list[int]
) -> None:
    topic = kafka.topic(partitions=1)
    sender = KafkaProducer(bootstrap_servers=kafka.bootstrap, transactional_id=f"of {topic}")
    try:
        sender.init_transactions()
        transaction(topic, sender, range(3), commit=True)  # its mark is at 3
        transaction(topic, sender, range(2), commit=last)  # and the last at 6
    finally:
        sender.close()
    for first in (0, wanted[-1] + 1):  # from the beginning, and with nothing but a mark left
        with reading(kafka, topic, {f"{topic}/0": first}, until="end", isolation_level=level) as source:
            decoded_frames = list(islice(source.pictures, TICKS))
            assert len(decoded_frames) < TICKS, "it waits for ever"
            assert offsets([decoded for decoded in decoded_frames if decoded]) == [at for at in wanted if at >= first]


def test_identity_is_the_topics_own(kafka: KafkaBroker) -> None:
    topic = kafka.topic()
    identities = []
    for again in range(2):
        with reading(kafka, topic) as source, reading(kafka, topic) as twin:
            assert source.info.identity == twin.info.identity
            identities.append(source.info.identity)
        if not again:
            admin = KafkaAdminClient(bootstrap_servers=kafka.bootstrap)
            admin.delete_topics([topic])
            while topic in admin.list_topics():
                threading.Event().wait(0.05)
            admin.create_topics({topic: {"num_partitions": 1, "replication_factor": 1}}, wait_for_metadata=True)
            admin.close()
    assert identities[0] != identities[1]


def test_a_missing_topic_is_an_error(kafka: KafkaBroker) -> None:
    with pytest.raises(SourceError, match="has no topic 'nowhere'") as caught, reading(kafka, "nowhere"):
        pass
    assert not isinstance(caught.value, SourceLost)


def test_a_broker_that_restarts_is_waited_for(own_kafka: KafkaBroker) -> None:
    topic = own_kafka.topic(flush_messages="1")
    send(own_kafka, topic, frame(0), frame(1))
    with reading(own_kafka, topic) as source:
        assert offsets(source.next(2)) == [0, 1]
        own_kafka.kill()
        assert next(source.pictures) is None
        own_kafka.start()
        send(own_kafka, topic, frame(2))
        assert offsets(source.next(1)) == [2]
        source.source.commit({f"{topic}/0": 3})
        own_kafka.stop()
    with pytest.raises(SourceLost, match="Kafka at"), reading(own_kafka, topic, timeout="1s"):
        pass
