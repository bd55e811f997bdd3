"""Events that no sink could write are refused where they are made: one failed call, and every other event arrives."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from streamproc import Event, Frame, FramePlugin, Options, Output, Results
from streamproc.config.plan import SinkPlan
from streamproc.engine import Engine
from streamproc.events import Attachment
from streamproc.sinks.appending import LinesOptions
from streamproc.sinks.csv import CsvSink
from streamproc.sinks.jsonl import JsonlSink
from streamproc.sinks.sqlite import SqliteOptions, SqliteSink
from streamproc.testing import make_frames, make_plan, plugin_plan
from tests.engine.running import run_engine, with_stream

BAD = 3
"""index of the frame whose event is bad"""
FRAMES = 8


def attached(*pictures: Any) -> Callable[[Event], Event]:
    return lambda event: replace(event, attachments=pictures)


def picture(name: Any = "picture", media_type: Any = "image/png", data: Any = b"x") -> Attachment:
    return Attachment(name=name, media_type=media_type, data=data)


UNWRITABLE: dict[str, tuple[Callable[[Event], Event], str]] = {
    "a start beyond 64 bits": (lambda e: replace(e, start_ns=10**400, end_ns=None, phase="start"), "64 bits"),
    "an end beyond 64 bits": (lambda e: replace(e, end_ns=2**63), "64 bits"),
    "a start long before": (lambda e: replace(e, start_ns=-(10**30)), "64 bits"),
    "a type without end": (lambda e: replace(e, type="a" * 10**6), "characters"),
    "half a character": (lambda e: replace(e, data={"label": "\ud800"}), "UTF-8"),
    "half a character in the subject": (lambda e: replace(e, subject="\udc80"), "UTF-8"),
    "a number that Python won't print": (lambda e: replace(e, data={"n": 10**5000}), "digits"),
    "much text": (lambda e: replace(e, data={"text": "x" * 2_000_000}), "at most"),
    "a name that is no text": (attached(picture(name=object())), "name of an event attachment"),
    "a name that is a path": (attached(picture(name="../../out")), "name of an event attachment"),
    "a name of half a character": (attached(picture(name="\ud800")), "name of an event attachment"),
    "no media type": (attached(picture(media_type=None)), "media type"),
    "a media type with markup": (attached(picture(media_type='image/png" onerror="x')), "media type"),
    "a picture that is text": (attached(picture(data="x")), "with bytes"),
    "a picture without end": (attached(picture(data=bytes(20 << 20))), "make them smaller"),
    "two pictures of one name": (attached(picture(), picture()), "each its own"),
}


@pytest.mark.parametrize("kind", UNWRITABLE)
def test_unwritable_event_fails_only_its_call(tmp_path: Path, kind: str) -> None:
    spoil, reason = UNWRITABLE[kind]

    class Odd(FramePlugin[Options]):
        """Emits one event a frame, one of them spoilt."""

        def process(self, frame: Frame, past: Results) -> Output:
            event = Event.instant(frame, "odd.seen", n=frame.index)
            yield spoil(event) if frame.index == BAD else event

    sinks = (
        SinkPlan(name="lines", cls=JsonlSink, options=LinesOptions(path=tmp_path / "e.jsonl")),
        SinkPlan(name="table", cls=CsvSink, options=LinesOptions(path=tmp_path / "e.csv")),
        SinkPlan(name="base", cls=SqliteSink, options=SqliteOptions(path=tmp_path / "e.db")),
    )
    plan = with_stream(
        make_plan([plugin_plan(Odd)], make_frames(FRAMES), state=tmp_path), sinks=("lines", "table", "base")
    )
    report = run_engine(Engine(replace(plan, sinks=sinks)))
    assert [(sink.delivered, sink.undelivered, sink.refused) for sink in report.sinks] == [(FRAMES - 1, 0, 0)] * 3
    (plugin,) = report.streams[0].plugins
    assert plugin.verdicts == {"ok": FRAMES - 1, "failed": 1}
    assert report.exit_code == 0
    written = [json.loads(line)["data"]["n"] for line in (tmp_path / "e.jsonl").read_text().splitlines()]
    assert written == [n for n in range(FRAMES) if n != BAD]
    with sqlite3.connect(tmp_path / "e.db") as db:
        assert db.execute("SELECT count(*) FROM events").fetchone() == (FRAMES - 1,)
    db.close()
    frame = make_frames(1)[0]
    bad = spoil(Event.instant(frame, "odd.seen"))
    with pytest.raises((ValueError, TypeError), match=reason):
        bad.stamped(frame.stream, "odd", 0)
