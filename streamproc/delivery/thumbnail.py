"""Thumbnails of frames, for the sinks that want a picture with each event."""

from __future__ import annotations

from streamproc.events import Attachment
from streamproc.frames import Frame, resize

WIDTH = 320
"""largest width of a thumbnail in pixels"""
_QUALITY = 80


def thumbnail(frame: Frame) -> Attachment:
    """Return the frame as a small JPEG, at most `WIDTH` pixels wide."""
    import cv2

    width = min(WIDTH, frame.width)
    small = resize(frame.rgb, width, max(1, round(frame.height * width / frame.width)))
    _, data = cv2.imencode(".jpg", small[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return Attachment(name="thumbnail", media_type="image/jpeg", data=data.tobytes())


__all__ = ["WIDTH", "thumbnail"]
