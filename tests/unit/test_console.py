"""What the program says on its terminal is the text as it is."""

from __future__ import annotations

import pytest

from streamproc.cli.console import say, show, table


def test_colons_and_brackets_in_text_stay(capsys: pytest.CaptureFixture[str]) -> None:
    say("OpenCV :-1: error [red]x[/red]")
    show(table("label", rows=[(":car: [b]",)]), stdout=True)
    shown = capsys.readouterr()
    assert "OpenCV :-1: error [red]x[/red]" in shown.err
    assert ":car: [b]" in shown.out
