"""Faces: found, told apart, named, grouped."""

from streamproc_plugins.faces.options import FacesOptions, QualityOptions
from streamproc_plugins.faces.plugin import FaceFinder

__all__ = ["FaceFinder", "FacesOptions", "QualityOptions"]
