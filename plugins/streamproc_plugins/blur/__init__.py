"""Anonymisation: faces, people and zones covered for good, for everything behind the plugin."""

from streamproc_plugins.blur.anonymise import anonymise
from streamproc_plugins.blur.options import BlurOptions
from streamproc_plugins.blur.plugin import Blur

__all__ = ["Blur", "BlurOptions", "anonymise"]
