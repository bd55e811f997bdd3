"""Live video over RTSP."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import AfterValidator, model_validator

from streamproc.errors import redact
from streamproc.media import Demuxer, Opening
from streamproc.media.header import MAX_PIXELS
from streamproc.options import Duration, Field, Options, seconds
from streamproc.secrets import address_mistake, with_login
from streamproc.source import InputInfo, Packet, SourceContext, VideoSource

_BUFFER_BYTES = str(4 << 20)
"""of the UDP socket: a keyframe of a large picture arrives in one burst"""


def _rtsp(url: str) -> str:
    if not url.startswith(("rtsp://", "rtsps://")):
        raise ValueError(f"expected an address such as rtsp://host:554/stream, got {redact(url)!r}")
    if mistake := address_mistake(url):
        raise ValueError(mistake)
    return url


class RtspOptions(Options):
    """Options of the `rtsp` source."""

    url: Annotated[str, AfterValidator(_rtsp)] = Field(
        description="rtsp://HOST[:PORT]/PATH; a login in it (USER:PASSWORD@) must be percent-encoded"
    )
    user: str = Field("", description="user name, as the camera has it")
    password: str = Field(
        "", description="password, as the camera has it, whatever characters it holds; write it as ${NAME}"
    )
    transport: Literal["tcp", "udp"] = Field("tcp", description="tcp loses nothing; udp is for networks that need it")
    open_timeout: Duration = Field(seconds(10), gt=0, description="longest wait for the connection and its first data")
    read_timeout: Duration = Field(seconds(10), gt=0, description="silence after which the camera counts as lost")
    max_pixels: int = Field(
        MAX_PIXELS,
        ge=1,
        le=1 << 30,
        description="pixels of one picture at most; a larger one isn't decoded, but counted",
    )
    low_delay: bool = Field(
        False, description="start with less probing and no reordering of packets; the nominal rate may stay unknown"
    )

    @model_validator(mode="after")
    def _one_login(self) -> RtspOptions:
        login = "@" in re.split(r"[/?#]", self.url.partition("://")[2], maxsplit=1)[0]
        if login and (self.user or self.password):
            raise ValueError("url holds a login, and so do user and password; leave one of the two out")
        if self.password and not self.user:
            raise ValueError("password is given without user; name the user too")
        return self

    @property
    def address(self) -> str:
        """The address with user name and password in it, percent-encoded."""
        return with_login(self.url, self.user, self.password)


class RtspSource(VideoSource[RtspOptions]):
    """A camera: its end, too, means that it was lost. Capture time is this machine's clock when a packet comes in."""

    _demuxer: Demuxer | None = None

    @property
    def max_pixels(self) -> int:
        return self.options.max_pixels

    def open(self, context: SourceContext) -> InputInfo:
        opening = Opening(
            live=True,
            open_timeout_s=self.options.open_timeout / 1e9,
            read_timeout_s=self.options.read_timeout / 1e9,
            max_pixels=self.options.max_pixels,
            options=self._ffmpeg_options(),
        )
        self._demuxer = Demuxer(self.options.address, opening)
        identity = f"{redact(self.options.url)} {time.time_ns()}"
        return InputInfo(identity=identity, live=True, rate=self._demuxer.facts.rate, format=self._demuxer.format)

    def packets(self) -> Iterator[Packet]:
        assert self._demuxer is not None, "open() comes first"
        return self._demuxer.packets()

    def close(self) -> None:
        demuxer, self._demuxer = self._demuxer, None
        if demuxer is not None:
            demuxer.close()

    def _ffmpeg_options(self) -> dict[str, str]:
        options = {"rtsp_transport": self.options.transport, "allowed_media_types": "video"}
        if self.options.transport == "udp":
            options["buffer_size"] = _BUFFER_BYTES
        if self.options.low_delay:
            options |= {"fflags": "nobuffer", "analyzeduration": "100000", "reorder_queue_size": "0"}
        return options
