"""Segmentation: what every pixel shows, people told apart, steadied over time, and how much of the picture it is."""

from streamproc_plugins.segmentation.instances import Instances
from streamproc_plugins.segmentation.plugin import Segment

__all__ = ["Instances", "Segment"]
