"""What every test gets: a clean environment, and an eye on errors logged and threads left behind."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from streamproc.secrets import forget
from tests.machine import NO_SHARED, SHARED

pytest_plugins = ("tests.skips", "tests.servers.kafka", "tests.servers.rtsp")

GRACE_S = 5.0
"""longest time for a stopped thread to end before it counts as left behind"""


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "logs_errors: records at ERROR are part of what this test is about")
    config.addinivalue_line("markers", "leaves_threads: this test abandons a thread on purpose")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with real nets, footage and data; the test is skipped where it isn't there."""
    if not (SHARED / "models").is_dir():
        pytest.skip(f"{NO_SHARED}: set STREAMPROC_SHARED to the folder that holds models/ and media/")
    return SHARED


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of whoever runs the tests reaches them."""
    for name in [name for name in os.environ if name.startswith("STREAMPROC_")]:
        monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def _no_secrets_left() -> Iterator[None]:
    """The passwords of one test's configuration mask nothing in the next."""
    yield
    forget()


class _ErrorKeeper(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.logged: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        # kafka-python logs each lost connection at ERROR, and repairs it itself
        if not record.name.startswith("kafka."):
            self.logged.append(f"{record.name}: {record.getMessage()}")


@pytest.fixture(autouse=True)
def _no_errors_logged(request: pytest.FixtureRequest) -> Iterator[None]:
    """A record at ERROR fails the test unless it is marked `logs_errors`."""
    keeper = _ErrorKeeper()
    root = logging.getLogger()
    root.addHandler(keeper)
    try:
        yield
    finally:
        root.removeHandler(keeper)
    if keeper.logged and request.node.get_closest_marker("logs_errors") is None:
        pytest.fail(
            "errors were logged (mark the test `logs_errors` if it is about them):\n" + "\n".join(keeper.logged)
        )


@pytest.fixture(autouse=True)
def _no_threads_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """Threads that a test started have ended when it ends, unless it is marked `leaves_threads`."""
    before = set(threading.enumerate())
    yield
    if request.node.get_closest_marker("leaves_threads") is not None:
        return
    started = [thread for thread in threading.enumerate() if thread not in before]
    for thread in started:
        thread.join(GRACE_S)
    left = [repr(thread) for thread in started if thread.is_alive()]
    if left:
        pytest.fail("threads are still alive at the end of the test:\n" + "\n".join(left))
