"""The page on operations names every exit code, metric and environment variable that there is."""

from __future__ import annotations

import re
from pathlib import Path

from streamproc.engine import Engine
from streamproc.engine.exporter import EngineCollector
from streamproc.exits import EXIT_CODES
from streamproc.testing import make_frames, make_plan
from tests.machine import REPOSITORY

PAGE = (REPOSITORY / "docs" / "operations.md").read_text(encoding="utf-8")


def test_exit_code_table_matches_the_program() -> None:
    rows = dict(re.findall(r"^\| (\d+) \| (.+) \|$", PAGE, re.M))
    assert rows == {str(code): text for code, text in EXIT_CODES.items()}


def test_exactly_the_existing_metrics_are_explained(tmp_path: Path) -> None:
    engine = Engine(make_plan([], make_frames(1), state=tmp_path))
    engine.run()
    suffix = {"counter": "_total", "info": "_info"}
    there = {(family.name + suffix.get(family.type, ""), family.type) for family in EngineCollector(engine).collect()}
    told = set(re.findall(r"^\| `(streamproc_\w+)` \| (\w+) \|", PAGE, re.M))
    assert told == there


def test_every_environment_variable_is_explained() -> None:
    sources = [path.read_text(encoding="utf-8") for path in (REPOSITORY / "streamproc").rglob("*.py")]
    used = set(re.findall(r"\bSTREAMPROC_[A-Z]+\b", " ".join(sources)))
    assert used == set(re.findall(r"^\| `(STREAMPROC_[A-Z]+)`", PAGE, re.M))
