"""Detection: labelled boxes from a net, one frame at a time."""

from streamproc_plugins.detection.options import DetectionOptions, TilesOptions
from streamproc_plugins.detection.plugin import Detection

__all__ = ["Detection", "DetectionOptions", "TilesOptions"]
