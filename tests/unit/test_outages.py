"""How long a lost source is waited for, and what is logged of it."""

from __future__ import annotations

import pytest

from streamproc.engine.outage import Outages


def test_waits_double_to_a_limit_with_jitter() -> None:
    outages = [Outages("cam", first_s=1, longest_s=10) for _ in range(50)]
    for wanted in (1, 2, 4, 8, 10, 10):
        waits = [outage.lost("gone") for outage in outages]
        assert all(wanted / 2 <= wait <= wanted for wait in waits)
        assert len(set(waits)) > 1
    outages[0].worked()
    assert outages[0].lost("gone") <= 1


def test_first_wait_is_at_most_the_longest() -> None:
    assert Outages("cam", first_s=30, longest_s=5).lost("gone") <= 5


def test_losses_are_logged_sparingly_and_their_end_once(caplog: pytest.LogCaptureFixture) -> None:
    outages = Outages("cam", first_s=1, longest_s=10)
    for _ in range(120):
        outages.lost("gone")
    assert not outages.up
    outages.worked()
    outages.worked()
    lines = [record.getMessage() for record in caplog.records]
    assert lines[:3] == [
        "stream cam: source lost: gone; trying again",
        "stream cam: source lost: gone (failure 10); trying again",
        "stream cam: source lost: gone (failure 100); trying again",
    ]
    assert len(lines) == 4
    assert lines[3].startswith("stream cam: source is back after")
