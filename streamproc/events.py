"""Events: the output of plugins for sinks, as CloudEvents 1.0 JSON."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from operator import index as index_of
from typing import Any, Literal

import numpy as np

from streamproc.frames import SECOND_NS, Clip, Frame, StreamInfo
from streamproc.secrets import redact_known

Phase = Literal["start", "update", "end", "instant"]
PHASES: tuple[Phase, ...] = ("start", "update", "end", "instant")

DATA_SCHEMA = "urn:streamproc:event:1"
"""identifies `streamproc/schemas/event.schema.json`"""

RESERVED = frozenset({"stream", "plugin", "phase", "start_s", "end_s", "captured", "frame", "episode", "seq"})
"""keys of an event's `data` that streamproc fills in itself"""

MOST_CHARACTERS = 200
"""longest type of an event, and longest name of an attachment"""

MOST_PICTURE_BYTES = 16 << 20
"""most that the attachments of one event may hold together"""

MOST_BYTES = 1_000_000
"""most that an event's own data may hold as JSON, pictures not counted"""

_TYPE = re.compile(r"[a-z0-9_]+(\.[a-z0-9_]+)*")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_MEDIA_TYPE = re.compile(r"[a-z0-9][a-z0-9.+-]*/[a-z0-9][a-z0-9.+-]*", re.IGNORECASE)
_LATEST_NS = 2**63 - 1
_DECIMALS = {"score": 4, "box": 1, "speed": 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """A picture that goes with an event and isn't part of its identity."""

    name: str
    media_type: str
    """such as `image/jpeg`"""
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Event for the sinks: a plugin gives type, time and data, the engine stamps stream, frame and id.

    The `start`, `update` and `end` events of an episode (someone stays in a zone) share one `episode` key; `Episode`
    makes them. A happening at one moment is an `instant`.
    """

    type: str
    """dotted lower-case words, such as `zone.entered`"""
    phase: Phase
    start_ns: int
    """media time at which it began"""
    end_ns: int | None = None
    """media time at which it ended; None while it goes on. An `end` without one ends at the moment it is emitted"""
    episode: str = ""
    """key of the happening, unique among open episodes of its plugin and type, such as `yard/17`"""
    score: float | None = None
    subject: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)
    """JSON values: label, track_id, box (xyxy, source pixels), zone, line, direction, count, ..."""
    attachments: tuple[Attachment, ...] = ()
    # stamped by the engine, which overwrites other values
    stream: str = ""
    plugin: str = ""
    frame_index: int = 0
    pts_ns: int = 0
    """media time of the moment at which it was emitted"""
    captured_ns: int | None = None
    """UTC of `start_ns` where it is known"""
    sequence: int = 0
    """number of this plugin's earlier events at the same frame"""
    id: str = ""

    def __post_init__(self) -> None:
        if not _TYPE.fullmatch(self.type):
            raise ValueError(f"event type is {self.type!r}, expected dotted lower-case words such as 'zone.entered'")
        if self.phase not in PHASES:
            raise ValueError(f"event phase is {self.phase!r}, expected one of {', '.join(PHASES)}")
        if self.end_ns is not None and self.end_ns < self.start_ns:
            raise ValueError(f"event ends at {self.end_ns} ns, before its start at {self.start_ns} ns")
        if self.score is not None and not 0 <= self.score <= 1:
            raise ValueError(f"event score is {self.score}, expected a number from 0 to 1, or None")
        if taken := RESERVED & set(self.data):
            raise ValueError(f"event data holds {sorted(taken)}: these keys are streamproc's own; rename them")

    @classmethod
    def instant(cls, at: Frame | Clip, type: str, *, score: float | None = None, **data: Any) -> Event:  # noqa: A002
        """Return the event of a happening at this frame (or over this clip): `data` are JSON values."""
        frame = at.last if isinstance(at, Clip) else at
        start_ns, end_ns = (int(at.pts_ns[0]), int(at.pts_ns[-1])) if isinstance(at, Clip) else (frame.pts_ns,) * 2
        return cls(
            type=type,
            phase="instant",
            start_ns=start_ns,
            end_ns=end_ns,
            episode=f"f{frame.index}",
            score=score,
            data=data,
            **_place(Moment.of(frame), start_ns),
        )

    @classmethod
    def begin(cls, frame: Frame, type: str, episode: str, *, start_ns: int | None = None, **data: Any) -> Event:  # noqa: A002
        """Return the `start` of an episode at `frame`; it may have begun earlier, at `start_ns`."""
        begun = frame.pts_ns if start_ns is None else start_ns
        place = _place(Moment.of(frame), begun)
        return cls(type=type, phase="start", start_ns=begun, episode=episode, data=data, **place)

    def later(self, phase: Phase, *, end_ns: int | None = None, **data: Any) -> Event:
        """Return the `update` or `end` of the episode that this event began; `data` is added to its own."""
        return replace(self, phase=phase, end_ns=end_ns, data={**self.data, **data}, attachments=())

    def stamped(self, info: StreamInfo, plugin: str, sequence: int, moment: Moment | None = None) -> Event:
        """Return this event with its place and id; `ValueError` or `TypeError` if no sink could write it.

        moment: when it is emitted; its frame and times replace the event's own.
        """
        # after a restart plugins count from the beginning again
        session = f"@{info.session}" if info.session else ""
        start_ns, end_ns = _whole("start_ns", self.start_ns), self.end_ns
        if end_ns is None and self.phase == "end" and moment is not None:
            end_ns = moment.pts_ns
        plain = replace(
            self,
            start_ns=start_ns,
            end_ns=None if end_ns is None else _whole("end_ns", end_ns),
            **({} if moment is None else _place(moment, start_ns)),
            episode=_text("episode", self.episode).removesuffix(session) + session,
            subject=_text("subject", self.subject),
            score=None if self.score is None else float(self.score),
            stream=info.name,
            plugin=plugin,
            sequence=sequence,
            data=_plain(self.data),
        )
        if plain.captured_ns is not None:
            _whole("captured_ns", plain.captured_ns)
        _check_writable(plain)
        return replace(plain, id=event_id(info, plugin, plain, sequence))

    def to_json(self) -> dict[str, Any]:
        """Return the CloudEvents 1.0 envelope as plain JSON values; dumped, it has the same bytes in every run."""
        envelope: dict[str, Any] = {
            "specversion": "1.0",
            "id": self.id,
            "source": f"streamproc/{self.stream}",
            "type": self.type,
            "datacontenttype": "application/json",
            "dataschema": DATA_SCHEMA,
        }
        captured = None if self.captured_ns is None else utc_text(self.captured_ns)
        if captured is not None:
            envelope["time"] = captured
        if self.subject:
            envelope["subject"] = self.subject
        envelope["data"] = {
            "stream": self.stream,
            "plugin": self.plugin,
            "phase": self.phase,
            "episode": self.episode,
            "start_s": _seconds(self.start_ns),
            "end_s": None if self.end_ns is None else _seconds(self.end_ns),
            "captured": captured,
            "frame": self.frame_index,
            **({} if self.score is None else {"score": round(self.score, 4)}),
            **_plain(self.data),
        }
        return envelope


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """A point of media time at which a plugin may emit events, with or without a frame."""

    pts_ns: int
    frame_index: int
    """the last frame that was processed"""
    captured_ns: int | None = None

    @classmethod
    def of(cls, frame: Frame) -> Moment:
        """Return the moment of a frame."""
        return cls(pts_ns=frame.pts_ns, frame_index=frame.index, captured_ns=frame.captured_ns)


def _place(moment: Moment, start_ns: int) -> dict[str, Any]:
    """Return the fields of an event that follow from its moment; it began at `start_ns`."""
    captured_ns = moment.captured_ns
    return {
        "frame_index": moment.frame_index,
        "pts_ns": moment.pts_ns,
        "captured_ns": None if captured_ns is None else captured_ns - (moment.pts_ns - start_ns),
    }


def event_id(info: StreamInfo, plugin: str, event: Event, sequence: int) -> str:
    """Return 32 hex digits that are the same in every run over the same input; they depend on no float.

    Each event has its own: frame and `sequence` distinguish the events of an episode.
    """
    parts = (
        info.identity, info.name, plugin, event.type, event.episode, event.phase, str(event.frame_index), str(sequence),
    )  # fmt: skip
    text = "\x1f".join(parts).encode()
    return hashlib.blake2b(text, digest_size=16, person=b"streamproc.event").hexdigest()


def utc_text(time_ns: int) -> str:
    """Return the RFC 3339 text of nanoseconds since 1970, in UTC with microseconds.

    >>> utc_text(1_700_000_000_250_000_000)
    '2023-11-14T22:13:20.250000Z'
    """
    whole, rest = divmod(time_ns, SECOND_NS)
    return datetime.fromtimestamp(whole, UTC).strftime("%Y-%m-%dT%H:%M:%S") + f".{rest // 1000:06d}Z"


def _whole(name: str, value: Any) -> int:
    try:
        number = index_of(value)
    except TypeError:
        unit = " of nanoseconds: seconds(1.5), frame.pts_ns" if name.endswith("_ns") else ""
        raise TypeError(f"event {name} is {value!r}, expected a whole number{unit}") from None
    if not -_LATEST_NS <= number <= _LATEST_NS:
        raise ValueError(
            f"event {name} lies outside of 64 bits, expected nanoseconds or an index; check the arithmetic"
        )
    return number


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"event {name} is a {type(value).__name__}, expected text")
    return redact_known(value)


def _check_writable(event: Event) -> None:
    """Raise `ValueError` for an event that a sink couldn't write later."""
    if len(event.type) > MOST_CHARACTERS:
        raise ValueError(f"event type has {len(event.type):,} characters, expected at most {MOST_CHARACTERS}")
    try:
        size = len(json.dumps(event.to_json(), ensure_ascii=False).encode())
    except UnicodeEncodeError as error:
        raise ValueError(
            f"event data holds the character {error.object[error.start : error.end]!r}, half of a pair that UTF-8 "
            "can't carry; decode the text with errors='replace'"
        ) from None
    if size > MOST_BYTES:
        raise ValueError(f"event data has {size:,} bytes of JSON, expected at most {MOST_BYTES:,}; store it elsewhere")
    _check_attachments(event.attachments)


def _check_attachments(attachments: Any) -> None:
    if not isinstance(attachments, tuple | list):
        raise ValueError(f"event attachments are a {type(attachments).__name__}, expected a tuple of Attachment")
    for attachment in attachments:
        if not isinstance(attachment, Attachment) or not isinstance(attachment.data, bytes):
            raise ValueError(f"event attachments hold a {type(attachment).__name__}, expected Attachment with bytes")
        _check_form("name", attachment.name, _NAME, "letters, digits, '_', '-' and '.', such as 'thumbnail'")
        _check_form("media type", attachment.media_type, _MEDIA_TYPE, "a type such as 'image/jpeg'")
    names = [attachment.name for attachment in attachments]
    if len(set(names)) < len(names):
        raise ValueError(f"two event attachments have one name ({', '.join(names)}); give each its own")
    size = sum(len(attachment.data) for attachment in attachments)
    if size > MOST_PICTURE_BYTES:
        raise ValueError(
            f"event attachments hold {size:,} bytes, expected at most {MOST_PICTURE_BYTES:,}; make them smaller"
        )


def _check_form(what: str, value: Any, form: re.Pattern[str], expected: str) -> None:
    if not isinstance(value, str) or len(value) > MOST_CHARACTERS or not form.fullmatch(value):
        raise ValueError(f"{what} of an event attachment is {repr(value)[:60]}, expected {expected}")


def _seconds(time_ns: int) -> float:
    return round(time_ns / SECOND_NS, 6)


def _plain(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return JSON values with the documented rounding: scores 4 decimals, pixels 1, all else 6."""
    try:
        return {str(key): _json_value(value, _DECIMALS.get(str(key), 6)) for key, value in data.items()}
    except RecursionError:
        raise ValueError(
            "event data is nested hundreds of levels deep, or holds itself; put plain values in lists of few levels"
        ) from None


def _json_value(value: Any, decimals: int) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"event data holds {value}, which JSON can't carry; leave it out or use None")
        return round(value, decimals)
    if isinstance(value, str):
        return redact_known(value)
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, Mapping):
        return {str(key): _json_value(item, _DECIMALS.get(str(key), decimals)) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_json_value(item, decimals) for item in value]
    raise ValueError(f"event data holds a {type(value).__name__}, expected JSON values (text, numbers, lists, ...)")


__all__ = [
    "DATA_SCHEMA",
    "PHASES",
    "RESERVED",
    "Attachment",
    "Event",
    "Moment",
    "Phase",
    "event_id",
    "utc_text",
]
