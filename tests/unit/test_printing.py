"""What plugins print goes to the log, a line at a time."""

from __future__ import annotations

import threading

import pytest

from streamproc.cli.printing import prints_logged


def test_half_lines_of_two_threads_stay_apart(caplog: pytest.LogCaptureFixture) -> None:
    def other() -> None:
        print("from the ", end="")
        print("other")

    with prints_logged():
        print("from this ", end="")
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        print("one")
        print("without an end", end="")
    assert caplog.messages == ["printed: from the other", "printed: from this one", "printed: without an end"]


def test_line_without_end_is_logged_in_pieces(caplog: pytest.LogCaptureFixture) -> None:
    with prints_logged():
        for _ in range(300):
            print("." * 100, end="")
        assert len(caplog.messages) == 2
    assert sum(message.count(".") for message in caplog.messages) == 30_000
