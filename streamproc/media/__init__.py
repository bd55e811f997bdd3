"""Reading and writing video: the one place that touches FFmpeg (through PyAV, imported when something is opened)."""

from streamproc.media.timeline import FAULTS, Fault, Placed, Timeline

__all__ = ["FAULTS", "Fault", "Placed", "Timeline"]
