"""Troubles of a run in sentences, for the summary of the command line and for the report."""

from __future__ import annotations

from collections.abc import Iterator

from streamproc.engine import RunReport, SinkReport, StreamReport
from streamproc.errors import counted


def troubles(report: RunReport) -> list[str]:
    """Return one sentence for each trouble that a user should know; empty after a run without a fault."""
    lines = [f"stream {s.name} failed: {s.error}" for s in report.streams if s.error]
    for stream in report.streams:
        lines += _of_stream(stream)
    for sink in report.sinks:
        if sink.undelivered:
            lines.append(f"sink {sink.name}: {_undelivered(sink)}: {sink.trouble or 'it had no time to deliver them'}")
        elif sink.trouble:
            lines.append(f"sink {sink.name}: {sink.trouble}")
        lines += [f"sink {sink.name}: {note}" for note in sink.notes]
        if sink.refused:
            lines.append(
                f"sink {sink.name} refused {counted(sink.refused, 'record')}, set aside with the reason in "
                f"{report.dead_letters}; the others were delivered"
            )
    lines += [
        f"{counted(count, 'event')} of earlier runs {'waits' if count == 1 else 'wait'} in the outbox for another sink "
        f"{name!r} (one with other options, or no such sink here); run with that one again to deliver them"
        for name, count in report.stranded.items()
    ]
    lines += [f"{what} never came back and was left behind" for what in report.abandoned]
    if report.stopped:
        lines.append(f"the run was stopped: {report.stopped}")
    if report.outbox_error:
        lines.append(report.outbox_error)
    return lines


def _undelivered(sink: SinkReport) -> str:
    """Describe the items that a sink did not get, and where they are."""
    stored, lost = min(sink.stored, sink.undelivered), max(0, sink.undelivered - sink.stored)
    parts = [
        f"{counted(stored, 'undelivered event')} {'waits' if stored == 1 else 'wait'} in the outbox" if stored else "",
        f"{counted(lost, 'undelivered record')} {'is' if lost == 1 else 'are'} lost" if lost else "",
    ]
    return ", ".join(filter(None, parts))


def _of_stream(stream: StreamReport) -> Iterator[str]:
    """Yield the troubles of one stream that didn't stop it."""
    for plugin in stream.plugins:
        failed = plugin.verdicts.get("failed", 0)
        if plugin.off:
            yield f"plugin {plugin.name} of {stream.name} was switched off: it {plugin.off}"
        elif plugin.idle:
            yield f"plugin {plugin.name} of {stream.name} {plugin.idle}"
        elif failed:
            yield f"plugin {plugin.name} of {stream.name} failed at {counted(failed, 'frame')}"
        for remark in plugin.remarks:
            yield f"plugin {plugin.name} of {stream.name}: {remark}"
    if stream.away and not stream.error:
        yield f"stream {stream.name} was away at the end: {stream.away}"
    if stream.ended_streams:
        ended = counted(stream.ended_streams, "stream")
        yield f"{ended} of {stream.name} ended to make room for others; raise max_streams if all of them are meant"
    if lost := stream.ledger.total("undecodable"):
        yield f"{counted(lost, 'frame')} of {stream.name} could not be decoded; what they showed is missing"
    if stream.mended:
        kinds = ", ".join(f"{count} {kind}" for kind, count in stream.mended.items())
        yield f"time stamps of {stream.name} were mended: {kinds}"
    if stream.gaps and not stream.live:
        yield f"time stamps of {stream.name} have {gaps(stream)}: it was recorded with a break, or pictures were lost"
    if not stream.repeatable:
        yield f"stream {stream.name}: a time-out struck, so another run may give other events"


def gaps(stream: StreamReport) -> str:
    """Describe the gaps in a stream's time stamps; empty where there are none."""
    return f"{counted(stream.gaps, 'gap')} (the longest {stream.longest_gap_s:.2f} s)" if stream.gaps else ""


__all__ = ["gaps", "troubles"]
