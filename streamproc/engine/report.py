"""What a run came to: the frozen account that exit codes, summaries and HTML reports are made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from streamproc.engine.ledger import LedgerPage

OK = 0
UNEXPECTED = 1
BAD_CONFIG = 2
STREAM_FAILED = 3
PLUGIN_FAILED = 4
UNDELIVERED = 5
OUTBOX_FAILED = 6
INTERRUPTED = 130

EXIT_CODES: Mapping[int, str] = {
    OK: "everything was read, processed and delivered",
    UNEXPECTED: "streamproc itself failed: please report it",
    BAD_CONFIG: "the command line or the configuration is wrong; nothing was opened",
    STREAM_FAILED: "at least one stream could not be opened or read to its end; the others were completed",
    PLUGIN_FAILED: "a plugin was switched off or hung, or on_error: stop ended the run",
    UNDELIVERED: "a sink did not take all its events; they wait in the outbox",
    OUTBOX_FAILED: "the outbox could not be written, so the run was ended",
    INTERRUPTED: "stopped by SIGINT or SIGTERM; what was found until then is delivered",
}
"""exit codes of `streamproc run`; where several apply, the highest of 2 to 6 counts, then 130"""


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginReport:
    """One plugin of one stream."""

    name: str
    type: str
    calls: int
    mean_s: float
    p95_s: float
    max_s: float
    verdicts: Mapping[str, int]
    """how often: `ok`, `failed`, `missing` (an input), `off`, `hung`"""
    off: str = ""
    """why it was switched off"""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamReport:
    """One stream."""

    name: str
    ledger: LedgerPage
    media_s: float
    """media time of the last processed frame"""
    duration_s: float | None = None
    """length of the recording where it is known"""
    size: tuple[int, int] = (0, 0)
    rate: float | None = None
    live: bool = False
    mended: Mapping[str, int] = field(default_factory=dict)
    """time stamps mended, by what was wrong"""
    reconnects: int = 0
    latency_mean_s: float = 0.0
    latency_p95_s: float = 0.0
    plugins: tuple[PluginReport, ...] = ()
    error: str = ""
    repeatable: bool = True
    """false where a time-out struck, so that another run may differ"""
    ended: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkReport:
    """One sink."""

    name: str
    delivered: int
    retries: int
    undelivered: int
    trouble: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReport:
    """A whole run, at its end or on the way."""

    streams: tuple[StreamReport, ...]
    sinks: tuple[SinkReport, ...]
    events: Mapping[tuple[str, str], int]
    """by (stream, type)"""
    wall_s: float
    cpu_s: float
    interrupted: bool = False
    stopped: str = ""
    """why the run was ended early"""
    outbox_error: str = ""
    abandoned_threads: int = 0

    @property
    def exit_code(self) -> int:
        """See `EXIT_CODES`."""
        if self.outbox_error:
            return OUTBOX_FAILED
        if any(sink.undelivered or (sink.trouble and not sink.delivered) for sink in self.sinks):
            return UNDELIVERED
        if self.stopped or any(plugin.off for stream in self.streams for plugin in stream.plugins):
            return PLUGIN_FAILED
        if any(stream.error for stream in self.streams):
            return STREAM_FAILED
        return INTERRUPTED if self.interrupted else OK

    @property
    def ledger(self) -> LedgerPage:
        """The ledgers of all streams added up."""
        total = LedgerPage(seen=0, in_flight=0, buckets={})
        for stream in self.streams:
            total = total.plus(stream.ledger)
        return total


__all__ = [
    "BAD_CONFIG",
    "EXIT_CODES",
    "INTERRUPTED",
    "OK",
    "OUTBOX_FAILED",
    "PLUGIN_FAILED",
    "STREAM_FAILED",
    "UNDELIVERED",
    "UNEXPECTED",
    "PluginReport",
    "RunReport",
    "SinkReport",
    "StreamReport",
]
