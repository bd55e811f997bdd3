"""Tools for tests of plugins, sources and sinks: makers, fakes of the outermost edge, runs without configuration.

>>> from streamproc.testing import make_frame, run_plugin  # doctest: +SKIP
>>> assert run_plugin(Dark, [make_frame(fill=10), make_frame(fill=200)], limit=40).types == ["image.dark"]
"""

from streamproc.testing.contract import check_frame_plugin, check_plugin_contract, plugin_answers
from streamproc.testing.endpoints import (
    check_sink_contract,
    check_source_contract,
    make_events,
    sink_context,
    source_context,
)
from streamproc.testing.fakes import Fault, ListSink, ListSource, ManualClock
from streamproc.testing.makers import (
    frames_of,
    make_classification,
    make_clip,
    make_detections,
    make_faces,
    make_flow,
    make_frame,
    make_frames,
    make_info,
    make_poses,
    make_records,
    make_tracks,
)
from streamproc.testing.runs import PluginRun, make_plan, plugin_plan, run_chain, run_plugin

__all__ = [
    "Fault",
    "ListSink",
    "ListSource",
    "ManualClock",
    "PluginRun",
    "check_frame_plugin",
    "check_plugin_contract",
    "check_sink_contract",
    "check_source_contract",
    "frames_of",
    "make_classification",
    "make_clip",
    "make_detections",
    "make_events",
    "make_faces",
    "make_flow",
    "make_frame",
    "make_frames",
    "make_info",
    "make_plan",
    "make_poses",
    "make_records",
    "make_tracks",
    "plugin_answers",
    "plugin_plan",
    "run_chain",
    "run_plugin",
    "sink_context",
    "source_context",
]
