"""Motion before a fixed camera, without a net."""

from streamproc_plugins.motion.background import Background, BackgroundSettings, MotionRegions
from streamproc_plugins.motion.options import MotionOptions
from streamproc_plugins.motion.plugin import Motion

__all__ = ["Background", "BackgroundSettings", "Motion", "MotionOptions", "MotionRegions"]
