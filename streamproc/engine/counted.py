"""Reports of sources, streams, plugins and sinks at work."""

from __future__ import annotations

from collections.abc import Sequence

from streamproc.chain.health import Health
from streamproc.chain.ledger import LedgerPage
from streamproc.chain.step import Step
from streamproc.delivery.writer import Writer
from streamproc.engine.account import PluginReport, SinkReport, StreamReport
from streamproc.engine.reader import SourceRun
from streamproc.engine.stats import StreamStats
from streamproc.engine.stream import StreamRun
from streamproc.metrics import Histogram


def stream_reports(source: SourceRun) -> list[StreamReport]:
    """Return one report for each stream so far, and one for the source where it has counts of its own."""
    found = [_stream_report(source, run) for run in list(source.streams.runs.values())]
    page = source.ledger.page()
    if not found or (page.observed and source.plan.name not in source.streams.runs):
        found.append(_own_report(source, page))
    return found


def _own_report(source: SourceRun, page: LedgerPage) -> StreamReport:
    """Report the counts of a source that belong to no stream at work."""
    return StreamReport(
        name=source.plan.name,
        ledger=page,
        media_s=0.0,
        reconnects=source.status.reconnects,
        error=source.status.error,
        up=source.up,
        away=source.outages.reason,
        ended_streams=source.streams.ended,
    )


def _stream_report(source: SourceRun, run: StreamRun) -> StreamReport:
    info = run.info
    intake = source.streams.intakes.get(info.name)
    return StreamReport(
        name=info.name,
        ledger=run.ledger.page(),
        media_s=run.stats.last_pts_ns / 1e9,
        duration_s=None if info.duration_ns is None else info.duration_ns / 1e9,
        size=info.size,
        rate=None if info.rate is None else float(info.rate),
        live=info.live,
        mended={} if intake is None else {fault: n for fault, n in intake.schedule.timeline.mended.items() if n},
        gaps=0 if intake is None else intake.schedule.gaps.count,
        longest_gap_s=0.0 if intake is None else intake.schedule.gaps.longest_ns / 1e9,
        up=source.up and not run.driver.done,
        away=source.outages.reason,
        reconnects=source.status.reconnects,
        latency_mean_s=run.stats.latency.mean,
        latency_p95_s=run.stats.latency.quantile(0.95),
        plugins=plugin_reports(run.steps, run.driver.seconds, run.stats, run.driver.core.health),
        error=run.error or source.status.error,
        repeatable=run.stats.repeatable,
        ended=run.driver.done,
    )


def plugin_reports(
    steps: Sequence[Step], seconds: Sequence[Histogram], stats: StreamStats, health: Health
) -> tuple[PluginReport, ...]:
    """Return the reports of one stream's plugins, in the order of the chain."""
    return tuple(
        PluginReport(
            name=step.name,
            type=f"{step.plan.cls.__module__}:{step.plan.cls.__qualname__}",
            calls=took.count,
            mean_s=took.mean,
            p95_s=took.quantile(0.95),
            max_s=took.maximum,
            verdicts={str(verdict): n for verdict, n in stats.steps[step.name].verdicts.snapshot().items()},
            off=health.reasons.get(step.name, ""),
            needs=tuple(kind.__name__ for kind in step.plan.cls.needs),
            remarks=stats.steps[step.name].remarks,
        )
        for step, took in zip(steps, seconds, strict=True)
    )


def sink_report(writer: Writer) -> SinkReport:
    """Return the report of a sink, attached or detached."""
    status = writer.status
    return SinkReport(
        name=writer.name,
        delivered=status.counts["events"] + status.counts["frames"] + status.counts["records"],
        retries=status.counts["retries"],
        undelivered=status.undelivered,
        refused=status.counts["refused"],
        up=writer.up,
        stored=status.stored,
        notes=tuple(status.notes),
        trouble=status.trouble,
    )


__all__ = ["plugin_reports", "sink_report", "stream_reports"]
