"""Recorded video: a file, or an address that FFmpeg reads (http, HLS)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from fractions import Fraction
from typing import Annotated, Literal

from pydantic import AfterValidator

from streamproc.errors import SourceError, counted, redact
from streamproc.media import Demuxer, Opening, fingerprint
from streamproc.media.demux import utc_ns
from streamproc.media.ending import Ending
from streamproc.media.ffmpeg import is_url
from streamproc.media.header import MAX_PIXELS
from streamproc.media.structure import breaks_off
from streamproc.options import Field, Options
from streamproc.paths import expand
from streamproc.secrets import address_mistake
from streamproc.source import InputInfo, Packet, SourceContext, VideoSource
from streamproc.timeline import DEFAULT_RATE

_SAYS_NOTHING = ("mpegts", "mpeg", "h264", "hevc", "m4v", "mpegvideo")
"""formats in which the last picture alone may show that a recording is cut off"""

_PUSHED = {"analyzeduration": "1", "fpsprobesize": "0"}
"""for MJPEG over HTTP: nothing is held up while FFmpeg looks for a rate that isn't there"""
_PLAYLIST = {"live_start_index": "0", "m3u8_hold_counters": "2"}
"""for a playlist in a file: all of it, and no long wait for segments that may yet be written"""
_HTTP = {"reconnect": "1", "reconnect_on_network_error": "1", "reconnect_delay_max": "5"}


def _with_zone(moment: datetime) -> datetime:
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _encoded(path: str) -> str:
    if is_url(path) and (mistake := address_mistake(path)):
        raise ValueError(mistake)
    return path


class FileOptions(Options):
    """Options of the `file` source."""

    path: Annotated[str, AfterValidator(_encoded)] = Field(
        min_length=1,
        description="a video file in any format that FFmpeg reads, or an http(s) address (HLS and MJPEG too)",
    )
    started: Literal["metadata", "unknown"] | Annotated[datetime, AfterValidator(_with_zone)] = Field(
        "metadata",
        description="when the recording began: `metadata` (what the file says of itself, if anything), `unknown`, or a "
        "time such as 2024-05-01T08:00:00Z (UTC where it names no zone); the events' capture times follow from it",
    )
    rate: float | None = Field(
        None, gt=0, le=1000, description="pictures per second of a raw stream, which has no time stamps (default: 25)"
    )
    max_pixels: int = Field(
        MAX_PIXELS,
        ge=1,
        le=1 << 30,
        description="pixels of one picture at most; a larger one isn't decoded, but counted",
    )


class FileSource(VideoSource[FileOptions]):
    """Reads a recording from its beginning to its end, as fast as it is taken.

    A damaged place costs the pictures up to the next keyframe, counted as `undecodable`, those that no packet is left
    of excepted: they are a gap in the time stamps. A file that is cut off is read to where it is cut; the pictures that
    it promises beyond count as `truncated`, and reading ends with `SourceError`. MJPEG that a camera sends over HTTP is
    live: its pictures have the time of their arrival, and its end is a lost connection.
    """

    _demuxer: Demuxer | None = None
    _endless = False
    """whether it turned out to be a live stream (MJPEG over HTTP)"""

    @property
    def max_pixels(self) -> int:
        return self.options.max_pixels

    def open(self, context: SourceContext) -> InputInfo:
        self._context = context
        rate = None if self.options.rate is None else Fraction(str(self.options.rate))
        self._demuxer = self._opened(rate)
        self._endless = self._demuxer.endless
        if self._endless:
            identity = f"{redact(self.options.path)} {time.time_ns()}"
            return InputInfo(identity=identity, live=True, rate=rate, format=self._demuxer.format)
        return self._recording(self._demuxer, rate)

    def _opened(self, rate: Fraction | None) -> Demuxer:
        path = self.options.path
        opening = Opening(
            rate=rate,
            live=self._endless,
            max_pixels=self.options.max_pixels,
            options=_HTTP if path.startswith("http") else {} if is_url(path) else _PLAYLIST,
        )
        if not self._endless:
            demuxer = Demuxer(path, opening)
            if not demuxer.endless:
                return demuxer
            demuxer.close()  # the pictures that were read to find out are late by now
        return Demuxer(path, replace(opening, live=True, options=_PUSHED))

    def _recording(self, demuxer: Demuxer, rate: Fraction | None) -> InputInfo:
        facts, path = demuxer.facts, self.options.path
        if facts.false_claim:
            self._warn(f"its header states {facts.false_claim}, which is ignored as impossible; "
                       "if the recording is cut off, that can't be detected")  # fmt: skip
        if facts.odd_rate is not None and rate is None:
            self._warn(f"it names a rate of {float(facts.odd_rate):g} pictures per second, which is ignored; "
                   f"{float(facts.rate or DEFAULT_RATE):g} are assumed: set `rate` if that is wrong")  # fmt: skip
        return InputInfo(
            identity=redact(path) if is_url(path) else fingerprint(expand(path)),
            live=False,
            rate=facts.rate,
            started_ns=self._started_ns(facts.started_ns),
            duration_ns=facts.duration_ns,
            frames=facts.frames,
            rotation=facts.orientation.rotation,
            format=demuxer.format,
        )

    def packets(self) -> Iterator[Packet]:
        assert self._demuxer is not None, "open() comes first"
        facts, path = self._demuxer.facts, self.options.path
        early = "" if is_url(path) else breaks_off(expand(path), facts.container)
        ending = Ending(facts)
        packets = self._demuxer.packets()
        for packet in self._without_last(packets, ending) if early and facts.container == "gif" else packets:
            ending.add(packet)
            yield packet
        if ending.missing:
            self._context.count("truncated", ending.missing)
        if ending.missing or self._demuxer.broken_off:
            early = ending.sentence
        elif early:
            early = f"{early}, after {counted(ending.count, 'picture')}"
        if early:
            raise SourceError(
                f"{redact(path)} {early}; what there is was processed: get the whole recording if the rest matters"
            )

    def ended_undecodable(self) -> None:
        if self._demuxer is not None and self._demuxer.facts.container in _SAYS_NOTHING:
            self._warn("it ends within a picture: get the whole recording if something is missing behind it")

    def _without_last(self, packets: Iterator[Packet], ending: Ending) -> Iterator[Packet]:
        """Leave the last packet out: GIF's decoder shows half a picture as if it were whole."""
        held: Packet | None = None
        for packet in packets:
            if held is not None:
                yield held
            held = packet
        if held is not None:
            ending.add(held)
            self._context.count("truncated")

    def close(self) -> None:
        demuxer, self._demuxer = self._demuxer, None
        if demuxer is not None:
            demuxer.close()

    def _started_ns(self, by_metadata_ns: int | None) -> int | None:
        started = self.options.started
        if isinstance(started, datetime):
            return utc_ns(started)
        return by_metadata_ns if started == "metadata" else None

    def _warn(self, sentence: str) -> None:
        self._context.log.warning("stream=%s %s: %s", self._context.stream, redact(self.options.path), sentence)
