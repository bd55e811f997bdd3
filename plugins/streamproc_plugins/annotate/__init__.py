"""Annotate: the results of earlier plugins, drawn onto a copy of the video."""

from streamproc_plugins.annotate.options import AnnotateOptions
from streamproc_plugins.annotate.plugin import Annotate

__all__ = ["Annotate", "AnnotateOptions"]
