"""Runs of whole configurations over real footage."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from streamproc import Event
from streamproc.config import load_text
from streamproc.config.plan import SinkPlan
from streamproc.engine import Engine
from streamproc.models import ModelStore
from streamproc.testing import ListSink
from streamproc.testing.fakes import ListSinkOptions


def run_text(text: str, state: Path, models: Path | None = None) -> list[Event]:
    """The events of a configuration without sinks, in the order of their output; fails if a stream did."""
    plan = load_text(text)
    sink = ListSink()
    extra = [(SinkPlan(name="list", cls=ListSink, options=ListSinkOptions()), sink)]
    store = ModelStore(mirrors=[models], cache=state / "cache", download=False) if models is not None else None
    plan = replace(plan, runtime=replace(plan.runtime, state=state))
    report = Engine(plan, models=store, extra=extra).run()
    assert [stream.error for stream in report.streams] == [""] * len(report.streams)
    return sink.events
