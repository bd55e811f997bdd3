"""Shots: where the picture is cut, fades or dissolves, so that later plugins can work shot by shot."""

from streamproc.shots import Shot
from streamproc_plugins.shots.finder import Begun, Finder, ShotSettings
from streamproc_plugins.shots.following import ended_at_cut, spans_cut
from streamproc_plugins.shots.options import ShotsOptions
from streamproc_plugins.shots.plugin import Shots

__all__ = ["Begun", "Finder", "Shot", "ShotSettings", "Shots", "ShotsOptions", "ended_at_cut", "spans_cut"]
