"""Captions: sentences about windows of time, from templates or from a vision-language model."""

from streamproc_plugins.captioning.plugin import Captions, CaptionsOptions

__all__ = ["Captions", "CaptionsOptions"]
