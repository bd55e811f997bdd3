"""Action recognition over clips, streams, tracked people and whole recordings."""

from streamproc_plugins.action.fusion import Fusion, FusionOptions
from streamproc_plugins.action.options import ActionOptions
from streamproc_plugins.action.plugin import Action
from streamproc_plugins.action.poses import PoseAction, PoseActionOptions
from streamproc_plugins.action.results import AttentionMap, TrackActions
from streamproc_plugins.action.segments import Segments, SegmentsOptions
from streamproc_plugins.action.stream import ActionStream, ActionStreamOptions
from streamproc_plugins.action.tracks import TrackAction, TrackActionOptions

__all__ = [
    "Action",
    "ActionOptions",
    "ActionStream",
    "ActionStreamOptions",
    "AttentionMap",
    "Fusion",
    "FusionOptions",
    "PoseAction",
    "PoseActionOptions",
    "Segments",
    "SegmentsOptions",
    "TrackAction",
    "TrackActionOptions",
    "TrackActions",
]
