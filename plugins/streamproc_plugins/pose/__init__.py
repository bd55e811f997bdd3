"""Keypoints of people: found, smoothed over time, and turned into events."""

from streamproc_plugins.pose.events import PoseEvents, PoseEventsOptions
from streamproc_plugins.pose.options import PoseOptions
from streamproc_plugins.pose.over_time import PosePooling, PosePoolingOptions, PoseSmoothing, PoseSmoothingOptions
from streamproc_plugins.pose.plugin import Pose

__all__ = [
    "Pose",
    "PoseEvents",
    "PoseEventsOptions",
    "PoseOptions",
    "PosePooling",
    "PosePoolingOptions",
    "PoseSmoothing",
    "PoseSmoothingOptions",
]
