"""A whole run over a Kafka topic: `kill -9` in the middle and a start again lose nothing and invent nothing."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from kafka import KafkaProducer

from tests.events import check_record
from tests.machine import REPOSITORY
from tests.servers.kafka import KafkaBroker
from tests.system.test_kafka_sinks import frame

FRAMES = 300

CONFIG = """\
version: 1
streams:
  cams:
    source:
      type: kafka
      options: {{servers: "{servers}", topic: {topic}, group: {group}, until: {until}, member: one}}
    chain: [visits]
    sinks: [log]
plugins:
  visits: {{type: "tests.system.kafka_visits:Visits"}}
sinks:
  log: {{type: jsonl, options: {{path: events.jsonl}}}}
runtime: {{state: state, commit: 200ms}}
"""


def configured(folder: Path, kafka: KafkaBroker, topic: str, until: str) -> list[str | Path]:
    """The command that runs it in `folder`."""
    folder.mkdir(exist_ok=True)
    config = folder / "run.yaml"
    group = f"{topic}-{folder.name}"
    config.write_text(CONFIG.format(servers=kafka.bootstrap, topic=topic, group=group, until=until))
    return [sys.executable, "-m", "streamproc", "run", config]


def environment() -> dict[str, str]:
    import os

    return {**os.environ, "PYTHONPATH": str(REPOSITORY)}


def run(folder: Path, command: list[str | Path]) -> None:
    """To its end."""
    done = subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def records(folder: Path) -> list[dict[str, Any]]:
    path = folder / "events.jsonl"
    lines = path.read_text().splitlines(keepends=True) if path.exists() else []
    return [json.loads(line) for line in lines if line.endswith("\n")]


def in_order(found: list[dict[str, Any]]) -> dict[str, list[Any]]:
    """By stream: each event once, at its first place."""
    streams: dict[str, dict[str, Any]] = {}
    for record in found:
        streams.setdefault(record["data"]["stream"], {}).setdefault(record["id"], record)
    return {name: list(once.values()) for name, once in streams.items()}


def send(producer: KafkaProducer, topic: str, numbers: range) -> None:
    value = frame(0).rgb.tobytes()
    for number in numbers:
        for stream in ("dock", "gate"):
            headers = {"stream": stream, "pts_ns": number * 40_000_000, "encoding": "raw", "width": 64, "height": 48}
            pairs = [(name, str(text).encode()) for name, text in headers.items()]
            producer.send(topic, key=stream.encode(), value=value, headers=pairs)
    producer.flush(timeout=30)


def test_restart_after_kill_gives_the_same_events(kafka: KafkaBroker, tmp_path: Path) -> None:
    topic = kafka.topic(partitions=2)
    producer = KafkaProducer(bootstrap_servers=kafka.bootstrap)
    send(producer, topic, range(FRAMES // 2))

    command = configured(tmp_path / "killed", kafka, topic, "stopped")
    child = subprocess.Popen(
        command, cwd=tmp_path / "killed", env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        give_up = time.monotonic() + 60
        while len(records(tmp_path / "killed")) < 20 and time.monotonic() < give_up:
            assert child.poll() is None, "the run ended before it was killed"
            time.sleep(0.02)
        send(producer, topic, range(FRAMES // 2, FRAMES))
    finally:
        child.kill()
        child.wait()
    producer.close()
    before = records(tmp_path / "killed")
    assert len(before) >= 20

    run(tmp_path / "killed", configured(tmp_path / "killed", kafka, topic, "end"))
    run(tmp_path / "straight", configured(tmp_path / "straight", kafka, topic, "end"))
    straight = records(tmp_path / "straight")
    assert len(straight) == len({record["id"] for record in straight}) == 80
    wanted, got = in_order(straight), in_order(records(tmp_path / "killed"))
    for stream in ("dock", "gate"):
        assert [record["id"] for record in got[stream]] == [record["id"] for record in wanted[stream]]
    assert got == wanted
    for record in straight:
        check_record(record)
