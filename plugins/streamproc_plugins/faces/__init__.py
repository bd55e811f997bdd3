"""Faces: found, recognised, followed, named, grouped."""

from streamproc_plugins.faces.attributes import FaceAttributesOptions, FaceAttributesPlugin
from streamproc_plugins.faces.clusters import FaceClustersOptions, FaceClustersPlugin
from streamproc_plugins.faces.names import FaceNames, FaceNamesOptions
from streamproc_plugins.faces.options import FacesOptions, QualityOptions
from streamproc_plugins.faces.plugin import FacesPlugin
from streamproc_plugins.faces.results import FaceAttributes, FaceClusters, FaceTracks, NamedFaces
from streamproc_plugins.faces.tracks import FaceTracksOptions, FaceTracksPlugin

__all__ = [
    "FaceAttributes",
    "FaceAttributesOptions",
    "FaceAttributesPlugin",
    "FaceClusters",
    "FaceClustersOptions",
    "FaceClustersPlugin",
    "FaceNames",
    "FaceNamesOptions",
    "FaceTracks",
    "FaceTracksOptions",
    "FaceTracksPlugin",
    "FacesOptions",
    "FacesPlugin",
    "NamedFaces",
    "QualityOptions",
]
