"""Rules: what tracks do in zones and at lines, as events."""

from streamproc_plugins.rules.options import RulesOptions
from streamproc_plugins.rules.plugin import Rules
from streamproc_plugins.rules.view import RuleView

__all__ = ["RuleView", "Rules", "RulesOptions"]
