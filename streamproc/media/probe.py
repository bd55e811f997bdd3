"""Examines a video for `streamproc probe`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice, pairwise
from pathlib import Path
from statistics import median

from streamproc.errors import counted, redact
from streamproc.frames import SECOND_NS
from streamproc.media.demux import Demuxer, Facts, Opening
from streamproc.media.ending import Ending
from streamproc.media.ffmpeg import is_url
from streamproc.media.structure import breaks_off
from streamproc.packets import Packet
from streamproc.paths import expand
from streamproc.timeline import Timeline

_STEADY = 0.1
"""a step that differs from the usual one by more than this part of it makes the rate variable"""

_TICKS_OFF = 2
"""... and by more than this many ticks of the container's clock, which rounds"""


_LIVE = ("rtsp://", "rtsps://")
_LIVE_SCAN_NS = 5 * SECOND_NS
"""how long a live stream is watched"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """Facts of one video; `scanned` packets of it were examined one by one."""

    address: str
    """without secrets"""
    facts: Facts
    file_bytes: int | None
    scanned: int
    """packets examined"""
    complete: bool
    """whether these are all that the recording should have"""
    broken_off: str
    """where a recording that was read to its end breaks off, as a run says it; empty where nothing is missing"""
    scanned_bytes: int
    measured_rate: float | None
    """pictures per second of media time over what was scanned"""
    variable_rate: bool
    missing_pts: int
    repeated_pts: int
    gaps: int
    """steps of more than a second and three nominal durations, as a run counts them"""
    longest_gap_s: float
    keyframes: int
    keyframe_interval_s: float | None
    """the longest distance between two keyframes"""
    damaged: int
    """packets that the container calls corrupt, and 1 where reading broke off"""
    readable: bool
    """whether a picture could be decoded from what was scanned"""

    @property
    def bits_per_second(self) -> float | None:
        """Of the video over what was scanned."""
        if self.measured_rate is None or not self.scanned:
            return None
        return self.scanned_bytes * 8 * self.measured_rate / self.scanned


def probe(address: Path | str, *, limit: int = 3000, opening: Opening | None = None) -> Probe:
    """Open `address` (a path or a URL), look at up to `limit` packets; 5 seconds of a live one.

    Decodes up to the first picture. Raises what `Demuxer` raises.
    """
    name = str(address)
    if opening is None and name.startswith(_LIVE):
        opening = Opening(live=True, open_timeout_s=10, read_timeout_s=10, options={"rtsp_transport": "tcp"})
    demuxer = Demuxer(name, opening)
    try:
        packets = list(islice(_watched(demuxer.packets()), limit))
        return _report(redact(name), demuxer, packets, limit, None if is_url(name) else expand(name))
    finally:
        demuxer.close()


def _watched(packets: Iterator[Packet]) -> Iterator[Packet]:
    """All packets of a recording, the first seconds of a live stream."""
    began_ns = None
    for packet in packets:
        yield packet
        began_ns = packet.captured_ns if began_ns is None else began_ns
        if packet.captured_ns is not None and began_ns is not None and packet.captured_ns - began_ns > _LIVE_SCAN_NS:
            return


def _readable(demuxer: Demuxer, packets: list[Packet]) -> bool:
    decoder = demuxer.decoder(lambda _: None, lambda _: None)
    return any(True for packet in (*packets, None) for _ in decoder.decode(packet))


def _broken_off(demuxer: Demuxer, packets: list[Packet], path: Path | None) -> str:
    ending = Ending(demuxer.facts)
    for packet in packets:
        ending.add(packet)
    if ending.missing or demuxer.broken_off:
        return ending.sentence
    early = "" if path is None else breaks_off(path, demuxer.facts.container)
    return early and f"{early}, after {counted(ending.count, 'picture')}"


def _report(name: str, demuxer: Demuxer, packets: list[Packet], limit: int, path: Path | None) -> Probe:
    times = [(demuxer.format.ns(packet.pts), packet.keyframe) for packet in packets]
    stamps = sorted(pts_ns for pts_ns, _ in times if pts_ns is not None)
    counts = Counter(stamps)
    steps = [later - earlier for earlier, later in pairwise(sorted(counts))]
    usual = median(steps) if steps else None
    gaps = _gaps(sorted(counts), demuxer.facts.rate)
    keys = sorted(pts_ns for pts_ns, keyframe in times if keyframe and pts_ns is not None)
    distances = [later - earlier for earlier, later in pairwise(keys)]
    ended = len(packets) < limit and not demuxer.live
    broken_off = _broken_off(demuxer, packets, path) if ended else ""
    return Probe(
        address=name,
        facts=demuxer.facts,
        file_bytes=None if path is None else path.stat().st_size,
        scanned=len(packets),
        complete=ended and not broken_off,
        broken_off=broken_off,
        scanned_bytes=sum(packet.size for packet in packets),
        measured_rate=len(steps) * SECOND_NS / sum(steps) if steps else None,
        variable_rate=_varies(steps, usual, demuxer.facts.time_base),
        missing_pts=sum(packet.pts is None for packet in packets),
        repeated_pts=sum(count - 1 for count in counts.values()),
        gaps=len(gaps),
        longest_gap_s=max(gaps, default=0) / SECOND_NS,
        keyframes=sum(packet.keyframe for packet in packets),
        keyframe_interval_s=max(distances) / SECOND_NS if distances else None,
        damaged=sum(packet.damaged for packet in packets) + demuxer.broken_off,
        readable=_readable(demuxer, packets),
    )


def _gaps(stamps: list[int], rate: Fraction | None) -> list[int]:
    """The steps, in nanoseconds, that a run takes for gaps."""
    timeline, found = Timeline(rate), []
    for earlier, later in pairwise([stamps[0], *stamps] if stamps else []):
        if timeline.place(later).gap:
            found.append(later - earlier)
    return found


def _varies(steps: list[int], usual: float | None, time_base: Fraction) -> bool:
    if usual is None:
        return False
    allowed = max(_STEADY * usual, _TICKS_OFF * float(time_base) * SECOND_NS)
    return any(abs(step - usual) > allowed for step in steps)
