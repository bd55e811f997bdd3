"""Rules: events for tracks in zones, at lines and elsewhere."""

from streamproc_plugins.rules.options import RulesOptions
from streamproc_plugins.rules.plugin import Rules
from streamproc_plugins.rules.view import RuleView

__all__ = ["RuleView", "Rules", "RulesOptions"]
