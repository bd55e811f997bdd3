"""The golden configurations, and how each is run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.golden.pictures import write_folders
from tests.machine import REPOSITORY
from tests.servers.kafka import KafkaBroker

HERE = Path(__file__).parent
PATIENCE_S = 120
ACTION = "streams.tape.source.options.action"
AT = "streams.tape.source.options.at"


@dataclass(frozen=True)
class Run:
    """One call of `streamproc run`: what it sets, and the exit code it has to give."""

    sets: tuple[str, ...] = ()
    exit_code: int = 0


@dataclass(frozen=True)
class Case:
    """A configuration and the runs over the same folder after which its events are complete."""

    name: str
    runs: tuple[Run, ...] = field(default=(Run(),))
    by_stream: bool = False
    """whether its streams are announced by its source, so that no order is promised between them"""
    workers: tuple[int, ...] = (1, 4)
    """numbers of workers that must give the same events"""

    @property
    def golden(self) -> Path:
        """The file with its events."""
        return HERE / f"{self.name}.jsonl"


CASES = (
    Case("merged"),
    Case("clips"),
    Case("stages"),
    Case("failing", (Run(exit_code=4),)),
    Case("hanging", (Run(exit_code=4),)),
    Case(
        "restarted",
        (
            Run((f"{ACTION}=kill", f"{AT}=25"), -signal.SIGKILL),
            Run((f"{ACTION}=stop", f"{AT}=50"), 130),
            Run(),
        ),
        by_stream=True,
    ),
    Case("street"),
)
KAFKA = Case("kafka", by_stream=True)


def make_pictures(root: Path) -> Path:
    """Write the pictures that all cases read; the folder that holds them."""
    write_folders(root / "pictures")
    return root / "pictures"


def play(case: Case, folder: Path, pictures: Path, workers: int, **environment: str) -> str:
    """Run a case in a new folder; its events, as they stand in the golden file."""
    folder.mkdir(parents=True)
    (folder / "pictures").symlink_to(pictures)
    for run in case.runs:
        _run(case.name, folder, run, workers, environment)
    text = (folder / "events.jsonl").read_text()
    return ordered(text.splitlines(keepends=True)) if case.by_stream else text


def play_kafka(broker: KafkaBroker, folder: Path, pictures: Path, workers: int) -> tuple[str, str]:
    """Send the pictures through the broker; the events of the file, and those of the topic."""
    topics = {"PICTURES": broker.topic(partitions=2), "ALERTS": broker.topic()}
    environment = {"BROKER": broker.bootstrap, **topics}
    sender = Case("kafka_pictures")
    (folder / "sender").mkdir(parents=True)
    (folder / "sender" / "pictures").symlink_to(pictures)
    _run(sender.name, folder / "sender", Run(), workers, environment)
    text = play(KAFKA, folder / "run", pictures, workers, **environment)
    return text, ordered(_values(broker, topics["ALERTS"]))


def ordered(lines: Iterable[str]) -> str:
    """Each event once, by stream, in the order of its first place; a repeated one must have the same bytes."""
    streams: dict[str, dict[str, str]] = {}
    for line in lines:
        event = json.loads(line)
        first = streams.setdefault(event["data"]["stream"], {}).setdefault(event["id"], line)
        assert first == line, f"event {event['id']} came again with other bytes:\n{first}{line}"
    return "".join(line for stream in sorted(streams) for line in streams[stream].values())


def _run(name: str, folder: Path, run: Run, workers: int, environment: dict[str, str]) -> None:
    words = [f"--set={item}" for item in (f"runtime.workers={workers}", *run.sets)]
    (folder / "run.yaml").write_text((HERE / f"{name}.yaml").read_text())
    done = subprocess.run(
        [sys.executable, "-m", "streamproc", "run", "run.yaml", *words],
        cwd=folder, env={**_environment(), **environment}, capture_output=True, text=True, timeout=PATIENCE_S,
        check=False,
    )  # fmt: skip
    assert done.returncode == run.exit_code, f"{name} ended with {done.returncode}:\n{done.stdout}{done.stderr}"


def _environment() -> dict[str, str]:
    """No setting of whoever runs it; the tests' own plugins can be imported."""
    plain = {key: value for key, value in os.environ.items() if not key.startswith("STREAMPROC_")}
    places = [str(REPOSITORY), str(REPOSITORY / "plugins"), *plain.get("PYTHONPATH", "").split(os.pathsep)]
    return {**plain, "PYTHONPATH": os.pathsep.join(filter(None, places))}


def _values(broker: KafkaBroker, topic: str) -> Iterator[str]:
    """What a topic of one partition holds, as lines."""
    from kafka import KafkaConsumer, TopicPartition

    consumer = KafkaConsumer(bootstrap_servers=broker.bootstrap, auto_offset_reset="earliest")
    try:
        place = TopicPartition(topic, 0)
        consumer.assign([place])
        end = consumer.end_offsets([place])[place]
        while consumer.position(place) < end:
            for records in consumer.poll(timeout_ms=1000).values():
                yield from (record.value.decode() + "\n" for record in records)
    finally:
        consumer.close()
