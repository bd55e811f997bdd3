"""Reports of a run in which something was wrong but nothing failed."""

from __future__ import annotations

import logging
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import pytest

from streamproc.chain.ledger import LedgerPage
from streamproc.config import load_text
from streamproc.engine import Engine, RunReport, StreamReport
from streamproc.media import probe
from streamproc.report.page import render_report
from streamproc.report.troubles import troubles
from streamproc.testing import make_frames, make_plan, plugin_plan
from tests.engine.plugins import Fail, NanBoxes
from tests.videos import Recipe, encode, hurt


def job(path: Path, folder: Path) -> str:
    """A configuration that looks for motion in a file."""
    source = f'{{type: file, options: {{path: "{path}"}}}}'
    return (
        f"version: 1\nstreams: {{s: {{source: {source}, chain: [m], sinks: []}}}}\n"
        f'plugins: {{m: {{type: motion}}}}\nruntime: {{state: "{folder / "state"}"}}\n'
    )


def test_undecodable_frames_are_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = encode(tmp_path / "a.ts", Recipe(frames=100, b_frames=2, options={"sc_threshold": "0", "crf": "18"}))
    hurt(path, at=0.5, length=2000)
    with caplog.at_level(logging.WARNING):
        report = Engine(load_text(job(path, tmp_path))).run()
    lost = report.ledger.total("undecodable")
    assert lost > 0
    assert f"{lost} frames of s could not be decoded; what they showed is missing" in troubles(report)
    assert sum("a frame can't be decoded stream=s" in record.getMessage() for record in caplog.records) >= 1


def test_gaps_of_a_recording_match_probe(tmp_path: Path) -> None:
    """Damage to Matroska itself takes whole packets away, and nothing is left that could be counted as undecodable."""
    path = hurt(encode(tmp_path / "a.mkv", Recipe(rate=Fraction(10), frames=100, gop=20)), at=0.5, length=100_000)
    found = probe(path)
    report = Engine(load_text(job(path, tmp_path))).run()
    stream = report.streams[0]
    assert found.gaps == 1
    assert stream.gaps == found.gaps
    assert found.longest_gap_s <= stream.longest_gap_s < 5  # pictures that can't be decoded lengthen it
    words = f"1 gap (the longest {stream.longest_gap_s:.2f} s)"
    sentence = f"time stamps of s have {words}: it was recorded with a break, or pictures were lost"
    assert sentence in troubles(report)
    assert f"<li>{sentence}</li>" in render_report(report, [], {})
    assert f"{words}</td>" in render_report(report, [], {})  # in the notes of the ledger
    assert report.exit_code == 0


@pytest.mark.parametrize(
    "recipe",
    [
        pytest.param(Recipe(frames=20), id="steady"),
        pytest.param(Recipe(rate=Fraction(1, 2), frames=6), id="one picture in two seconds"),
    ],
)
def test_recording_without_gaps_reports_none(tmp_path: Path, recipe: Recipe) -> None:
    path = encode(tmp_path / "a.mkv", recipe)
    report = Engine(load_text(job(path, tmp_path))).run()
    assert (report.streams[0].gaps, probe(path).gaps) == (0, 0)
    assert troubles(report) == []


def test_live_time_without_pictures_is_no_trouble() -> None:
    page = LedgerPage(observed=2, in_flight=0, buckets={("processed", ""): 2})
    live = StreamReport(name="s", ledger=page, media_s=9.0, live=True, gaps=1, longest_gap_s=8.0)
    assert troubles(RunReport(streams=(live,), sinks=(), events={}, wall_s=1.0, cpu_s=1.0)) == []


def test_failures_of_two_plugins_have_separate_bundles(tmp_path: Path) -> None:
    for failing in (plugin_plan(Fail, name="p", from_index=0), plugin_plan(NanBoxes, name="p")):
        Engine(make_plan([failing], make_frames(2), state=tmp_path)).run()
    names = sorted(path.name for path in (tmp_path / "bundles").iterdir())
    assert len(names) == 2
    Engine(make_plan([plugin_plan(Fail, name="p", from_index=0)], make_frames(2), state=tmp_path)).run()
    assert sorted(path.name for path in (tmp_path / "bundles").iterdir()) == names  # the same failure once more


@pytest.mark.real
def test_litert_greeting_is_silenced_and_nothing_else(shared: Path, tmp_path: Path) -> None:
    program = (
        "import os, sys\nfrom pathlib import Path\nfrom streamproc.models import ModelStore\n"
        "store = ModelStore(mirrors=[Path(sys.argv[1])], cache=Path(sys.argv[2]), download=False)\n"
        "store.load('mobilenet-v1-tiny')\nos.write(2, b'done\\n')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(shared / "models"), str(tmp_path)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stderr == "done\n"
