"""Fakes of the outermost edge: a source from a list, a sink into a list, a clock moved by hand."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

from pydantic import ConfigDict

from streamproc.errors import SinkBusy, SinkError, SourceError, SourceLost
from streamproc.events import Event
from streamproc.frames import Frame
from streamproc.options import Field, Options
from streamproc.sink import EventSink, SinkContext
from streamproc.source import DecodedFrame, InputInfo, PictureSource, SourceContext


@dataclass(frozen=True, slots=True)
class Fault:
    """Mark of a failure at this place in a list of frames."""

    kind: Literal["lost", "broken", "undecodable", "raise"]


class ListSourceOptions(Options):
    """Options of `ListSource`; made in code only."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)
    frames: tuple[Any, ...] = Field(description="frames, and `Fault` marks between them")
    live: bool = Field(False, description="behave as a live source: drop rather than wait, open again when lost")
    rate: float | None = Field(None, description="nominal frames per second")
    identity: str = Field("list", description="what event ids are made from")


class ListSource(PictureSource[ListSourceOptions]):
    """Source of the pictures and times of a list of frames; fails at each `Fault` mark between them.

    After a `lost` mark it goes on behind the mark when it is opened again.
    """

    def __init__(self, options: ListSourceOptions) -> None:
        super().__init__(options)
        self._next = 0

    def open(self, context: SourceContext) -> InputInfo:
        self._context = context
        rate = self.options.rate
        exact = None if rate is None else Fraction(rate).limit_denominator(1001)
        return InputInfo(identity=self.options.identity, live=self.options.live, rate=exact)

    def frames(self) -> Iterator[DecodedFrame]:
        while self._next < len(self.options.frames):
            item = self.options.frames[self._next]
            self._next += 1
            if isinstance(item, Frame):
                yield DecodedFrame(
                    picture=FramePicture(item),
                    pts_ns=item.pts_ns,
                    captured_ns=item.captured_ns,
                    keyframe=item.keyframe,
                )
            else:
                self._go_wrong(item)

    def _go_wrong(self, fault: Fault) -> None:
        if fault.kind == "undecodable":
            self._context.count("undecodable")
        elif fault.kind == "lost":
            raise SourceLost("the list says that the source is lost here")
        elif fault.kind == "broken":
            raise SourceError("the list says that the source breaks off here")
        else:
            raise RuntimeError("the list says that the source has a bug here")


class FramePicture:
    """A frame's pixels as a picture."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame

    @property
    def width(self) -> int:
        return self._frame.width

    @property
    def height(self) -> int:
        return self._frame.height

    def to_rgb(self) -> Any:
        return self._frame.rgb

    def to_gray(self) -> Any:
        return self._frame.gray


class ListSinkOptions(Options):
    """Options of `ListSink`."""

    busy: int = Field(0, ge=0, description="how many writes answer `SinkBusy` first")
    broken_after: int | None = Field(None, ge=0, description="after so many events every write fails")
    thumbnails: bool = Field(False, description="ask for pictures")


class ListSink(EventSink[ListSinkOptions]):
    """Collects events in `events`; can be busy or broken on purpose."""

    def __init__(self, options: ListSinkOptions | None = None) -> None:
        super().__init__(options or ListSinkOptions())
        self.events: list[Event] = []
        self.flushed = 0
        self.closed = False
        self._busy = self.options.busy
        self.pictures = self.options.thumbnails  # type: ignore[misc]

    def open(self, context: SinkContext) -> None:
        self.context = context

    def write(self, events: Sequence[Event]) -> None:
        if self._busy:
            self._busy -= 1
            raise SinkBusy("busy on purpose", retry_after_s=0.01)
        limit = self.options.broken_after
        if limit is not None and len(self.events) + len(events) > limit:
            raise SinkError("broken on purpose")
        self.events.extend(events)

    def flush(self) -> None:
        self.flushed = len(self.events)

    def close(self) -> None:
        self.closed = True


class ManualClock:
    """A clock that stands still until it is moved; call it for the time."""

    def __init__(self, start_s: float = 0.0) -> None:
        self._now = start_s
        self._changed = threading.Condition()

    def __call__(self) -> float:
        with self._changed:
            return self._now

    def advance(self, by_s: float) -> None:
        """Advance the clock and wake all waiting threads."""
        with self._changed:
            self._now += by_s
            self._changed.notify_all()

    def wait_for(self, done: Callable[[], bool], timeout_s: float = 10.0) -> bool:
        """Wait until `done()` after a move; return False after `timeout_s` of real time."""
        with self._changed:
            return self._changed.wait_for(done, timeout_s)


__all__ = ["Fault", "ListSink", "ListSinkOptions", "ListSource", "ListSourceOptions", "ManualClock"]
