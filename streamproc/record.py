"""Everything known of one frame when it leaves the chain."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from streamproc.events import Event
from streamproc.frames import Frame, StreamInfo


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Record:
    """Everything known of one frame when it leaves the chain."""

    stream: StreamInfo
    index: int
    pts_ns: int
    captured_ns: int | None = None
    results: Mapping[tuple[str, type], Any] = field(default_factory=dict)
    events: tuple[Event, ...] = ()
    verdicts: Mapping[str, str] = field(default_factory=dict)
    frame: Frame | None = None
    reason: str = ""
