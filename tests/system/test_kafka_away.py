"""A run over Kafka while brokers come and go, and where another worker has been before."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from streamproc.config.load import load_text
from streamproc.engine import Engine, RunReport
from streamproc.engine.exporter import EngineCollector
from streamproc.events import Event
from streamproc.testing import ListSink
from tests.engine.running import listed, run_engine
from tests.servers.kafka import KafkaBroker
from tests.system.test_kafka_sinks import frame
from tests.system.test_kafka_source import reading, send

PATIENCE_S = 60

CONFIG = """\
version: 1
streams:
  cams:
    source:
      type: kafka
      options: {{servers: "{servers}", topic: {topic}, group: {group}, until: {until}, timeout: 1s}}
    reconnect: 50ms
    chain: [visits]
plugins:
  visits: {{type: "tests.system.kafka_visits:Visits"}}
runtime: {{state: "{state}", commit: 100ms}}
"""


def engine_of(kafka: KafkaBroker, topic: str, state: Path, group: str, until: str) -> tuple[Engine, ListSink]:
    plan = load_text(CONFIG.format(servers=kafka.bootstrap, topic=topic, group=group, until=until, state=state))
    listing = listed()
    return Engine(plan, extra=[listing]), listing[1]


def to_the_end(kafka: KafkaBroker, topic: str, state: Path, group: str) -> tuple[RunReport, list[Event]]:
    engine, sink = engine_of(kafka, topic, state, group, "end")
    return run_engine(engine), sink.events


class Heard(logging.Handler):
    """Knows when a warning with certain words was logged."""

    def __init__(self, words: str) -> None:
        super().__init__(logging.WARNING)
        self._words = words
        self.came = threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        if self._words in record.getMessage():
            self.came.set()


@contextmanager
def hearing(words: str) -> Iterator[threading.Event]:
    handler = Heard(words)
    logger = logging.getLogger("streamproc")
    logger.addHandler(handler)
    try:
        yield handler.came
    finally:
        logger.removeHandler(handler)


def await_frames(engine: Engine, count: int) -> None:
    """Until so many frames came out of the chain."""
    give_up = time.monotonic() + PATIENCE_S
    while sum(run.ledger.page().total("processed") for run in engine.live_streams()) < count:
        assert time.monotonic() < give_up, f"{count} frames never came"
        time.sleep(0.02)


def up(engine: Engine) -> float:
    """What `streamproc_source_up` says now."""
    families = {family.name: family for family in EngineCollector(engine).collect()}
    return max(sample.value for sample in families["streamproc_source_up"].samples)


def await_up(engine: Engine, wanted: int) -> None:
    """Until `streamproc_source_up` is so."""
    give_up = time.monotonic() + PATIENCE_S
    while up(engine) != wanted:
        assert time.monotonic() < give_up, f"streamproc_source_up never became {wanted}"
        time.sleep(0.02)


def test_absent_broker_is_awaited_and_stopping_ends_it(own_kafka: KafkaBroker, tmp_path: Path) -> None:
    topic = own_kafka.topic(flush_messages="1")
    send(own_kafka, topic, *(frame(i) for i in range(8)))
    own_kafka.kill()
    engine, sink = engine_of(own_kafka, topic, tmp_path / "state", topic, "stopped")

    def meanwhile(engine: Engine) -> None:
        with hearing("source lost") as lost:
            assert lost.wait(PATIENCE_S), "nobody said that the broker is away"
        own_kafka.start()
        await_frames(engine, 8)
        await_up(engine, 1)
        own_kafka.kill()
        await_up(engine, 0)
        own_kafka.start()
        await_up(engine, 1)
        send(own_kafka, topic, *(frame(i) for i in range(8, 20)))
        await_frames(engine, 20)
        own_kafka.kill()
        engine.stop()

    report = run_engine(engine, meanwhile)
    assert not report.streams[0].error
    assert report.streams[0].reconnects > 0
    # the number of the visit and of the frame, over all that happened: no frame was missed or came twice
    emitted = [(event.phase, event.data["number"], event.frame_index) for event in sink.events]
    assert emitted == [("start", 0, 0), ("end", 0, 10), ("start", 1, 15)]


def test_stopping_ends_a_run_without_broker(own_kafka: KafkaBroker, tmp_path: Path) -> None:
    own_kafka.kill()
    engine, sink = engine_of(own_kafka, "frames", tmp_path / "state", "g", "stopped")

    def meanwhile(engine: Engine) -> None:
        with hearing("source lost") as lost:
            assert lost.wait(PATIENCE_S), "nobody said that the broker is away"
        engine.stop()

    run_engine(engine, meanwhile)
    assert sink.events == []


@pytest.mark.parametrize("stale", [False, True], ids=["without a state", "with an old state"])
def test_ids_are_new_where_another_worker_has_been(kafka: KafkaBroker, tmp_path: Path, stale: bool) -> None:
    topic = kafka.topic()
    state = tmp_path / "state"
    send(kafka, topic, *(frame(i) for i in range(20)))
    _, first = to_the_end(kafka, topic, state, "ours")
    send(kafka, topic, *(frame(i) for i in range(20, 40)))
    _, theirs = to_the_end(kafka, topic, tmp_path / "theirs", "others")
    with reading(kafka, topic, group="ours") as source:  # another member of the group took over and came that far
        source.next(1)
        source.source.commit({f"{topic}/0": 40})
    send(kafka, topic, *(frame(i % 48) for i in range(40, 60)))
    _, last = to_the_end(kafka, topic, state if stale else tmp_path / "fresh", "ours")
    assert [event.frame_index for event in theirs] == [0, 10, 15, 25, 30]
    assert {event.id for event in first} <= {event.id for event in theirs}
    assert last
    assert min(event.frame_index for event in last) >= 40
    assert not {event.id for event in last} & {event.id for event in theirs}
