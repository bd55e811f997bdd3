"""For tests of plugins, sources and sinks: makers, fakes of the outermost edge, and runs without a configuration file.

>>> from streamproc.testing import make_frame, run_plugin  # doctest: +SKIP
>>> assert run_plugin(Dark, [make_frame(fill=10), make_frame(fill=200)], limit=40).types == ["image.dark"]
"""

from streamproc.testing.contract import check_frame_plugin, check_plugin_contract, plugin_answers
from streamproc.testing.fakes import Fault, ListSink, ListSource, ManualClock
from streamproc.testing.makers import make_clip, make_detections, make_frame, make_frames, make_info, make_tracks
from streamproc.testing.runs import PluginRun, make_plan, plugin_plan, run_chain, run_plugin

__all__ = [
    "Fault",
    "ListSink",
    "ListSource",
    "ManualClock",
    "PluginRun",
    "check_frame_plugin",
    "check_plugin_contract",
    "make_clip",
    "make_detections",
    "make_frame",
    "make_frames",
    "make_info",
    "make_plan",
    "make_tracks",
    "plugin_answers",
    "plugin_plan",
    "run_chain",
    "run_plugin",
]
