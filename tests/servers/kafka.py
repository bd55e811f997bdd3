"""A real Kafka broker for tests: one KRaft node on loopback, its jars fetched once by Maven.

Needs Java 17 or newer and Maven. The jars (43 MB) are stored in the user's cache folder.
"""

from __future__ import annotations

import base64
import fcntl
import os
import re
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.machine import NO_JAVA, NO_MAVEN
from tests.servers.process import Server, free_ports, wait_for_port

POM = Path(__file__).with_name("kafka-pom.xml")
# one heap small enough for a shared machine; serial GC and the first compiler tier start fastest
JAVA = ("java", "-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dorg.apache.logging.log4j.level=WARN")
FETCH_LIMIT_S = 600
START_LIMIT_S = 60.0

SETTINGS = """\
process.roles=broker,controller
node.id=1
# a killed broker is forgotten soon, so that it may come back soon
broker.session.timeout.ms=1500
broker.heartbeat.interval.ms=300
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{broker},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{broker}
inter.broker.listener.name=PLAINTEXT
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs={data}
num.partitions=4
message.max.bytes=16777216
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
log.cleaner.dedupe.buffer.size=4194304
"""


class KafkaBroker:
    """One broker with its own data folder: start, stop, kill and start again over the same data."""

    def __init__(self, folder: Path, libs: Path) -> None:
        self.folder = folder
        self._libs = libs
        broker, controller = free_ports(2)
        self._port = broker
        self._settings = folder / "server.properties"
        self._settings.write_text(SETTINGS.format(broker=broker, controller=controller, data=folder / "data"))
        self._server: Server | None = None

    @property
    def bootstrap(self) -> str:
        """Its address as clients want it."""
        return f"127.0.0.1:{self._port}"

    def start(self) -> None:
        """Start it and wait until it takes connections."""
        if not (self.folder / "data").exists():
            self._java("kafka.tools.StorageTool", "format", "-t", _cluster_id(), "-c", str(self._settings))
        command = [*JAVA, "-cp", f"{self._libs}/*", "kafka.Kafka", str(self._settings)]
        self._server = Server(command, self.folder / "broker.log", cwd=self.folder)
        wait_for_port(self._server, self._port, START_LIMIT_S)

    def stop(self) -> None:
        """End it in good order."""
        if self._server is not None:
            self._server.terminate()
            self._server = None

    def kill(self) -> None:
        """End it as a power cut would (`kill -9`); `start` brings it back with the same data and address."""
        if self._server is not None:
            self._server.kill()
            self._server = None

    def topic(self, *, partitions: int = 1, prefix: str = "t", **settings: str) -> str:
        """Make a topic nobody else uses and give its name; `settings` such as max_message_bytes="16777216"."""
        from kafka import KafkaAdminClient

        name = f"{prefix}-{uuid.uuid4().hex[:12]}"
        configs = {key.replace("_", "."): value for key, value in settings.items()}
        admin = KafkaAdminClient(bootstrap_servers=self.bootstrap)
        try:
            wanted = {name: {"num_partitions": partitions, "replication_factor": 1, "configs": configs}}
            admin.create_topics(wanted, timeout_ms=20_000, wait_for_metadata=True)
        finally:
            admin.close()
        return name

    def _java(self, *arguments: str) -> None:
        command = [*JAVA, "-cp", f"{self._libs}/*", *arguments]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, timeout=120, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"{arguments[0]} ended with {done.returncode}:\n{done.stdout}{done.stderr}")


def _cluster_id() -> str:
    """16 random bytes; Kafka's own tool takes one that begins with a dash for an option."""
    return "k" + base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")[1:]


def java_version() -> int:
    """The major version of `java` on the path, 0 where there is none."""
    if shutil.which("java") is None:
        return 0
    text = subprocess.run(["java", "-version"], capture_output=True, text=True, timeout=60, check=False).stderr
    match = re.search(r'version "(\d+)', text)
    return int(match[1]) if match else 0


def fetched_libs() -> Path:
    """The folder with the broker's jars, fetched by Maven the first time."""
    version = re.search(r"<kafka.version>(.+)</kafka.version>", POM.read_text())
    assert version is not None, f"{POM} has lost its kafka.version"
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "streamproc-tests"
    libs = base / f"kafka-{version[1]}"
    if libs.is_dir():
        return libs
    base.mkdir(parents=True, exist_ok=True)
    with (base / "lock").open("w") as lock, tempfile.TemporaryDirectory(dir=base) as scratch:
        fcntl.flock(lock, fcntl.LOCK_EX)  # test workers start together, and Maven's own folder takes one at a time
        if libs.is_dir():
            return libs
        fresh = Path(scratch) / "libs"
        shutil.copy(POM, Path(scratch) / "pom.xml")
        command = ["mvn", "-q", "-B", "dependency:copy-dependencies", f"-DoutputDirectory={fresh}"]
        # runtime scope: most of Kafka's own modules are not compile dependencies of its core
        command.append("-DincludeScope=runtime")
        done = subprocess.run(command, cwd=scratch, capture_output=True, text=True, timeout=FETCH_LIMIT_S, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"Maven could not fetch the Kafka broker:\n{done.stdout}{done.stderr}")
        fresh.rename(libs)
    return libs


@pytest.fixture(scope="session")
def kafka_libs() -> Path:
    """The broker's jars, or a skip that says what is missing."""
    if java_version() < 17:
        pytest.skip(f"{NO_JAVA} on the path: install openjdk-17-jre-headless to test against a real Kafka broker")
    if shutil.which("mvn") is None:
        pytest.skip(f"{NO_MAVEN} on the path: install maven to test against a real Kafka broker")
    return fetched_libs()


@pytest.fixture(scope="session")
def kafka(kafka_libs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaBroker]:
    """A broker that all tests share: make a topic of your own, leave it running."""
    broker = KafkaBroker(tmp_path_factory.mktemp("kafka"), kafka_libs)
    with ExitStack() as stack:
        stack.callback(broker.stop)
        broker.start()
        yield broker


@pytest.fixture
def own_kafka(kafka_libs: Path, tmp_path: Path) -> Iterator[KafkaBroker]:
    """A broker of this test's own, to be killed and started again."""
    folder = tmp_path / "kafka"
    folder.mkdir()
    broker = KafkaBroker(folder, kafka_libs)
    with ExitStack() as stack:
        stack.callback(broker.stop)
        broker.start()
        yield broker
