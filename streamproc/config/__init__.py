"""From a YAML file to a checked plan."""

from streamproc.config.load import guess_source, load, load_text, load_values
from streamproc.config.plan import FlowPlan, Plan, PluginPlan, RuntimePlan, SinkPlan, StreamPlan
from streamproc.config.schema import config_schema
from streamproc.config.wiring import WiringIssue, wire

__all__ = [
    "FlowPlan",
    "Plan",
    "PluginPlan",
    "RuntimePlan",
    "SinkPlan",
    "StreamPlan",
    "WiringIssue",
    "config_schema",
    "guess_source",
    "load",
    "load_text",
    "load_values",
    "wire",
]
