"""Tracking: an identity for detections over time, with the camera's motion and appearance as helpers."""

from streamproc_plugins.tracking.appearance import Appearance
from streamproc_plugins.tracking.backfill import back_fill
from streamproc_plugins.tracking.camera_motion import CameraMotionPlugin
from streamproc_plugins.tracking.options import AppearanceOptions, CameraMotionOptions, TrackingOptions
from streamproc_plugins.tracking.plugin import Tracking
from streamproc_plugins.tracking.results import CameraMotion, Embeddings
from streamproc_plugins.tracking.settings import TrackerSettings
from streamproc_plugins.tracking.table import Measurements, TrackerStep, TrackState
from streamproc_plugins.tracking.tracker import Tracker

__all__ = [
    "Appearance",
    "AppearanceOptions",
    "CameraMotion",
    "CameraMotionOptions",
    "CameraMotionPlugin",
    "Embeddings",
    "Measurements",
    "TrackState",
    "Tracker",
    "TrackerSettings",
    "TrackerStep",
    "Tracking",
    "TrackingOptions",
    "back_fill",
]
