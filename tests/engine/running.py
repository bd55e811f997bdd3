"""Runs of the engine that may not hang: what the tests of faults stand on."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from streamproc.config.plan import Plan, PluginPlan, SinkPlan
from streamproc.engine import Engine, RunReport
from streamproc.events import Event
from streamproc.testing import ListSink, make_plan
from streamproc.testing.fakes import ListSinkOptions

PATIENCE_S = 60
"""a run that takes longer hangs; far more than any of them needs"""


def listed(sink: ListSink | None = None) -> tuple[SinkPlan, ListSink]:
    """A list sink with its plan, for `Engine(extra=...)`."""
    sink = sink or ListSink()
    return SinkPlan(name="list", cls=ListSink, options=sink.options), sink


def run_engine(engine: Engine, meanwhile: Callable[[Engine], None] | None = None) -> RunReport:
    """Run to the end, `meanwhile` in this thread; fails when the end doesn't come."""
    came: list[RunReport | BaseException] = []

    def work() -> None:
        try:
            came.append(engine.run())
        except BaseException as error:  # noqa: BLE001 - raised again below
            came.append(error)

    thread = threading.Thread(target=work, name="test-run", daemon=True)
    thread.start()
    if meanwhile is not None:
        meanwhile(engine)
    thread.join(PATIENCE_S)
    if not came:
        pytest.fail("the run did not come to its end")
    if isinstance(came[0], BaseException):
        raise came[0]
    return came[0]


def run_faulty(
    chain: Sequence[PluginPlan], frames: Sequence[Any], state: Path, *, workers: int = 2, **runtime: Any
) -> tuple[RunReport, list[Event]]:
    """Run one stream that may not hang; its report and events."""
    plan = make_plan(chain, frames, state=state, workers=workers)
    plan = replace(plan, runtime=replace(plan.runtime, **runtime))
    listing = listed()
    return run_engine(Engine(plan, extra=[listing])), listing[1].events


def with_stream(plan: Plan, **settings: Any) -> Plan:
    """The plan with other settings of its one stream."""
    return replace(plan, streams=(replace(plan.streams[0], **settings),))


def closed(report: RunReport) -> bool:
    """Whether every ledger adds up with nothing left on its way."""
    return all(stream.ledger.closed and stream.ledger.in_flight == 0 for stream in report.streams)


__all__ = ["ListSinkOptions", "closed", "listed", "run_engine", "run_faulty", "with_stream"]
