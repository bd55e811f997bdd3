"""Classification: labels with scores for a picture."""

from streamproc_plugins.classification.options import ClassificationOptions
from streamproc_plugins.classification.plugin import ClassificationPlugin

__all__ = ["ClassificationOptions", "ClassificationPlugin"]
