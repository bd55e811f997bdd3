"""Labels over time: one event with start and end for a label of many frames."""

from streamproc_plugins.labels.options import LabelsOptions
from streamproc_plugins.labels.plugin import Labels

__all__ = ["Labels", "LabelsOptions"]
