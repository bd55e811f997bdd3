"""A source that a test watches and steers: what the tests of the library read from."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import ClassVar

import numpy as np

from streamproc import ArrayPicture, DecodedFrame, Field, InputInfo, Options, PictureSource, SourceContext

SECOND_NS = 10**9
RATE = 10


class FeedOptions(Options):
    frames: int | None = Field(None, description="how many; endless by default")
    live: bool = Field(False, description="a live source, which waits for nobody")
    silent: bool = Field(False, description="give nothing more after the last one, as a camera that hangs")
    feed: str = Field("feed", description="name of this feed among those of the test")


class Feed(PictureSource[FeedOptions]):
    """Gives small pictures; counts those that were asked for, and says when it has given its last."""

    read: ClassVar[dict[str, int]] = {}
    ended: ClassVar[threading.Event] = threading.Event()
    at: ClassVar[dict[int, Callable[[], None]]] = {}
    """what is done before the frame of this index is given"""

    @classmethod
    def reset(cls) -> None:
        """Forget what another test did."""
        cls.read, cls.ended, cls.at = {}, threading.Event(), {}

    def open(self, context: SourceContext) -> InputInfo:
        self._stopping = context.stopping
        self._pause = threading.Event()
        return InputInfo(identity=self.options.feed, live=self.options.live)

    def frames(self) -> Iterator[DecodedFrame | None]:
        index = 0
        while index != self.options.frames and not self._stopping():
            Feed.at.get(index, lambda: None)()
            Feed.read[self.options.feed] = index + 1
            picture = ArrayPicture(np.full((48, 64, 3), index % 200, np.uint8))
            yield DecodedFrame(picture=picture, pts_ns=index * SECOND_NS // RATE, captured_ns=None, keyframe=True)
            index += 1
        Feed.ended.set()
        while self.options.silent and not self._stopping():
            self._pause.wait(0.002)
            yield None
