"""What happens in a clip: action recognition with nets over space and time."""

from streamproc_plugins.action.options import ActionOptions
from streamproc_plugins.action.plugin import Action
from streamproc_plugins.action.results import AttentionMap, TrackActions

__all__ = ["Action", "ActionOptions", "AttentionMap", "TrackActions"]
