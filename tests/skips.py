"""Skips have to be earned: with `--strict-skips` one that this machine gives no reason for fails the run."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.machine import NO_BROWSER, NO_CAMERA, NO_JAVA, NO_MAVEN, NO_RTSP_SERVER, NO_SHARED, SHARED

TRULY: dict[str, Callable[[], bool]] = {
    NO_SHARED: lambda: not (SHARED / "models").is_dir(),
    NO_CAMERA: lambda: not list(Path("/dev").glob("video*")),
    NO_BROWSER: lambda: not _has_browser_package(),
    # `make test` installs these on Debian and Ubuntu, so only elsewhere are they a reason
    NO_RTSP_SERVER: lambda: shutil.which("apt-get") is None,
    NO_JAVA: lambda: shutil.which("apt-get") is None and shutil.which("java") is None,
    NO_MAVEN: lambda: shutil.which("apt-get") is None and shutil.which("mvn") is None,
}
"""reasons that a machine may really give, and how to see that it does"""

_undue: list[str] = []


def _has_browser_package() -> bool:
    """Debian has one that `make test` installs; Ubuntu's is a snap, which containers can't run."""
    release = Path("/etc/os-release")
    return release.is_file() and "\nID=debian\n" in f"\n{release.read_text()}\n"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--strict-skips", action="store_true", help="fail if a test is skipped for a reason this machine doesn't give"
    )


def due(reason: str) -> bool:
    """Whether this machine really lacks what the reason of a skip says it lacks."""
    return any(reason.startswith(known) and truly() for known, truly in TRULY.items())


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.skipped and not hasattr(report, "wasxfail"):
        _note(report.nodeid, report.longrepr)


def pytest_collectreport(report: pytest.CollectReport) -> None:
    if report.skipped:
        _note(report.nodeid, report.longrepr)


def _note(nodeid: str, longrepr: object) -> None:
    text = str(longrepr[2]) if isinstance(longrepr, tuple) else str(longrepr)
    reason = text.removeprefix("Skipped: ")
    if not due(reason):
        _undue.append(f"{nodeid}: {reason}")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    if session.config.getoption("--strict-skips") and _undue and session.exitstatus == 0:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if _undue and config.getoption("--strict-skips"):
        terminalreporter.section(f"{len(_undue)} skips that this machine gives no reason for", red=True)
        for line in _undue:
            terminalreporter.write_line(line)
