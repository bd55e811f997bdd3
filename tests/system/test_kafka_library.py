"""A loop over a Kafka topic."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import streamproc
from streamproc import Record
from tests.servers.kafka import KafkaBroker
from tests.system.test_kafka_sinks import frame
from tests.system.test_kafka_source import send

FRAMES = 40


def number(record: Record) -> int:
    """Which frame it is, by the place of its bright square."""
    assert record.frame is not None
    return int(np.argmax(record.frame.rgb[16, :, 0] > 120))


def test_a_topic_is_read_to_its_end(kafka: KafkaBroker, tmp_path: Path) -> None:
    topic = kafka.topic()
    send(kafka, topic, *(frame(index) for index in range(FRAMES)))
    source = ("kafka", {"servers": kafka.bootstrap, "topic": topic, "group": topic, "until": "end"})
    records = [record for record in streamproc.run(source, ["motion"], state=tmp_path / "state") if record.is_frame]
    assert [record.index for record in records] == list(range(FRAMES))
    assert [record.stream.name for record in records] == ["dock"] * FRAMES


def test_a_loop_that_breaks_loses_no_record(kafka: KafkaBroker, tmp_path: Path) -> None:
    """The next loop goes on at the latest with the record that the first one was at."""
    topic = kafka.topic()
    send(kafka, topic, *(frame(index) for index in range(FRAMES)))
    source = ("kafka", {"servers": kafka.bootstrap, "topic": topic, "group": topic, "until": "end"})
    for record in streamproc.run(source, ["motion"], state=tmp_path / "state"):
        if number(record) == 4:
            break
    second = []
    for record in streamproc.run(source, ["motion"], state=tmp_path / "state"):
        if record.is_frame:
            second.append(number(record))
    assert second == list(range(second[0], FRAMES))
    assert second[0] <= 4
