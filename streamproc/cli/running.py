"""Runs a plan under the eyes of a person: progress, signals, summary, report, metrics page."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from streamproc.cli.console import console, logs_json, say, show, table
from streamproc.cli.printing import prints_logged
from streamproc.cli.watchdog import Watchdog
from streamproc.config import Plan, SinkPlan
from streamproc.engine import BUCKETS, Engine, RunReport, StreamReport
from streamproc.engine.process import prepare_process
from streamproc.errors import StreamprocError, counted
from streamproc.exits import EXIT_CODES, INTERRUPTED
from streamproc.models import ModelStore
from streamproc.report.troubles import troubles

logger = logging.getLogger(__name__)

_LOOK_EVERY_S = 0.2
_SHORTEST_LOCK_S = 10.0
"""a library that is loaded from a slow disk, or a large garbage collection, holds the interpreter lock for seconds"""
_PLAIN_LINE_EVERY = 50
"""looks between two progress lines where there is no terminal"""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSettings:
    """Settings that the command line adds to a plan."""

    report: Path | None = None
    report_config: bool = False
    """whether the report shows the configuration"""
    metrics: tuple[str, int] | None = None
    """address and port of the Prometheus page"""
    quiet: bool = False
    models: ModelStore = field(default_factory=ModelStore)


def run_plan(plan: Plan, settings: RunSettings) -> RunReport:
    """Run a plan to its end; SIGINT, SIGTERM or SIGHUP end it in an orderly way, a second one at once."""
    from streamproc.report import EventLog, prepare_report, write_report

    prepare_process()
    for warning in plan.warnings:
        logger.info("%s", warning)  # `check` shows them; a run with --set often leaves something out on purpose
    if settings.report:
        prepare_report(settings.report)
    log = EventLog()
    extra = [(SinkPlan(name="(report)", cls=EventLog, options=log.options), log)] if settings.report else []
    engine = Engine(plan, models=settings.models, extra=extra)
    with _Signals(engine.interrupt), Watchdog(_lock_limit_s(plan), as_json=logs_json()) as watchdog, prints_logged():
        engine.watch.on_opening = watchdog.opening
        stop_page = _metrics_page(engine, settings.metrics)
        try:
            report = _watch(engine, settings.quiet)
        finally:
            stop_page()
    if not settings.quiet:
        _attempt("the summary can't be shown", lambda: summarize(report))
    log_line = logger.warning if report.exit_code else logger.info
    log_line("the run ended with exit code %d: %s", report.exit_code, EXIT_CODES[report.exit_code])
    if settings.report:
        place = settings.report
        shown = plan.source if settings.report_config else None
        _attempt(f"the report {place} is missing", lambda: write_report(place, report, log.events, shown))
    return report


def _lock_limit_s(plan: Plan) -> float:
    """Return for how long the interpreter may be stuck: as long as the most impatient plugin may take for one call."""
    limits = [entry.timeout_ns / 1e9 for stream in plan.streams for entry in stream.chain]
    return max(_SHORTEST_LOCK_S, min(limits, default=60.0))


def _attempt(failed: str, function: Callable[[], None]) -> None:
    """Do a task after a run; log its failure and leave the run's exit code as it is."""
    try:
        function()
    except StreamprocError as error:
        logger.warning("%s: %s", failed, error)
    except Exception as error:
        logger.warning("%s: %s: %s; please report it", failed, type(error).__name__, error)
        logger.debug("where that happened", exc_info=True)


def leave(report: RunReport) -> None:
    """Leave the process by the run's exit code, also where threads never return from a plugin."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # whoever read it may have gone
            if stream is not None:
                stream.flush()
    if report.abandoned_threads:
        os._exit(report.exit_code)
    sys.exit(report.exit_code)


class _Signals:
    """The first SIGINT, SIGTERM or SIGHUP asks for an orderly end, the second leaves at once."""

    def __init__(self, stop: Callable[[], None]) -> None:
        self._stop = stop
        self._signals = 0
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> None:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                if number is signal.SIGHUP and signal.getsignal(number) is signal.SIG_IGN:
                    continue  # `nohup` wants it so
                self._before[number] = signal.signal(number, self._caught)

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _caught(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self._signals += 1
        if self._signals > 1:
            os._exit(INTERRUPTED)
        # not in the handler itself: it may have interrupted a thread that holds a lock which `stop` needs
        threading.Thread(target=self._stop, name="streamproc-stop", daemon=True).start()


def _metrics_page(engine: Engine, address: tuple[str, int] | None) -> Callable[[], None]:
    if address is None:
        return lambda: None
    from streamproc.engine.exporter import serve

    return serve(engine, *address)


def _watch(engine: Engine, quiet: bool) -> RunReport:
    """Run the engine in a thread of its own and show how far it is."""
    came: list[RunReport] = []
    failed: list[BaseException] = []

    def work() -> None:
        try:
            came.append(engine.run())
        except BaseException as error:  # noqa: BLE001 - raised again in the main thread
            failed.append(error)

    thread = threading.Thread(target=work, name="streamproc-run", daemon=True)
    thread.start()
    if quiet:
        while thread.is_alive():
            thread.join(_LOOK_EVERY_S)
    else:
        (_show_bars if console().is_terminal else _show_lines)(engine, thread)
    if failed:
        raise failed[0]
    return came[0]


def _show_bars(engine: Engine, thread: threading.Thread) -> None:
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[done]}"), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=console(), transient=True) as progress:
        bars: dict[str, Any] = {}
        while thread.is_alive():
            thread.join(_LOOK_EVERY_S)
            report = engine.report()
            for stream in report.streams:
                if stream.name not in bars:
                    bars[stream.name] = progress.add_task(stream.name, total=stream.duration_s, done="")
                frames = counted(stream.ledger.total("processed"), "frame")
                done = f"{_clock(stream.media_s)} {frames} {_rate(stream, report)}"
                progress.update(bars[stream.name], total=stream.duration_s, completed=stream.media_s, done=done)


def _show_lines(engine: Engine, thread: threading.Thread) -> None:
    looks = 0
    while thread.is_alive():
        thread.join(_LOOK_EVERY_S)
        looks += 1
        if looks % _PLAIN_LINE_EVERY == 0 and thread.is_alive():
            report = engine.report()
            for stream in report.streams:
                of = "" if stream.duration_s is None else f" of {_clock(stream.duration_s)}"
                frames = stream.ledger.total("processed")
                say(f"{stream.name}: {_clock(stream.media_s)}{of}, {counted(frames, 'frame')}, {_rate(stream, report)}")


def _rate(stream: StreamReport, report: RunReport) -> str:
    return f"{stream.ledger.total('processed') / report.wall_s:.0f}/s" if report.wall_s > 0 else ""


def _clock(seconds: float) -> str:
    whole = int(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"


def summarize(report: RunReport) -> None:
    """Print the summary of a run."""
    # only buckets that hold frames: with all of them an 80-column table is unreadable
    shown = [bucket for bucket in BUCKETS if bucket == "processed" or report.ledger.total(bucket)]
    rows = [
        (s.name, _clock(s.media_s), s.ledger.observed, *(s.ledger.total(b) for b in shown), f"{s.latency_p95_s:.3f}")
        for s in report.streams
    ]
    heads = [f"{bucket.replace('_', ' ')}#" for bucket in shown]
    show(table("stream", "time#", "observed#", *heads, "p95 latency s#", rows=rows))
    if report.events:
        show(table("stream", "event", "records#", rows=[(*key, count) for key, count in report.events.items()]))
    if plugins := _plugin_rows(report):
        show(table("stream", "plugin", "calls#", "mean ms#", "p95 ms#", rows=plugins))
    for line in troubles(report):
        say(line)


def _plugin_rows(report: RunReport) -> list[tuple[str, ...]]:
    return [
        (stream.name, plugin.name, f"{plugin.calls:,}", f"{1000 * plugin.mean_s:.1f}", f"{1000 * plugin.p95_s:.1f}")
        for stream in report.streams
        for plugin in stream.plugins
        if plugin.calls
    ]


__all__ = ["RunSettings", "leave", "run_plan", "summarize"]
