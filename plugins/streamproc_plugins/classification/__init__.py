"""Classification: what a picture shows, in labels with scores."""

from streamproc_plugins.classification.options import ClassificationOptions
from streamproc_plugins.classification.plugin import ClassificationPlugin

__all__ = ["ClassificationOptions", "ClassificationPlugin"]
