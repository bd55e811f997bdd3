"""Camera health: whether the picture is frozen, black, covered, out of focus, or another view than it was."""

from streamproc_plugins.camera_health.options import CameraHealthOptions
from streamproc_plugins.camera_health.plugin import CameraHealth
from streamproc_plugins.camera_health.watch import FAULTS, HealthChange, HealthMonitor, HealthSettings

__all__ = ["FAULTS", "CameraHealth", "CameraHealthOptions", "HealthChange", "HealthMonitor", "HealthSettings"]
