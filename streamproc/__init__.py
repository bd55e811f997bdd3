"""streamproc turns video into events: a plugin-based video analytics stream processor.

Everything public can be imported from here; each name is loaded when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from streamproc.api import Run, load, run, run_async
    from streamproc.arrow_forms import Shape
    from streamproc.episodes import Episode
    from streamproc.errors import (
        ChecksumError,
        ConfigError,
        DownloadError,
        Issue,
        MissingInput,
        ModelError,
        ModelNotFound,
        PluginError,
        RunError,
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
    from streamproc.record import Record
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
    from streamproc.shots import Shot
    from streamproc.sink import EventSink, FrameSink, RecordSink, SinkContext
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
    from streamproc.tables import to_arrow, to_pandas

__version__ = "0.1.0"

_HOMES = {
    "api": ("Run", "load", "run", "run_async"),
    "arrow_forms": ("Shape",),
    "episodes": ("Episode",),
    "errors": (
        "ChecksumError", "ConfigError", "DownloadError", "Issue", "MissingInput", "ModelError", "ModelNotFound",
        "PluginError", "RunError", "SinkBusy", "SinkError", "SourceError", "SourceLost", "StreamprocError",
        "UnknownNameError",
    ),
    "events": ("Attachment", "Event", "Moment"),
    "frames": ("ArrayPicture", "Clip", "Flow", "Frame", "Picture", "StreamInfo"),
    "options": ("Duration", "Field", "Mistake", "Options", "parse_duration", "seconds"),
    "plugin": (
        "ClipPlugin", "ClipSpec", "FramePlugin", "Output", "PluginContext", "Results", "StreamPlugin", "TimeReason",
    ),
    "record": ("Record",),
    "registry": ("Registry",),
    "replacement": ("Replacement",),
    "results": (
        "COCO17", "Caption", "Classification", "Detection", "Detections", "Faces", "Poses", "Result", "Segmentation",
        "Tracks",
    ),
    "shots": ("Shot",),
    "sink": ("EventSink", "FrameSink", "RecordSink", "SinkContext"),
    "source": (
        "DecodedFrame", "InputInfo", "Packet", "PictureSource", "Position", "SourceContext", "VideoFormat",
        "VideoSource",
    ),
    "tables": ("to_arrow", "to_pandas"),
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
    "Episode",
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
    "Record",
    "RecordSink",
    "Registry",
    "Replacement",
    "Result",
    "Results",
    "Run",
    "RunError",
    "Segmentation",
    "Shape",
    "Shot",
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
    "load",
    "parse_duration",
    "run",
    "run_async",
    "seconds",
    "to_arrow",
    "to_pandas",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
