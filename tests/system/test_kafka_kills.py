"""`kill -9` in the middle of a topic, late and more than once, with trackers and open episodes on the way."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from kafka import KafkaAdminClient, KafkaProducer, TopicPartition
from kafka.errors import RetriableError

from tests.events import check_record
from tests.servers.kafka import KafkaBroker
from tests.system.test_kafka_run import environment, run

FRAMES = 150
"""of each stream"""
STREAMS = ("dock", "gate")
"""the first in partition 0, the second in partition 1, so that a frame's offset is its number"""
AHEAD = 30
"""how many frames the topic is ahead of what is committed: the kills come while there is work"""
PATIENCE_S = 60

CONFIG = """\
version: 1
streams:
  cams:
    source:
      type: kafka
      options: {{servers: "{servers}", topic: {topic}, group: {group}, until: {until}, member: one}}
    chain: [squares, tracks, fence]
    sinks: [log, late]
plugins:
  squares: {{type: "tests.system.kafka_visits:Squares"}}
  tracks: {{type: tracking}}
  fence:
    type: rules
    options:
      zones:
        yard: {{polygon: [[0.5, 0], [1, 0], [1, 1], [0.5, 1]], dwell: 1s}}
        everywhere: {{polygon: [[0, 0], [1, 0], [1, 1], [0, 1]]}}  # an episode from the first frames to the last
      lines: {{middle: {{points: [[0.5, 0], [0.5, 1]]}}}}
sinks:
  log: {{type: jsonl, options: {{path: events.jsonl}}}}
  late: {{type: "tests.system.kafka_visits:LateLog"}}
runtime: {{state: state, commit: 100ms}}
"""


def configured(folder: Path, kafka: KafkaBroker, topic: str, until: str) -> list[str | Path]:
    """The command that runs it in `folder`; the folder's name is the group."""
    folder.mkdir(exist_ok=True)
    config = folder / "run.yaml"
    config.write_text(CONFIG.format(servers=kafka.bootstrap, topic=topic, group=f"{topic}-{folder.name}", until=until))
    return [sys.executable, "-m", "streamproc", "run", config]


def picture(stream: str, number: int) -> bytes:
    """A square that walks to and fro between left and right, in the two streams at different times."""
    rgb = np.full((48, 96, 3), 40, np.uint8)
    phase = (number + 20 * STREAMS.index(stream)) % 60
    x = 2 * (phase if phase < 30 else 60 - phase) + 8
    rgb[16:36, x : x + 16] = 220
    return rgb.tobytes()


class Belt:
    """Sends the frames of both streams, at ten a second of their own time."""

    def __init__(self, kafka: KafkaBroker, topic: str) -> None:
        self._producer = KafkaProducer(bootstrap_servers=kafka.bootstrap)
        self._topic = topic
        self.sent = 0

    def send_upto(self, number: int) -> None:
        for index in range(self.sent, min(number, FRAMES)):
            for part, stream in enumerate(STREAMS):
                about = {"stream": stream, "pts_ns": index * 100_000_000, "encoding": "raw", "width": 96, "height": 48}
                headers = [(name, str(value).encode()) for name, value in about.items()]
                self._producer.send(self._topic, value=picture(stream, index), headers=headers, partition=part)
        self._producer.flush(timeout=30)
        self.sent = max(self.sent, min(number, FRAMES))

    def close(self) -> None:
        self._producer.close()


@dataclass(frozen=True)
class Kill:
    """What was there when a run was killed."""

    committed: dict[str, int]
    """by stream: the group's offset at the broker"""
    lines: list[str]
    """whole lines of the event file"""
    late_lines: list[str]
    """of that of the sink that is slow to flush"""


@contextmanager
def admin_of(kafka: KafkaBroker) -> Iterator[KafkaAdminClient]:
    admin = KafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    try:
        yield admin
    finally:
        admin.close()


def committed(admin: KafkaAdminClient, topic: str, group: str) -> dict[str, int]:
    """The group's offsets by stream, 0 where it has none."""
    try:
        found = admin.list_group_offsets({group: None})[group]
    except RetriableError:  # a broker that has just started is still making room for offsets
        found = {}
    places = {stream: found.get(TopicPartition(topic, part)) for part, stream in enumerate(STREAMS)}
    return {stream: 0 if place is None else max(0, place.offset) for stream, place in places.items()}


def whole_lines(folder: Path, name: str = "events.jsonl") -> list[str]:
    path = folder / name
    return [line for line in path.read_text().splitlines(True) if line.endswith("\n")] if path.exists() else []


def run_until(command: list[str | Path], folder: Path, kafka: KafkaBroker, topic: str, belt: Belt, place: int) -> Kill:
    """Start it, feed it, and kill it once every stream is committed up to `place`."""
    group = f"{topic}-{folder.name}"
    with admin_of(kafka) as admin, (folder / "run.log").open("a") as log:
        child = subprocess.Popen(command, cwd=folder, env=environment(), stdout=log, stderr=log)
        try:
            give_up = time.monotonic() + PATIENCE_S
            while min((done := committed(admin, topic, group)).values()) < place:
                assert child.poll() is None, f"it ended by itself: {(folder / 'run.log').read_text()}"
                assert time.monotonic() < give_up, f"only {done} of {place}: {(folder / 'run.log').read_text()}"
                belt.send_upto(min(done.values()) + AHEAD)
                time.sleep(0.01)
            belt.send_upto(belt.sent + AHEAD)
        finally:
            child.kill()
            child.wait()
        return Kill(committed(admin, topic, group), whole_lines(folder), whole_lines(folder, "late.jsonl"))


def by_id(lines: list[str]) -> dict[str, str]:
    """Each record once; a record that comes again must be the same to the byte."""
    found: dict[str, str] = {}
    for line in lines:
        name = json.loads(line)["id"]
        assert found.setdefault(name, line) == line, "a repeated event isn't the same"
    return found


def about(line: str) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(line)["data"]
    return data


def open_episodes(lines: list[str]) -> set[tuple[str, str]]:
    """(stream, episode) of what has begun and not ended."""
    places: dict[tuple[str, str], set[str]] = {}
    for line in lines:
        data = about(line)
        places.setdefault((data["stream"], data["episode"]), set()).add(data["phase"])
    return {episode for episode, phases in places.items() if "start" in phases and "end" not in phases}


def test_two_kills_lose_and_invent_no_event(kafka: KafkaBroker, tmp_path: Path) -> None:
    topic = kafka.topic(partitions=2)
    belt = Belt(kafka, topic)
    folder = tmp_path / "killed"
    command = configured(folder, kafka, topic, "stopped")
    try:
        belt.send_upto(AHEAD)
        kills = [run_until(command, folder, kafka, topic, belt, place) for place in (FRAMES // 3, 2 * FRAMES // 3)]
        belt.send_upto(FRAMES)
    finally:
        belt.close()
    run(folder, configured(folder, kafka, topic, "end"))
    run(tmp_path / "straight", configured(tmp_path / "straight", kafka, topic, "end"))

    straight = whole_lines(tmp_path / "straight")
    wanted, final = by_id(straight), whole_lines(folder)
    assert len(wanted) == len(straight)
    assert {about(line)["stream"] for line in straight} == set(STREAMS)
    assert by_id(final) == by_id(whole_lines(folder, "late.jsonl")) == wanted
    for line in straight:
        check_record(json.loads(line))

    for kill, following in zip(kills, [*(kill.lines for kill in kills[1:]), final], strict=True):
        assert max(kill.committed.values()) < FRAMES, "it was killed too late to show anything"
        due = {name for name, line in wanted.items() if about(line)["frame"] < kill.committed[about(line)["stream"]]}
        for lines in (kill.lines, kill.late_lines):
            assert due <= set(by_id(lines)), "an offset was committed ahead of the events before it"
        spanning = open_episodes(list(by_id(kill.lines).values()))
        assert spanning, "no episode was open"
        # the next run began where this one had committed, and said nothing of what was before
        for line in following[len(kill.lines) :]:
            assert about(line)["frame"] >= kill.committed[about(line)["stream"]]
