"""A recording of two streams that can be read again from a position, and that ends a run in its middle."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator, Mapping
from typing import ClassVar, Literal

from streamproc import (
    ArrayPicture,
    DecodedFrame,
    Field,
    InputInfo,
    Options,
    PictureSource,
    Position,
    SourceContext,
)
from tests.golden.pictures import panned

COUNT = 72
STREAMS = ("a", "b")


class TapeOptions(Options):
    action: Literal["none", "kill", "stop"] = Field("none", description="what happens to the run at the picture `at`")
    at: int = Field(0, ge=0, description="offset of the picture at which it happens")


class Tape(PictureSource[TapeOptions]):
    """Pictures of the streams a and b in turn; it ends its own process where its options say so."""

    resumable: ClassVar[bool] = True
    several: ClassVar[bool] = True

    def open(self, context: SourceContext) -> InputInfo:
        self._next = 0
        self._committed = 0
        self._stopping = context.stopping
        return InputInfo(identity="tape", live=False)

    def seek(self, positions: Mapping[str, int]) -> None:
        self._next = self._committed = positions["0"]

    def commit(self, positions: Mapping[str, int]) -> None:
        self._committed = positions["0"]

    def frames(self) -> Iterator[DecodedFrame | None]:
        while self._next < COUNT and not self._stopping():
            if self._next == self.options.at and self.options.action != "none":
                yield from self._act()
                return
            self._next += 1
            yield _picture(self._next - 1)

    def _act(self) -> Iterator[None]:
        """Kill the run while a few pictures aren't committed, or ask it to stop."""
        if self.options.action == "kill":
            while self._committed < self.options.at - 6:
                self._pause()
                yield None
            os.kill(os.getpid(), signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGTERM)
        while not self._stopping():
            self._pause()
            yield None

    def _pause(self) -> None:
        """Leave the run to itself for a moment, as a source does that waits for pictures."""
        threading.Event().wait(0.005)


def _picture(offset: int) -> DecodedFrame:
    number, stream = divmod(offset, len(STREAMS))
    return DecodedFrame(
        picture=ArrayPicture(panned(number, 2 + stream)),
        pts_ns=100_000_000 * number,
        captured_ns=1_700_000_000_000_000_000 + 50_000_000 * offset,
        stream=STREAMS[stream],
        position=Position(partition="0", offset=offset),
    )
