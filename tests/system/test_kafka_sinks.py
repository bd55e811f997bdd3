"""The sinks to Kafka against a real broker."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kafka import KafkaConsumer, TopicPartition

from streamproc import FramePlugin, Options, Output, Results
from streamproc.config.plan import SinkPlan
from streamproc.engine import Engine
from streamproc.errors import SinkBusy, SinkError
from streamproc.events import Event
from streamproc.frames import ArrayPicture, Frame, PixelCache, StreamInfo
from streamproc.kafka.producing import ProducerOptions
from streamproc.media.wire import read_label, read_picture
from streamproc.sink import SinkContext
from streamproc.sinks.frames import FramesOptions, FramesSink
from streamproc.sinks.kafka import KafkaSink
from streamproc.testing import make_frames, make_plan, plugin_plan
from tests.servers.kafka import KafkaBroker

CONTEXT = SinkContext(name="out", log=logging.getLogger("tests.kafka"))


def made(number: int, stream: str = "dock", **data: Any) -> Event:
    """An event at second `number`."""
    event = Event(
        type="zone.entered",
        phase="instant",
        start_ns=number * 10**9,
        end_ns=number * 10**9,
        frame_index=number,
        pts_ns=number * 10**9,
        episode=f"e{number}",
        data=data,
    )
    return event.stamped(StreamInfo(name=stream, identity="abc", width=64, height=48), "fence", 0)


def frame(index: int, *, stream: str = "dock", captured_ns: int | None = None) -> Frame:
    """A picture with a bright square whose place encodes the index."""
    rgb = np.full((48, 64, 3), 40, np.uint8)
    rgb[8:24, index : index + 16] = (200, 60, 30)
    return Frame(
        stream=StreamInfo(name=stream, identity="abc", width=64, height=48),
        index=index,
        pts_ns=index * 40_000_000,
        pixels=PixelCache(ArrayPicture(rgb)),
        captured_ns=captured_ns,
        keyframe=index == 0,
    )


def records(broker: KafkaBroker, topic: str) -> list[Any]:
    """All records of a topic, by partition and offset."""
    consumer = KafkaConsumer(bootstrap_servers=broker.bootstrap, auto_offset_reset="earliest")
    try:
        parts = [TopicPartition(topic, part) for part in sorted(consumer.partitions_for_topic(topic) or ())]
        consumer.assign(parts)
        ends = consumer.end_offsets(parts)
        found: dict[TopicPartition, list[Any]] = {part: [] for part in parts}
        while any(consumer.position(part) < ends[part] for part in parts):
            for part, batch in consumer.poll(timeout_ms=500).items():
                found[part] += batch
        return [record for part in parts for record in found[part]]
    finally:
        consumer.close()


def deliver(sink: KafkaSink, *events: Event) -> None:
    """Write and flush."""
    sink.write(events)
    sink.flush()


def test_event_is_a_cloudevent_keyed_by_stream(kafka: KafkaBroker) -> None:
    topic = kafka.topic(partitions=4)
    events = [made(1, label="person"), made(2, "gate"), made(3), made(4, "gate")]
    sink = KafkaSink(ProducerOptions(servers=kafka.bootstrap, topic=topic))
    sink.open(CONTEXT)
    deliver(sink, *events)
    sink.close()
    found = records(kafka, topic)
    for stream in ("dock", "gate"):
        mine = [record for record in found if record.key == stream.encode()]
        assert len({record.partition for record in mine}) == 1
        assert [json.loads(record.value) for record in mine] == [e.to_json() for e in events if e.stream == stream]
    headers = dict(found[0].headers)
    assert headers["content-type"] == b"application/cloudevents+json; charset=UTF-8"
    assert headers["event-id"].decode() == json.loads(found[0].value)["id"]


def test_absent_broker_delays_and_loses_nothing(own_kafka: KafkaBroker) -> None:
    topic = own_kafka.topic()
    sink = KafkaSink(ProducerOptions(servers=own_kafka.bootstrap, topic=topic, timeout="2s"))
    sink.open(CONTEXT)
    deliver(sink, made(1))
    own_kafka.kill()
    with pytest.raises(SinkBusy, match=topic):
        deliver(sink, made(2), made(3))
    with pytest.raises(SinkBusy, match=rf"^Kafka at {own_kafka.bootstrap}, topic {topic}: [^;]+$"):
        sink.write([made(2), made(3)])
    own_kafka.start()
    deliver(sink, made(2), made(3))
    sink.close()
    ids = [json.loads(record.value)["id"] for record in records(own_kafka, topic)]
    assert list(dict.fromkeys(ids)) == [made(number).id for number in (1, 2, 3)]


def test_message_the_broker_refuses_is_an_error(kafka: KafkaBroker) -> None:
    topic = kafka.topic(max_message_bytes="2000")
    sink = KafkaSink(ProducerOptions(servers=kafka.bootstrap, topic=topic))
    sink.open(CONTEXT)
    with pytest.raises(SinkError, match="MessageSizeTooLarge") as caught:
        deliver(sink, made(1, note="x" * 10_000))
    assert not isinstance(caught.value, SinkBusy)
    deliver(sink, made(2))
    sink.close()
    assert len(records(kafka, topic)) == 1


class Long(FramePlugin[Options]):
    """Emits an event a frame; the one of frame 2 is longer than the topic takes."""

    def process(self, frame: Frame, past: Results) -> Output:
        yield Event.instant(frame, "long.seen", n=frame.index, note="x" * (10_000 if frame.index == 2 else 1))


def test_message_the_broker_refuses_is_set_aside(kafka: KafkaBroker, tmp_path: Path) -> None:
    topic = kafka.topic(max_message_bytes="2000")
    options = ProducerOptions(servers=kafka.bootstrap, topic=topic)
    plan = make_plan([plugin_plan(Long)], make_frames(6), state=tmp_path)
    plan = replace(plan, streams=(replace(plan.streams[0], sinks=("out",)),))
    report = Engine(replace(plan, sinks=(SinkPlan(name="out", cls=KafkaSink, options=options),))).run()
    arrived = [json.loads(record.value)["data"]["n"] for record in records(kafka, topic)]
    assert sorted(set(arrived)) == [0, 1, 3, 4, 5]
    (sink,) = report.sinks
    assert (sink.delivered, sink.refused, sink.undelivered) == (5, 1, 0)
    (line,) = (tmp_path / "dead_letters.jsonl").read_text().splitlines()
    assert json.loads(line)["record"]["data"]["n"] == 2
    assert "MessageSizeTooLarge" in json.loads(line)["reason"]


@pytest.mark.parametrize(("encoding", "tolerance"), [("raw", 0), ("png", 0), ("jpeg", 25)])
def test_frames_arrive_with_their_time_and_pixels(kafka: KafkaBroker, encoding: Any, tolerance: int) -> None:
    topic = kafka.topic()
    frames = [frame(0, captured_ns=1_777_000_000_123_456_789), frame(1)]
    sink = FramesSink(FramesOptions(servers=kafka.bootstrap, topic=topic, encoding=encoding))
    sink.open(CONTEXT)
    sink.write(frames)
    sink.flush()
    sink.close()
    found = records(kafka, topic)
    labels = [read_label(record.headers) for record in found]
    assert [label.stream for label in labels] == ["dock", "dock"]
    assert [label.pts_ns for label in labels] == [0, 40_000_000]
    assert [label.captured_ns for label in labels] == [1_777_000_000_123_456_789, None]
    assert [label.index for label in labels] == [0, 1]
    assert [label.keyframe for label in labels] == [True, False]
    for record, label, original in zip(found, labels, frames, strict=True):
        got = read_picture(record.value, label).to_rgb().astype(int)
        assert np.abs(got - original.rgb).mean() <= tolerance / 5
        assert np.abs(got[12:20, original.index + 4 : original.index + 12] - (200, 60, 30)).max() <= tolerance
