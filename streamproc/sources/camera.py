"""A camera at this machine (USB, built in), through OpenCV."""

from __future__ import annotations

import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from streamproc.errors import SourceError, SourceLost
from streamproc.frames import ArrayPicture
from streamproc.options import Field, Options
from streamproc.source import DecodedFrame, InputInfo, PictureSource, SourceContext

if TYPE_CHECKING:
    import cv2

_FAILED_READS = 10
"""reads in a row without a picture after which the camera counts as lost"""


class CameraOptions(Options):
    """Options of the `camera` source."""

    device: int | str = Field(0, description="the camera's number, or its device such as /dev/video0")
    width: int | None = Field(None, ge=1, le=16384, description="wanted width; the camera may give another")
    height: int | None = Field(None, ge=1, le=16384, description="wanted height; the camera may give another")
    rate: float | None = Field(None, gt=0, le=1000, description="wanted pictures per second; the camera may give fewer")


class CameraSource(PictureSource[CameraOptions]):
    """Live pictures, timed when OpenCV hands them over: PTS by the machine's steady clock, capture by its UTC clock."""

    _capture: cv2.VideoCapture | None = None

    def open(self, context: SourceContext) -> InputInfo:
        self._context = context
        device = _device(self.options.device)
        self._capture = _capture(device)
        self._wish()
        said = self._capture.get(_property("FPS"))
        rate = Fraction(said).limit_denominator(1001) if 0 < said <= 1000 else None
        return InputInfo(identity=f"camera {device} {time.time_ns()}", live=True, rate=rate)

    def frames(self) -> Iterator[DecodedFrame | None]:
        import cv2

        assert self._capture is not None, "open() comes first"
        failures = 0
        while not self._context.stopping():
            arrived, bgr = self._capture.read()
            pts_ns, captured_ns = time.monotonic_ns(), time.time_ns()
            if not arrived or bgr is None:
                failures += 1
                if failures >= _FAILED_READS:
                    raise SourceLost(
                        f"camera {self.options.device} gives no pictures any more; is it still plugged in?"
                    )
                continue
            failures = 0
            rgb = np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), dtype=np.uint8)
            yield DecodedFrame(picture=ArrayPicture(rgb), pts_ns=pts_ns, captured_ns=captured_ns, keyframe=True)

    def close(self) -> None:
        capture, self._capture = self._capture, None
        if capture is not None:
            capture.release()

    def _wish(self) -> None:
        assert self._capture is not None
        wishes = {"FRAME_WIDTH": self.options.width, "FRAME_HEIGHT": self.options.height, "FPS": self.options.rate}
        for name, value in wishes.items():
            if value is not None:
                self._capture.set(_property(name), value)


def _property(name: str) -> int:
    import cv2

    return int(getattr(cv2, f"CAP_PROP_{name}"))


def _device(device: int | str) -> str:
    """The device's path; `SourceError` for what can't be a camera, `SourceLost` for one that isn't plugged in."""
    if isinstance(device, int) or device.isdigit():
        device = f"/dev/video{device}"
    path = Path(device)
    if not device.startswith("/dev/") or path.is_file():
        raise SourceError(
            f"{device} is no camera, expected a number or a device such as /dev/video0; a recording is `type: file`"
        )
    if not path.exists():
        known = ", ".join(sorted(str(found) for found in Path("/dev").glob("video*"))) or "none"
        raise SourceLost(
            f"camera {device} doesn't exist; cameras on this machine: {known}; plug it in, or choose another"
        )
    return device


def _capture(device: str) -> Any:
    """An open `cv2.VideoCapture` on a V4L2 device."""
    import cv2

    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # it would write to stderr
    try:
        capture = cv2.VideoCapture(device, cv2.CAP_V4L2)
    finally:
        cv2.utils.logging.setLogLevel(level)
    if not capture.isOpened():
        capture.release()
        raise SourceLost(
            f"camera {device} can't be opened; another program may be using it, or you may lack permission"
        )
    return capture
