"""Report of a run: frozen data from which exit codes, summaries and HTML reports are made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from streamproc.chain.ledger import LedgerPage
from streamproc.errors import counted
from streamproc.exits import INTERRUPTED, OK, OUTBOX_FAILED, PLUGIN_FAILED, STREAM_FAILED, UNDELIVERED


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
    """number of calls by verdict: `ok`, `failed`, `missing` (an input), `off`, `hung`"""
    off: str = ""
    """reason for which it was switched off"""
    needs: tuple[str, ...] = ()
    """classes of results without which it isn't called"""
    remarks: tuple[str, ...] = ()
    """its sentences about the whole run"""

    @property
    def idle(self) -> str:
        """Reason why it gave nothing though it was due, as the end of a sentence; empty where it gave something."""
        asked, failed = sum(self.verdicts.values()), self.verdicts.get("failed", 0)
        if not asked or self.verdicts.get("ok") or self.off:
            return ""
        if failed:
            return f"failed at each of its frames ({failed:,})"
        if not self.needs:
            return f"wanted a result that no plugin gave, at {counted(asked, 'frame')}; name its class in `needs`"
        names = " and ".join(self.needs)
        return f"never had its input ({names}), in {counted(asked, 'frame')}; check the plugins before it that give it"


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
    """corrected time stamps, by fault"""
    gaps: int = 0
    """steps of the time stamps of more than a second and three nominal durations"""
    longest_gap_s: float = 0.0
    reconnects: int = 0
    latency_mean_s: float = 0.0
    latency_p95_s: float = 0.0
    plugins: tuple[PluginReport, ...] = ()
    error: str = ""
    repeatable: bool = True
    """false after a time-out, so that another run may differ"""
    ended: bool = False
    up: bool = False
    """whether its source is being read at this moment"""
    away: str = ""
    """reason for the outage of its source; empty while there is none"""
    ended_streams: int = 0
    """streams of the same source that had to end to make room for others; their frames are counted here"""


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkReport:
    """One sink."""

    name: str
    delivered: int
    retries: int
    undelivered: int
    """items that the sink did not get in this run: stored and lost ones"""
    up: bool = True
    """whether the sink works, as far as is known"""
    stored: int = 0
    """events that wait for it in the outbox"""
    notes: tuple[str, ...] = ()
    """remarks of the sink that are no trouble"""
    refused: int = 0
    """records that it refused; they are in the run's `dead_letters`"""
    trouble: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReport:
    """A whole run, at its end or before."""

    streams: tuple[StreamReport, ...]
    sinks: tuple[SinkReport, ...]
    events: Mapping[tuple[str, str], int]
    """by (stream, type)"""
    wall_s: float
    cpu_s: float
    interrupted: bool = False
    stopped: str = ""
    """reason for which the run was ended early"""
    outbox_error: str = ""
    stranded: Mapping[str, int] = field(default_factory=dict)
    """by sink name: events of earlier runs for a sink that this run lacks, or has with other options"""
    dead_letters: str = ""
    """the file of records that sinks refused"""
    abandoned: tuple[str, ...] = ()
    """plugins, sources and sinks in whose calls abandoned threads are stuck"""

    @property
    def abandoned_threads(self) -> int:
        """Number of threads that are stuck for good; if there are any, leave the process by `os._exit`."""
        return len(self.abandoned)

    @property
    def exit_code(self) -> int:
        """Exit code of the command; see `streamproc.exits`."""
        if self.outbox_error:
            return OUTBOX_FAILED
        if any(sink.undelivered or sink.refused or sink.trouble for sink in self.sinks):
            return UNDELIVERED
        if self.stopped or any(plugin.off or plugin.idle for stream in self.streams for plugin in stream.plugins):
            return PLUGIN_FAILED
        if any(stream.error for stream in self.streams):
            return STREAM_FAILED
        return INTERRUPTED if self.interrupted else OK

    @property
    def ledger(self) -> LedgerPage:
        """The ledgers of all streams added up."""
        total = LedgerPage(observed=0, in_flight=0, buckets={})
        for stream in self.streams:
            total = total.plus(stream.ledger)
        return total


__all__ = ["PluginReport", "RunReport", "SinkReport", "StreamReport"]
