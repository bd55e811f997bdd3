"""Segmentation: the class of every pixel, masks of people, steadied over time, and areas of the picture."""

from streamproc_plugins.segmentation.areas import ClassAreasPlugin
from streamproc_plugins.segmentation.instances import Instances
from streamproc_plugins.segmentation.plugin import SegmentationPlugin
from streamproc_plugins.segmentation.results import ClassAreas, Foreground
from streamproc_plugins.segmentation.smoothing import SegmentationSmoothing

__all__ = ["ClassAreas", "ClassAreasPlugin", "Foreground", "Instances", "SegmentationPlugin", "SegmentationSmoothing"]
