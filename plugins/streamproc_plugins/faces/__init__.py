"""Faces: found, told apart, followed, named, grouped."""

from streamproc_plugins.faces.attributes import FaceAttributeReader, FaceAttributesOptions
from streamproc_plugins.faces.clusters import FaceClustering, FaceClustersOptions
from streamproc_plugins.faces.names import FaceNames, FaceNamesOptions
from streamproc_plugins.faces.options import FacesOptions, QualityOptions
from streamproc_plugins.faces.plugin import FaceFinder
from streamproc_plugins.faces.results import FaceAttributes, FaceClusters, FaceTracks, NamedFaces
from streamproc_plugins.faces.tracks import FacesOverTime, FaceTracksOptions

__all__ = [
    "FaceAttributeReader",
    "FaceAttributes",
    "FaceAttributesOptions",
    "FaceClustering",
    "FaceClusters",
    "FaceClustersOptions",
    "FaceFinder",
    "FaceNames",
    "FaceNamesOptions",
    "FaceTracks",
    "FaceTracksOptions",
    "FacesOptions",
    "FacesOverTime",
    "NamedFaces",
    "QualityOptions",
]
