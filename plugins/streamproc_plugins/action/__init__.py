"""What happens in a clip: action recognition with nets over space and time."""

from streamproc_plugins.action.plugin import Action, ActionOptions

__all__ = ["Action", "ActionOptions"]
