"""Captions: sentences about windows of time, from templates, a net of one's own, or a vision-language model."""

from streamproc_plugins.captioning.net_plugin import CaptionNet, CaptionNetOptions
from streamproc_plugins.captioning.plugin import Captions, CaptionsOptions
from streamproc_plugins.captioning.vision import VisionLanguage, VisionLanguageOptions

__all__ = [
    "CaptionNet",
    "CaptionNetOptions",
    "Captions",
    "CaptionsOptions",
    "VisionLanguage",
    "VisionLanguageOptions",
]
