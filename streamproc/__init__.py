"""streamproc turns video into events: a plugin-based video analytics stream processor.

Everything public can be imported from here; each name is loaded when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from streamproc.errors import (
        ChecksumError,
        ConfigError,
        DownloadError,
        Issue,
        MissingInput,
        ModelError,
        ModelNotFound,
        PluginError,
        SinkBusy,
        SinkError,
        SourceError,
        SourceLost,
        StreamprocError,
        UnknownNameError,
    )
    from streamproc.events import Attachment, Event, Moment
    from streamproc.frames import ArrayPicture, Clip, Flow, Frame, Picture, StreamInfo
    from streamproc.options import Duration, Field, Mistake, Options, parse_duration, seconds
    from streamproc.plugin import (
        ClipPlugin,
        ClipSpec,
        FramePlugin,
        Output,
        PluginContext,
        Results,
        StreamPlugin,
        TimeReason,
    )
    from streamproc.registry import Registry
    from streamproc.replacement import Replacement
    from streamproc.results import (
        COCO17,
        Caption,
        Classification,
        Detection,
        Detections,
        Faces,
        Poses,
        Result,
        Segmentation,
        Tracks,
    )
    from streamproc.sink import EventSink, FrameSink, SinkContext
    from streamproc.source import (
        DecodedFrame,
        InputInfo,
        Packet,
        PictureSource,
        Position,
        SourceContext,
        VideoFormat,
        VideoSource,
    )

__version__ = "0.1.0"

_HOMES = {
    "errors": (
        "ChecksumError", "ConfigError", "DownloadError", "Issue", "MissingInput", "ModelError", "ModelNotFound",
        "PluginError", "SinkBusy", "SinkError", "SourceError", "SourceLost", "StreamprocError", "UnknownNameError",
    ),
    "events": ("Attachment", "Event", "Moment"),
    "frames": ("ArrayPicture", "Clip", "Flow", "Frame", "Picture", "StreamInfo"),
    "options": ("Duration", "Field", "Mistake", "Options", "parse_duration", "seconds"),
    "plugin": (
        "ClipPlugin", "ClipSpec", "FramePlugin", "Output", "PluginContext", "Results", "StreamPlugin", "TimeReason",
    ),
    "registry": ("Registry",),
    "replacement": ("Replacement",),
    "results": (
        "COCO17", "Caption", "Classification", "Detection", "Detections", "Faces", "Poses", "Result", "Segmentation",
        "Tracks",
    ),
    "sink": ("EventSink", "FrameSink", "SinkContext"),
    "source": (
        "InputInfo", "Packet", "PictureSource", "Position", "DecodedFrame", "SourceContext", "VideoFormat",
        "VideoSource",
    ),
}  # fmt: skip
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "COCO17",
    "ArrayPicture",
    "Attachment",
    "Caption",
    "ChecksumError",
    "Classification",
    "Clip",
    "ClipPlugin",
    "ClipSpec",
    "ConfigError",
    "DecodedFrame",
    "Detection",
    "Detections",
    "DownloadError",
    "Duration",
    "Event",
    "EventSink",
    "Faces",
    "Field",
    "Flow",
    "Frame",
    "FramePlugin",
    "FrameSink",
    "InputInfo",
    "Issue",
    "MissingInput",
    "Mistake",
    "ModelError",
    "ModelNotFound",
    "Moment",
    "Options",
    "Output",
    "Packet",
    "Picture",
    "PictureSource",
    "PluginContext",
    "PluginError",
    "Poses",
    "Position",
    "Registry",
    "Replacement",
    "Result",
    "Results",
    "Segmentation",
    "SinkBusy",
    "SinkContext",
    "SinkError",
    "SourceContext",
    "SourceError",
    "SourceLost",
    "StreamInfo",
    "StreamPlugin",
    "StreamprocError",
    "TimeReason",
    "Tracks",
    "UnknownNameError",
    "VideoFormat",
    "VideoSource",
    "__version__",
    "parse_duration",
    "seconds",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
