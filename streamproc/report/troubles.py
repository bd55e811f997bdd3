"""What went wrong in a run, in sentences: for the summary of the command line and for the report."""

from __future__ import annotations

from streamproc.engine import RunReport
from streamproc.errors import counted


def troubles(report: RunReport) -> list[str]:
    """One sentence for each thing that a person should know; empty after a run without a fault."""
    lines = [f"stream {s.name} failed: {s.error}" for s in report.streams if s.error]
    for stream in report.streams:
        for plugin in stream.plugins:
            failed = plugin.verdicts.get("failed", 0)
            if plugin.off:
                lines.append(f"plugin {plugin.name} of {stream.name} was switched off: it {plugin.off}")
            elif failed:
                lines.append(f"plugin {plugin.name} of {stream.name} failed at {counted(failed, 'frame')}")
        if lost := stream.ledger.total("undecodable"):
            lines.append(f"{counted(lost, 'frame')} of {stream.name} could not be decoded; what they showed is missing")
        if stream.mended:
            kinds = ", ".join(f"{count} {kind}" for kind, count in stream.mended.items())
            lines.append(f"time stamps of {stream.name} were mended: {kinds}")
        if not stream.repeatable:
            lines.append(f"stream {stream.name}: a time-out struck, so another run may give other events")
    for sink in report.sinks:
        if sink.undelivered:
            lines.append(f"sink {sink.name}: {sink.undelivered} undelivered; events wait in the outbox: {sink.trouble}")
        elif sink.trouble:
            lines.append(f"sink {sink.name}: {sink.trouble}")
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


__all__ = ["troubles"]
