"""Processed frames to a Kafka topic, so that one machine can take them in and another compute."""

from __future__ import annotations

from collections.abc import Sequence

from streamproc.frames import Frame
from streamproc.kafka.producing import Message, ProducerOptions, Publishing
from streamproc.media.wire import Encoding, encode_frame, frame_headers
from streamproc.options import Field
from streamproc.sink import FrameSink


class FramesOptions(ProducerOptions):
    """Options of the `frames` sink."""

    encoding: Encoding = Field("jpeg", description="jpeg: small; png: exact; raw: exact, large and without work")
    quality: int = Field(90, ge=1, le=100, description="of jpeg")


class FramesSink(Publishing, FrameSink[FramesOptions]):
    """Writes each frame as one record: key is the stream's name, value the picture, headers as in `media.wire`.

    Delivery: at least once, in order per stream; a repeated frame has the `index` of the first. The `kafka` source
    reads what this writes.
    """

    options: FramesOptions

    def write(self, frames: Sequence[Frame]) -> None:
        """Encode the frames and hand them to the producer."""
        self.publish([self._message(frame) for frame in frames])

    def _message(self, frame: Frame) -> Message:
        encoding = self.options.encoding
        value = encode_frame(frame, encoding, self.options.quality)
        return Message(key=frame.stream.name.encode(), value=value, headers=frame_headers(frame, encoding))


__all__ = ["FramesOptions", "FramesSink"]
