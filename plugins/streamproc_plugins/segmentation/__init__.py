"""Segmentation: what every pixel shows, people told apart, steadied over time, and how much of the picture it is."""

from streamproc_plugins.segmentation.areas import Areas
from streamproc_plugins.segmentation.instances import Instances
from streamproc_plugins.segmentation.plugin import Segment
from streamproc_plugins.segmentation.results import ClassAreas, Foreground
from streamproc_plugins.segmentation.smoothing import SegmentationSmoothing

__all__ = ["Areas", "ClassAreas", "Foreground", "Instances", "Segment", "SegmentationSmoothing"]
