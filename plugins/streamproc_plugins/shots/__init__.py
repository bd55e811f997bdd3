"""Shots: where the picture is cut, fades or dissolves, so that later plugins can work shot by shot."""

from streamproc_plugins.shots.finder import Begun, Finder, Settings
from streamproc_plugins.shots.following import ShotWatch, ended_at_cut, spans_cut
from streamproc_plugins.shots.options import ShotsOptions
from streamproc_plugins.shots.plugin import Shots
from streamproc_plugins.shots.results import Shot

__all__ = ["Begun", "Finder", "Settings", "Shot", "ShotWatch", "Shots", "ShotsOptions", "ended_at_cut", "spans_cut"]
